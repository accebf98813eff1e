/* SPDX-License-Identifier: GPL-2.0 */
/* The last numbers of a socket that closes: its own, and what the other planes knew of it. */
#ifndef NT_EVENT_LAST_BPF_H
#define NT_EVENT_LAST_BPF_H

#include "nt_event_put.bpf.h"
#include "nt_stages.h"
#include "nt_wait.h"

enum { FIN_CAME = 2 }; /* SOCK_DONE */

/* SYN_SENT, SYN_RECV, FIN_WAIT1, LAST_ACK, CLOSING: the SYN or FIN may not be acknowledged. */
#define UNACKED_MARK 0xa1cU

/* The records of the other planes, where they are on; else maps that stay empty. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nt_ws);
} waits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nt_tx_sock);
} sends SEC(".maps");

static __always_inline void put_last(struct nt_closed *d, struct sock *sk, struct tcp_sock *tp)
{
	d->bytes_sent = tp->bytes_sent;
	d->bytes_acked = tp->bytes_acked;
	d->bytes_received = tp->bytes_received;
	d->bytes_retrans = tp->bytes_retrans;
	d->segs_out = tp->segs_out;
	d->segs_in = tp->segs_in;
	d->data_segs_out = tp->data_segs_out;
	d->data_segs_in = tp->data_segs_in;
	d->total_retrans = tp->total_retrans;
	d->lost = tp->lost;
	d->delivered = tp->delivered;
	d->delivered_ce = tp->delivered_ce;
	d->rttvar_us = tp->mdev_us >> 2;
	d->min_rtt_us = tp->rtt_min.s[0].v;
	d->snd_ssthresh = tp->snd_ssthresh;
	d->snd_mss = tp->mss_cache;
	d->reord_seen = tp->reord_seen;
	d->dsack_dups = tp->dsack_dups;
	if (bpf_core_field_exists(tp->rcv_ooopack))
		d->rcv_ooopack = tp->rcv_ooopack;
	/* SYN and FIN count as bytes. */
	d->unread = tp->rcv_nxt - tp->copied_seq;
	if (sk->__sk_common.skc_flags & FIN_CAME) {
		d->ev.flags |= NT_EVF_FIN_CAME;
		if (d->unread)
			d->unread--;
	}
	d->unacked = tp->write_seq - tp->snd_una;
	if (d->unacked && UNACKED_MARK >> d->ev.state & 1)
		d->unacked--;
	d->uid = sk->sk_uid.val;
}

/* How long its data waited, and where its sends spent their time. */
static __always_inline void put_times(struct nt_closed *d, struct sock *sk)
{
	struct nt_ws *w = bpf_sk_storage_get(&waits, sk, 0, 0);
	struct nt_tx_sock *t = bpf_sk_storage_get(&sends, sk, 0, 0);

	if (w) {
		d->wait_count = w->count;
		d->wait_sum_ns = w->sum_ns;
		__builtin_memcpy(d->wait_octaves, w->octaves, sizeof(d->wait_octaves));
	}
	if (!t)
		return;
	for (int i = 0; i < NT_PARTS; i++) {
		d->tx_count[i] = t->rec.stages[i].count;
		d->tx_sum_ns[i] = t->rec.stages[i].sum_ns;
	}
}

#endif
