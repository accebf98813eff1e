// SPDX-License-Identifier: MIT
#include "nt_rest.h"

#include <netinet/in.h>
#include <string.h>

#include "nt_engine.h"
#include "nt_rules.h"

static void forget_verdicts(struct nt_rec *rec)
{
	rec->verdict = rec->verdict2 = 0;
	rec->who = rec->who2 = 0;
	rec->because = rec->because2 = 0;
	rec->verdict_value = rec->verdict2_value = 0;
	rec->verdict_since_s = rec->who_since_s = rec->well_since_s = 0;
}

void nt_rest_forget(struct nt_rec *rec, uint64_t now_ms)
{
	uint32_t low_ms = (uint32_t)now_ms, now_s = (uint32_t)(now_ms / 1000);
	const uint16_t *past = rec->verdict_past;

	if (!(rec->verdicts | past[0] | past[1] | past[2] | rec->level | rec->strength))
		forget_verdicts(rec);
	if (!(rec->flags & NT_F_OLDEST_UNREAD))
		rec->oldest_unread_ms = 0;
	if (!(rec->flags & NT_F_RETR_PCT))
		rec->retr_pct = 0;
	if (!rec->rtt_high && low_ms - rec->rtt_low_at_ms >= NT_RTT_KEPT_MS) {
		memset(&rec->rtt_usual, 0, sizeof(rec->rtt_usual));
		rec->rtt_at_ms = rec->rtt_low_us[0] = rec->rtt_low_us[1] = rec->rtt_low_at_ms = 0;
	}
	if (now_s + 1 - rec->lost_here_s >= NT_LOST_HERE_MOST_S)
		rec->lost_here_s = 0;
	if (now_s + 1 - rec->loss_dups_s >= NT_NETWORK_DUPLICATES_S)
		rec->loss_dups_s = 0;
}

/* The windows of loss begin and end with the same counters, which are those of now. */
static bool windows_are_empty(const struct nt_rec *r)
{
	return r->loss_retrans[0] == r->total_retrans && r->loss_retrans[1] == r->total_retrans &&
	       r->loss_dsacks[0] == r->dsack_dups && r->loss_dsacks[1] == r->dsack_dups &&
	       r->loss_sent[0] == r->bytes_sent && r->loss_sent[1] == r->bytes_sent &&
	       r->loss_resent[0] == r->bytes_retrans && r->loss_resent[1] == r->bytes_retrans &&
	       r->segs_out[0] == r->segs_out[1] && r->segs_in[0] == r->segs_in[1] &&
	       r->segs_done == (uint16_t)r->segs_out[0] && r->reordered[0] == r->last_reordered &&
	       r->reordered[1] == r->last_reordered && r->out_of_order[0] == r->last_out_of_order &&
	       r->out_of_order[1] == r->last_out_of_order && r->lim_busy_ms == r->busy_ms &&
	       r->lim_rwnd_ms == r->rwnd_limited_ms && r->lim_sndbuf_ms == r->sndbuf_limited_ms;
}

static bool is_zero(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return !bits;
}

static bool nothing_moves(const struct nt_rec *r)
{
	return is_zero(r->tx_bytes_per_s) && is_zero(r->rx_bytes_per_s) &&
	       is_zero(r->flow_bytes_per_s) && is_zero(r->retrans_per_s) && is_zero(r->retr_pct) &&
	       is_zero(r->drops_per_s) && !r->rqueue && !r->lost && !r->oldest_unread_ms &&
	       !(r->lim_rwnd_pct | r->lim_sndbuf_pct | r->lim_cwnd_pct | r->lim_in_flight_pct);
}

static bool nothing_is_wrong(const struct nt_rec *r)
{
	const uint16_t *past = r->verdict_past;

	return !(r->verdicts | r->verdicts_unwell | past[0] | past[1] | past[2]) &&
	       !(r->level | r->strength | r->verdict | r->verdict2 | r->who | r->who2 | r->because |
		 r->because2) &&
	       is_zero(r->verdict_value) && is_zero(r->verdict2_value) &&
	       !(r->verdict_since_s | r->who_since_s | r->well_since_s) &&
	       !(r->timer_retrans | r->retransmits | r->backoff | r->owners) &&
	       !(r->flags & NT_F_MISSED) &&
	       !(r->rtt_high | r->waits_past | r->order_past | r->here_left | r->loss_lag) &&
	       !(r->lost_here_s | r->loss_dups_s | r->rtt_at_ms | r->rtt_low_us[0] |
		 r->rtt_low_us[1] | r->rtt_low_at_ms | r->rtt_usual.seen | r->loaded_proc);
}

static bool fits(const struct nt_rec *r)
{
	int64_t more = (int64_t)(r->bytes_acked - r->bytes_sent);

	if (r->proto > 3 || r->state > 31 || r->timer > 15 || r->ca_state > 15 ||
	    (r->family != AF_INET && r->family != AF_INET6) ||
	    r->lim_idle_pct != (r->flags & NT_F_LIMITED ? 100 : 0))
		return false;
	if (r->proto == NT_PROTO_UDP && r->wqueue) /* it has not left yet */
		return false;
	return r->cgroup_id <= UINT32_MAX && r->bytes_retrans <= UINT32_MAX &&
	       more == (int8_t)more && r->ifindex <= UINT16_MAX && r->wqueue <= UINT16_MAX &&
	       r->snd_cwnd <= UINT16_MAX && r->flags <= UINT16_MAX &&
	       r->rwnd_limited_ms <= UINT16_MAX && r->sndbuf_limited_ms <= UINT16_MAX &&
	       r->total_retrans <= UINT16_MAX && r->dsack_dups <= UINT8_MAX &&
	       r->last_reordered <= UINT8_MAX && r->last_out_of_order <= UINT8_MAX &&
	       r->total_rto <= UINT8_MAX && r->drops <= UINT8_MAX &&
	       r->taken_at_ms - r->lim_at_ms <= UINT16_MAX &&
	       r->taken_at_ms - r->loss_at_ms <= UINT16_MAX &&
	       r->taken_bytes == (uint32_t)r->bytes_received;
}

/* What may differ from interval to interval though nothing is done. */
static void put_gauges(const struct nt_rec *r, struct nt_rest *ret)
{
	ret->base_ns = r->base_ns;
	ret->uid = r->uid;
	ret->inode = r->inode;
	ret->cgroup_id = (uint32_t)r->cgroup_id;
	ret->rtt_us = r->rtt_us;
	ret->rttvar_us = r->rttvar_us;
	ret->min_rtt_us = r->min_rtt_us;
	ret->detail = r->detail;
	ret->taken_at_ms = r->taken_at_ms;
	ret->lim_age_ms = (uint16_t)(r->taken_at_ms - r->lim_at_ms);
	ret->loss_age_ms = (uint16_t)(r->taken_at_ms - r->loss_at_ms);
	ret->ifindex = (uint16_t)r->ifindex;
	ret->wqueue = (uint16_t)r->wqueue;
	ret->snd_cwnd = (uint16_t)r->snd_cwnd;
	ret->flags = (uint16_t)r->flags;
	ret->timer = r->timer & 15U;
	ret->ca_state = r->ca_state & 15U;
	ret->cong_id = r->cong_id;
}

bool nt_rest_fold(const struct nt_rec *r, struct nt_rest *ret)
{
	if (!nothing_moves(r) || !nothing_is_wrong(r) || !windows_are_empty(r) || !fits(r))
		return false;
	ret->cookie = r->cookie;
	ret->bytes_sent = r->bytes_sent;
	ret->bytes_received = r->bytes_received;
	ret->netns = r->netns;
	ret->bytes_retrans = (uint32_t)r->bytes_retrans;
	ret->busy_ms = r->busy_ms;
	ret->segs_out = r->segs_out[0];
	ret->segs_in = r->segs_in[0];
	ret->first_seen_s = r->first_seen_s;
	ret->state_since_s = r->state_since_s;
	ret->plane = r->plane;
	ret->sport = r->sport;
	ret->dport = r->dport;
	ret->rwnd_limited_ms = (uint16_t)r->rwnd_limited_ms;
	ret->sndbuf_limited_ms = (uint16_t)r->sndbuf_limited_ms;
	ret->total_retrans = (uint16_t)r->total_retrans;
	ret->proto = r->proto & 3U;
	ret->v6 = r->family == AF_INET6;
	ret->state = r->state & 31U;
	ret->acked_more = (int8_t)(r->bytes_acked - r->bytes_sent);
	ret->dsack_dups = (uint8_t)r->dsack_dups;
	ret->reordered = (uint8_t)r->last_reordered;
	ret->out_of_order = (uint8_t)r->last_out_of_order;
	ret->total_rto = (uint8_t)r->total_rto;
	ret->drops = (uint8_t)r->drops;
	put_gauges(r, ret);
	memcpy(ret->src, r->src, sizeof(ret->src));
	memcpy(ret->dst, r->dst, sizeof(ret->dst));
	return true;
}

bool nt_rest_touch(const struct nt_rec *r, struct nt_rest *ret)
{
	if (r->lost || r->backoff || !fits(r))
		return false;
	put_gauges(r, ret);
	return true;
}

void nt_rest_unfold(const struct nt_rest *r, struct nt_rec *ret)
{
	size_t n = sizeof(*ret);

	/* Of an unknown length: compilers' own clearing of so much is slower than the library's. */
	__asm__("" : "+r"(n));
	memset(ret, 0, n);
	ret->cookie = r->cookie;
	ret->cgroup_id = r->cgroup_id;
	ret->sport = r->sport;
	ret->dport = r->dport;
	ret->netns = r->netns;
	ret->ifindex = r->ifindex;
	ret->uid = r->uid;
	ret->inode = r->inode;
	ret->family = r->v6 ? AF_INET6 : AF_INET;
	ret->proto = r->proto;
	ret->state = r->state;
	ret->timer = r->timer;
	ret->ca_state = r->ca_state;
	ret->cong_id = r->cong_id;
	ret->flags = r->flags;
	ret->wqueue = r->wqueue;
	ret->rtt_us = r->rtt_us;
	ret->rttvar_us = r->rttvar_us;
	ret->min_rtt_us = r->min_rtt_us;
	ret->snd_cwnd = r->snd_cwnd;
	ret->bytes_sent = r->bytes_sent;
	ret->bytes_acked = r->bytes_sent + (uint64_t)(int64_t)r->acked_more;
	ret->bytes_received = r->bytes_received;
	ret->bytes_retrans = r->bytes_retrans;
	ret->busy_ms = r->busy_ms;
	ret->rwnd_limited_ms = r->rwnd_limited_ms;
	ret->sndbuf_limited_ms = r->sndbuf_limited_ms;
	ret->total_retrans = r->total_retrans;
	ret->dsack_dups = r->dsack_dups;
	ret->drops = r->drops;
	ret->total_rto = r->total_rto;
	ret->lim_idle_pct = r->flags & NT_F_LIMITED ? 100 : 0;
	ret->first_seen_s = r->first_seen_s;
	ret->state_since_s = r->state_since_s;
	ret->detail = r->detail;
	ret->plane = r->plane;
	ret->base_ns = r->base_ns;
	ret->lim_at_ms = r->taken_at_ms - r->lim_age_ms;
	ret->lim_busy_ms = r->busy_ms;
	ret->lim_rwnd_ms = r->rwnd_limited_ms;
	ret->lim_sndbuf_ms = r->sndbuf_limited_ms;
	ret->taken_bytes = (uint32_t)r->bytes_received;
	ret->taken_at_ms = r->taken_at_ms;
	ret->loss_at_ms = r->taken_at_ms - r->loss_age_ms;
	ret->loss_retrans[0] = ret->loss_retrans[1] = r->total_retrans;
	ret->loss_dsacks[0] = ret->loss_dsacks[1] = r->dsack_dups;
	ret->loss_sent[0] = ret->loss_sent[1] = r->bytes_sent;
	ret->loss_resent[0] = ret->loss_resent[1] = r->bytes_retrans;
	ret->segs_out[0] = ret->segs_out[1] = r->segs_out;
	ret->segs_done = (uint16_t)r->segs_out;
	ret->reordered[0] = ret->reordered[1] = r->reordered;
	ret->segs_in[0] = ret->segs_in[1] = r->segs_in;
	ret->out_of_order[0] = ret->out_of_order[1] = r->out_of_order;
	ret->last_reordered = r->reordered;
	ret->last_out_of_order = r->out_of_order;
	memcpy(ret->src, r->src, sizeof(ret->src));
	memcpy(ret->dst, r->dst, sizeof(ret->dst));
}
