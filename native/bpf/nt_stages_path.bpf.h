/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The part of stages.bpf.c that uses tracepoints: datagrams from the device queue to the driver,
 * and where the kernel has no BPF timestamping, TCP segments from there to their ACK.
 *
 * A TCP segment is cloned and split on its way, so it is followed by the sequence number of its
 * end, on any of the buffers that carry it.
 */
#ifndef NT_STAGES_PATH_BPF_H
#define NT_STAGES_PATH_BPF_H

struct segment {
	u32 seq, end;
};

static __always_inline u32 be32(u32 x)
{
	return __builtin_bswap32(x);
}

/* Payload of a TCP buffer of this socket; false: it has none, or is wrapped in another protocol. */
static __always_inline bool segment_of(const struct sk_buff *skb, const struct sock *sk,
				       struct segment *s)
{
	const unsigned char *th = skb->head + skb->transport_header;
	u16 ports[2] = {};
	u32 seq = 0;
	u8 offset = 0;

	bpf_probe_read_kernel(ports, sizeof(ports), th);
	if (__builtin_bswap16(ports[0]) != sk->__sk_common.skc_num ||
	    ports[1] != sk->__sk_common.skc_dport)
		return false;

	bpf_probe_read_kernel(&seq, sizeof(seq), th + 4);
	bpf_probe_read_kernel(&offset, sizeof(offset), th + 12);
	u32 headers = (u32)(th - skb->data) + (offset >> 4) * 4U;

	if (skb->len <= headers)
		return false;
	s->seq = be32(seq);
	s->end = s->seq + skb->len - headers;
	return true;
}

/* A socket that is traced, or with everything that is from now on. */
static __always_inline struct nt_tx_mark *mark_of(struct sock *sk)
{
	struct nt_tx_mark *m = bpf_sk_storage_get(&marks, sk, 0, 0);

	if (m || !everything)
		return m;
	u32 space = nt_netns_of(sk);
	u64 cookie = (u64)sk->__sk_common.skc_cookie.counter;

	if (!cookie || !bpf_map_lookup_elem(&spaces, &space))
		return 0; /* the next dump gives it a cookie */
	m = bpf_sk_storage_get(&marks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (m)
		m->cookie = cookie;
	return m;
}

/* Its protocol, TCP or UDP; time-wait and request sockets are none. */
static __always_inline u32 ours(const struct sock *sk)
{
	u32 family = sk->__sk_common.skc_family, state = sk->__sk_common.skc_state;

	if ((family != NT_AF_INET && family != NT_AF_INET6) || state == NT_TCP_TIME_WAIT ||
	    state == NT_TCP_NEW_SYN_RECV)
		return 0;
	u32 protocol = sk->sk_protocol;

	return protocol == NT_IPPROTO_UDP || protocol == NT_IPPROTO_TCP ? protocol : 0;
}

/* The same, if it is one that is followed from queue to driver. */
static __always_inline u32 followed(const struct sock *sk)
{
	u32 protocol = ours(sk);

	return by_stamps && protocol == NT_IPPROTO_TCP ? 0 : protocol;
}

/* The one that its last byte is in, by its stamp's key or by the sequence numbers that it carries. */
static __always_inline void dropped_segment(struct nt_tx_sock *s, const struct sock *sk,
					    const struct sk_buff *skb)
{
	struct segment at;

	if (by_stamps) {
		const struct skb_shared_info *info =
			(const void *)(skb->head + BPF_CORE_READ(skb, end));

		if (!(BPF_CORE_READ(info, tx_flags) & SKB_BPF))
			return;
		struct nt_tx_pending *p = find(s, BPF_CORE_READ(info, tskey));

		if (p)
			not_sent(p);
		return;
	}
	if (!segment_of(skb, sk, &at))
		return;
#pragma unroll
	for (u32 i = 0; i < NT_TX_RING; i++) {
		struct nt_tx_pending *p = &s->ring[i];

		if (p->copied_ns && (s32)(p->tskey - at.seq) > 0 && (s32)(at.end - p->tskey) >= 0)
			not_sent(p);
	}
}

#include "nt_stages_udp.bpf.h"

/* ACKs that tcp_probe does not see: of connections that are being closed. */
static __always_inline void forget_acknowledged(struct nt_tx_sock *s, u32 snd_una,
						struct nt_tx_counts *c)
{
#pragma unroll
	for (u32 i = 0; i < NT_TX_RING; i++)
		if (s->ring[i].copied_ns && (s32)(snd_una - s->ring[i].tskey) >= 0) {
			s->ring[i].copied_ns = 0;
			s->rec.lost++;
			__sync_fetch_and_add(&c->lost, 1);
		}
}

static __always_inline void queued_segment(struct sock *sk, struct sk_buff *skb,
					   struct nt_tx_mark *m, struct nt_tx_counts *c)
{
	struct nt_tx_pending p = {};
	struct segment at;

	if (!segment_of(skb, sk, &at))
		return;
	/* Not new: sent before, or queued once more by a device below. */
	if (m->sends && (s32)(at.end - m->write_seq) <= 0)
		return;
	bool stamp = chosen(m);

	m->write_seq = at.end;
	m->sends++;
	if (!stamp)
		return;
	struct nt_tx_sock *s = record_of(sk, sk, m, c);

	if (!s)
		return;
	p.tskey = at.end;
	p.copied_ns = p.sched_ns = bpf_ktime_get_ns();
	forget_acknowledged(s, BPF_CORE_READ((struct tcp_sock *)sk, snd_una), c);
#pragma unroll
	for (u32 i = 0; i < NT_TX_RING; i++)
		if (!s->ring[i].copied_ns) {
			s->ring[i] = p;
			s->rec.sampled++;
			s->rec.touched = epoch;
			__sync_fetch_and_add(&c->sampled, 1);
			return;
		}
	__sync_fetch_and_add(&c->full, 1);
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(stages_queue, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	u32 protocol = sk ? followed(sk) : 0;

	if (!protocol)
		return 0;
	struct nt_tx_mark *m = mark_of(sk);
	struct nt_tx_counts *c = this_cpu();

	if (!m || !c)
		return 0;
	c->runs++;
	if (protocol == NT_IPPROTO_UDP)
		queued_datagram(skb, m, c);
	else
		queued_segment(sk, skb, m, c);
	return 0;
}

static __always_inline void left_segment(struct nt_tx_sock *s, const struct sock *sk,
					 const struct sk_buff *skb)
{
	struct segment at;
	u64 now = bpf_ktime_get_ns();
	u32 device = (u32)BPF_CORE_READ(skb, dev, ifindex);

	if (!segment_of(skb, sk, &at))
		return;
#pragma unroll
	for (u32 i = 0; i < NT_TX_RING; i++) {
		struct nt_tx_pending *p = &s->ring[i];

		if (!p->copied_ns || (s32)(p->tskey - at.seq) <= 0 || (s32)(at.end - p->tskey) < 0)
			continue;
		/* A stacked device hands on to the one below; the same device again is a resend. */
		if (!p->departures)
			p->nth = device;
		if (p->nth == device)
			p->departures++;
		if (!p->first_ns || (p->departures == 1 && p->nth != device))
			p->first_ns = now;
		p->last_ns = now;
	}
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(stages_leave, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	u32 protocol = sk ? followed(sk) : 0;

	if (!protocol)
		return 0;
	struct nt_tx_mark *m = bpf_sk_storage_get(&marks, sk, 0, 0);
	struct nt_tx_counts *c = this_cpu();

	if (!m || !c)
		return 0;
	c->runs++;
	if (protocol == NT_IPPROTO_UDP) {
		given_datagram(skb, m);
		return 0;
	}
	struct nt_tx_sock *s = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (s)
		left_segment(s, sk, skb);
	return 0;
}

/* Every segment that arrives on an established connection, before it is processed. */
SEC("tp_btf/tcp_probe")
int BPF_PROG(stages_probe, struct sock *sk, struct sk_buff *skb)
{
	struct nt_tx_sock *s = bpf_sk_storage_get(&sockets, sk, 0, 0);
	struct nt_tx_counts *c = this_cpu();
	u32 ack = 0;

	if (!s || !c)
		return 0;
	u64 now = bpf_ktime_get_ns();
	struct nt_tx_rec *r = &s->rec;
	struct nt_tx_fine *f = fine_of(r->cookie);

	bpf_probe_read_kernel(&ack, sizeof(ack), skb->head + skb->transport_header + 8);
	ack = be32(ack);
	c->runs++;
	touch(r);
	for (u32 i = 0; i < NT_TX_RING; i++) {
		struct nt_tx_pending *p = &s->ring[i];

		if (!p->copied_ns || (s32)(ack - p->tskey) < 0)
			continue;
		if (p->first_ns && !(p->dropped & NT_TX_DROPPED_QDISC))
			nt_tx_put(r, f, NT_PART_QDISC, p->sched_ns, p->first_ns);
		if (p->last_ns)
			nt_tx_put(r, f, NT_PART_ACK, p->last_ns, now);
		if (p->departures > 1) {
			r->resent += p->departures - 1;
			__sync_fetch_and_add(&c->resent, p->departures - 1);
		}
		r->done++;
		__sync_fetch_and_add(&c->done, 1);
		p->copied_ns = 0;
	}
	return 0;
}

/* Puts the selection in force on UDP sockets. */
SEC("iter/udp")
int stages_walk_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *sk = ctx->udp_sk;

	if (!sk || clear_every)
		return 0;
	u64 cookie = bpf_get_socket_cookie(sk);
	bool want = everything || bpf_map_lookup_elem(&wanted, &cookie);
	struct nt_tx_mark *m = bpf_sk_storage_get(&marks, sk, 0, 0);

	walk_udp += want;
	if (want && !m) {
		m = bpf_sk_storage_get(&marks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (m)
			m->cookie = cookie;
		else
			walk_failed++;
	} else if (!want && m) {
		bpf_sk_storage_delete(&marks, sk);
		bpf_map_delete_elem(&datagrams, &cookie);
	}
	return 0;
}

#endif
