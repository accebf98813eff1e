// SPDX-License-Identifier: MIT
/* From one parsed message to a record: deltas, rates, limited-by shares, match and key. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"
#include "nt_holders.h"
#include "nt_planes.h"
#include "nt_rules.h"

#define CA_LOSS 4 /* TCP_CA_Loss */

#define FLOW_MEAN_S 4.5f /* dt / (dt + 4.5) follows 1 - exp(-dt / 5) closely near 1 s */

static bool is_mapped(const uint32_t *a)
{
	return !a[0] && !a[1] && a[2] == htonl(0xffff);
}

static void take_address(uint8_t *to, const uint32_t *from, bool mapped, uint8_t family)
{
	memset(to, 0, 16);
	if (mapped)
		memcpy(to, &from[3], 4);
	else
		memcpy(to, from, family == AF_INET ? 4 : 16);
}

static void identify(struct nt_rec *rec, const struct nt_diag_view *v)
{
	const struct inet_diag_msg *m = v->msg;
	bool mapped = m->idiag_family == AF_INET6 && is_mapped(m->id.idiag_src);

	rec->family = mapped ? AF_INET : m->idiag_family;
	take_address(rec->src, m->id.idiag_src, mapped, m->idiag_family);
	take_address(rec->dst, m->id.idiag_dst, mapped, m->idiag_family);
	rec->sport = ntohs(m->id.idiag_sport);
	rec->dport = ntohs(m->id.idiag_dport);
}

static bool is_cong(const char *name, const struct nt_diag_view *v)
{
	uint32_t n = v->cong_len > 15 ? 15 : v->cong_len;

	return !strncmp(name, v->cong, n) && !name[n];
}

uint8_t nt_cong_id(struct nt_engine *e, const struct nt_diag_view *v)
{
	uint32_t n = v->cong_len > 15 ? 15 : v->cong_len;

	if (!v->cong || !n)
		return 0;
	for (uint32_t i = 1; i <= e->n_cong; i++)
		if (is_cong(e->cong_names[i], v))
			return (uint8_t)i;
	if (e->n_cong == 255)
		return 0;
	memcpy(e->cong_names[++e->n_cong], v->cong, n);
	return (uint8_t)e->n_cong;
}

static void take_gauges(struct nt_rec *rec, const struct nt_diag_view *v, struct nt_facts *f)
{
	f->notsent_bytes = nt_info32(v, TI_NOTSENT_BYTES);
	f->unacked = nt_info32(v, TI_UNACKED);
	f->rto_us = nt_info32(v, TI_RTO);
	f->snd_wnd = v->info_len >= TI_SND_WND + 4 ? nt_info32(v, TI_SND_WND) : UINT32_MAX;
	f->last_data_recv_ms = nt_info32(v, TI_LAST_DATA_RECV);
	f->last_ack_recv_ms = nt_info32(v, TI_LAST_ACK_RECV);

	rec->ca_state = nt_info8(v, TI_CA_STATE);
	rec->retransmits = nt_info8(v, TI_RETRANSMITS);
	rec->backoff = nt_info8(v, TI_BACKOFF);
	rec->rtt_us = nt_info32(v, TI_RTT);
	rec->rttvar_us = nt_info32(v, TI_RTTVAR);
	rec->min_rtt_us = v->info_len >= TI_MIN_RTT + 4 ? nt_info32(v, TI_MIN_RTT) :
							  NT_MIN_RTT_UNKNOWN;
	rec->snd_cwnd = nt_info32(v, TI_SND_CWND);
	rec->lost = nt_info32(v, TI_LOST);
	rec->flags &= ~(uint32_t)NT_F_APP_LIMITED;
	if (nt_info8(v, TI_DELIVERY_RATE_APP_LIMITED) & 1)
		rec->flags |= NT_F_APP_LIMITED;
}

static void no_flow(struct nt_rec *rec)
{
	rec->flow_bytes_per_s = rec->flow_rx_bytes_per_s = 0;
	rec->flags &= ~(uint32_t)NT_F_FLOW_RX;
}

/* before: it has a mean already. */
static void roll_flow(struct nt_rec *rec, float dt_s, bool before)
{
	bool received = rec->rx_bytes_per_s > rec->tx_bytes_per_s;
	float flow = received ? rec->rx_bytes_per_s : rec->tx_bytes_per_s;
	float flow_rx = received ? flow : 0, weight = before ? dt_s / (dt_s + FLOW_MEAN_S) : 1;

	rec->flow_bytes_per_s += (flow - rec->flow_bytes_per_s) * weight;
	rec->flow_rx_bytes_per_s += (flow_rx - rec->flow_rx_bytes_per_s) * weight;
	if (rec->flow_bytes_per_s < 0.5f)
		no_flow(rec);
	else if (rec->flow_rx_bytes_per_s * 2 > rec->flow_bytes_per_s)
		rec->flags |= NT_F_FLOW_RX;
	else
		rec->flags &= ~(uint32_t)NT_F_FLOW_RX;
}

static void roll_rates(struct nt_rec *rec, const struct nt_diag_view *v, struct nt_facts *f)
{
	float per_s = 1.0f / f->dt_s;
	uint64_t acked = nt_info64(v, TI_BYTES_ACKED) - rec->bytes_acked;
	uint64_t received = nt_info64(v, TI_BYTES_RECEIVED) - rec->bytes_received;

	f->new_retrans = nt_info32(v, TI_TOTAL_RETRANS) - rec->total_retrans;
	/* Before Linux 6.7 the kernel does not count time-outs; only they lead to this state. */
	if (v->info_len >= TI_TOTAL_RTO + 2)
		f->new_rto = (uint16_t)(nt_info16(v, TI_TOTAL_RTO) - rec->total_rto);
	else
		f->new_rto = f->new_retrans && rec->ca_state == CA_LOSS;
	f->acked = acked > 0;
	rec->tx_bytes_per_s = (float)acked * per_s;
	rec->rx_bytes_per_s = (float)received * per_s;
	rec->retrans_per_s = (float)f->new_retrans * per_s;
	roll_flow(rec, f->dt_s, rec->flags & NT_F_RATES);
	rec->flags |= NT_F_RATES;
}

/* Of so many samples srtt is these alone: each weighs an eighth, what was before seven. */
#define SAMPLES_MOST 32

/* Fewer are no reason to say that it rose further than srtt did. */
#define SAMPLES_TO_RISE 8

/* So few that srtt is partly of those before: what they were like, at most or at least. */
static uint32_t rtt_of(uint32_t samples, uint32_t before_us, uint32_t now_us)
{
	float rest = 1;

	if (!before_us || !samples || samples > SAMPLES_MOST ||
	    (now_us >= before_us && samples < SAMPLES_TO_RISE))
		return now_us;
	while (samples--)
		rest *= 7.0f / 8;
	float us = ((float)now_us - (float)before_us * rest) / (1 - rest);

	if (us >= 4294967040.0F) /* the largest float that is one */
		return UINT32_MAX;
	return us > 0 ? (uint32_t)us : 0;
}

/* before_us: srtt when the interval began; an acknowledged segment makes one sample at most. */
static void take_rtt(struct nt_rec *rec, const struct nt_diag_view *v, uint32_t before_us,
		     struct nt_facts *f)
{
	uint32_t out = nt_info32(v, TI_DATA_SEGS_OUT);
	uint16_t done = (uint16_t)(out > f->unacked ? out - f->unacked : 0); /* a SYN is no data */

	/* The count's width ends; so many bytes are more segments than count for anything. */
	if (nt_info64(v, TI_BYTES_ACKED) - rec->bytes_acked > SAMPLES_MOST * (uint64_t)UINT16_MAX)
		before_us = 0;
	f->rtt_now_us = rtt_of((uint16_t)(done - rec->segs_done), before_us, rec->rtt_us);
	rec->segs_done = done;
}

static void take_counters(struct nt_rec *rec, const struct nt_diag_view *v)
{
	rec->bytes_sent = nt_info64(v, TI_BYTES_SENT);
	rec->bytes_acked = nt_info64(v, TI_BYTES_ACKED);
	rec->bytes_received = nt_info64(v, TI_BYTES_RECEIVED);
	rec->bytes_retrans = nt_info64(v, TI_BYTES_RETRANS);
	rec->total_retrans = nt_info32(v, TI_TOTAL_RETRANS);
	rec->dsack_dups = nt_info32(v, TI_DSACK_DUPS);
	rec->total_rto = nt_info16(v, TI_TOTAL_RTO);
}

static void update_drops(const struct nt_engine *e, struct nt_rec *rec,
			 const struct nt_diag_view *v, bool fresh, struct nt_facts *f)
{
	const struct nt_dropped *seen;
	uint32_t drops, rcvbuf;

	if (v->skmem_len < 36)
		return;
	memcpy(&drops, v->skmem + 32, 4);
	rec->flags |= NT_F_SKMEM;
	if (fresh) {
		rec->drops = drops;
		return;
	}
	if (!f->rolled)
		return;
	f->new_drops = drops - rec->drops;
	memcpy(&rcvbuf, v->skmem + 4, 4);
	f->queue_full = (uint64_t)rec->rqueue * 4 >= (uint64_t)rcvbuf * 3;
	seen = f->new_drops ? nt_dropped_of(e, rec->cookie) : NULL;
	if (seen)
		memcpy(f->dropped, seen->by, sizeof(f->dropped));
	rec->drops_per_s = (float)f->new_drops / f->dt_s;
	rec->drops = drops;
}

/*
 * Of so many packets that were dropped here, those that TCP may still resend: none that was
 * acknowledged, and what was dropped a whole RTO ago it knows to be lost.
 */
static uint32_t still_missing(const struct nt_rec *rec, const struct nt_facts *f, uint32_t now,
			      uint32_t dropped)
{
	uint64_t most = f->unacked;

	if (f->dt_s * 1e6F >= (float)f->rto_us && most > (uint64_t)now + rec->lost)
		most = (uint64_t)now + rec->lost;
	return dropped < most ? dropped : (uint32_t)most;
}

/* Rarer the longer no answer comes, so it is remembered for as long as the kernel backs off. */
static void note_lost_here(const struct nt_engine *e, struct nt_rec *rec, uint32_t now_s,
			   struct nt_facts *f)
{
	const struct nt_dropped *d = nt_dropped_of(e, rec->cookie);
	uint32_t now = d ? d->segs_here : 0, resent = f->new_retrans;
	/* What an interval dropped and did not resend is resent in those that follow. */
	uint32_t here = now + rec->here_left;
	uint32_t left = still_missing(rec, f, now, here > resent ? here - resent : 0);
	uint32_t backoff = rec->backoff < NT_LOST_HERE_BACKOFF ? rec->backoff :
								 NT_LOST_HERE_BACKOFF;
	uint32_t lasts_s = NT_LOST_HERE_S + (1U << backoff);

	rec->here_left = left < UINT8_MAX ? (uint8_t)left : UINT8_MAX;
	if ((now || resent) && here && (uint64_t)here * 2 >= resent)
		rec->lost_here_s = now_s + 1;
	else if (resent > 2 + 2ULL * here) /* the two are not of quite the same moment */
		rec->lost_here_s = 0;
	f->lost_here = rec->lost_here_s && now_s + 1 - rec->lost_here_s < lasts_s;
}

static void no_traffic(struct nt_rec *rec)
{
	rec->tx_bytes_per_s = rec->rx_bytes_per_s = rec->retrans_per_s = 0;
	no_flow(rec);
	rec->flags |= NT_F_RATES;
}

/* What a UDP socket moved is known to the wait plane alone. */
static bool udp_rates(const struct nt_engine *e, struct nt_rec *rec, float dt_s)
{
	const struct nt_plane *p = nt_rec_plane(e, rec);

	if (!p || !(p->has & NT_P_UDP) || !p->udp.over_ns || rec->flags & NT_F_WAIT_UNTRACED)
		return false;
	float per_s = 1e9f / (float)p->udp.over_ns;

	rec->tx_bytes_per_s = (float)p->udp.tx_bytes * per_s;
	rec->rx_bytes_per_s = (float)p->udp.rx_bytes * per_s;
	rec->retrans_per_s = 0;
	roll_flow(rec, dt_s, rec->flags & NT_F_MOVED);
	return true;
}

static void count(struct nt_engine *e, const struct nt_rec *rec)
{
	struct nt_totals *t = &e->totals;

	if (rec->proto == NT_PROTO_UDP) {
		t->udp++;
	} else if (rec->proto == NT_PROTO_MPTCP) {
		t->mptcp++;
	} else {
		t->tcp++;
		t->by_state[rec->state & 15]++;
	}
}

/* Only what rests is looked at more closely. */
static bool may_rest(const struct nt_rec *rec)
{
	return !(rec->level | rec->verdicts) && rec->tx_bytes_per_s + rec->rx_bytes_per_s == 0 &&
	       rec->flow_bytes_per_s == 0;
}

void nt_update(struct nt_engine *e, uint32_t netns, uint8_t proto, const struct nt_diag_view *v,
	       bool lookup)
{
	const struct inet_diag_msg *m = v->msg;
	struct nt_facts f = { .snd_wnd = UINT32_MAX };
	uint64_t now_ms = nt_ms_of(e, e->now_ns);
	uint32_t low_ms = (uint32_t)now_ms;
	struct nt_proc proc;
	bool fresh = false;
	int err;

	if (!v->cookie) {
		e->totals.malformed++;
		return;
	}
	if (e->config.family) {
		uint8_t family = m->idiag_family;

		if (family == AF_INET6 && is_mapped(m->id.idiag_src))
			family = AF_INET;
		if (family != e->config.family)
			return;
	}
	uint32_t i = lookup ? nt_table_find(&e->table, v->cookie) :
			      nt_table_upsert(&e->table, v->cookie, &fresh);

	if (i == NT_NONE) {
		if (!lookup)
			nt_fail(e, netns, proto, 0, ENOMEM);
		return;
	}
	struct nt_rec room, *rec = nt_rec_take(&e->table, i, &room);

	if (!lookup) {
		if (e->table.seen[i] == e->sweep) {
			e->totals.duplicates++;
			return;
		}
		e->table.seen[i] = e->sweep;
	}
	bool other_ends = rec->state != m->idiag_state || rec->sport != ntohs(m->id.idiag_sport) ||
			  rec->dport != ntohs(m->id.idiag_dport);

	if (fresh || other_ends) {
		rec->state_since_s = (uint32_t)(now_ms / 1000);
		rec->state = m->idiag_state;
		identify(rec, v);
	} else if (proto == NT_PROTO_UDP) {
		identify(rec, v);
	}
	if (fresh) {
		rec->netns = netns;
		rec->proto = proto;
		if (m->idiag_family == AF_INET6)
			e->table.mark[i] |= NT_M_V6;
		rec->first_seen_s = (uint32_t)(now_ms / 1000);
		rec->base_ns = e->now_ns;
		rec->min_rtt_us = NT_MIN_RTT_UNKNOWN;
		e->totals.opened++;
	}
	rec->flags = (rec->flags & ~(uint32_t)(NT_F_NEW | NT_F_MISSED)) | (fresh ? NT_F_NEW : 0);
	rec->uid = m->idiag_uid;
	rec->ifindex = m->id.idiag_if; /* it may be bound later */
	if (!lookup && proto == NT_PROTO_TCP && rec->state == NT_TCP_LISTEN)
		nt_note_listener(e, rec);
	if (rec->inode && rec->inode != m->idiag_inode && e->procs)
		nt_procs_gone(e->procs, rec->inode);
	/* A connection that is accepted gets one later. */
	if (rec->inode != m->idiag_inode && e->keep && e->procs)
		nt_holders_ask(e, m->idiag_inode, false);
	rec->inode = m->idiag_inode;
	rec->timer = m->idiag_timer;
	rec->timer_retrans = m->idiag_retrans;
	rec->rqueue = m->idiag_rqueue;
	rec->wqueue = m->idiag_wqueue;
	rec->cgroup_id = v->cgroup_id;
	if (v->cong && !is_cong(e->cong_names[rec->cong_id], v))
		rec->cong_id = nt_cong_id(e, v);

	uint64_t dt_ns = e->now_ns - rec->base_ns;

	f.rolled = !fresh && !lookup && dt_ns >= (uint64_t)e->roll_ms * 1000000;
	f.dt_s = (float)((double)dt_ns / 1e9);
	f.has_info = proto == NT_PROTO_TCP && v->info_len >= 104 && rec->state != NT_TCP_LISTEN;
	bool still = !fresh && !lookup && !other_ends && f.has_info && nt_rec_rests(&e->table, i) &&
		     !(e->table.mark[i] & NT_M_FINAL) && nt_still(e, rec, v);

	if (still) {
		take_gauges(rec, v, &f);
		nt_stay(rec, f.rolled, e->now_ns, low_ms);
	} else if (f.has_info) {
		/* A socket that connects once more is not the one that closed. */
		if (e->table.mark[i] & NT_M_FINAL)
			nt_last_rates(e, i, rec);
		rec->flags |= NT_F_INFO | NT_F_MOVED;
		uint32_t before_us = rec->rtt_us;

		take_gauges(rec, v, &f);
		f.rtt_now_us = rec->rtt_us;
		/* A counter that went back is another connection: no rate from it. */
		bool restart = nt_info64(v, TI_BYTES_ACKED) < rec->bytes_acked ||
			       nt_info64(v, TI_BYTES_RECEIVED) < rec->bytes_received ||
			       (int32_t)(nt_info32(v, TI_TOTAL_RETRANS) - rec->total_retrans) < 0;

		if (f.rolled && restart) {
			rec->flags &= ~(uint32_t)(NT_F_RATES | NT_F_RETR_PCT);
			rec->here_left = 0;
			rec->lost_here_s = 0;
		}
		if (f.rolled && !restart && v->info_len >= TI_BYTES_RECEIVED + 8)
			roll_rates(rec, v, &f);
		if (f.rolled || fresh) {
			nt_roll_limited(rec, v, fresh, low_ms, &f);
			nt_roll_loss(rec, v, fresh || restart, now_ms, &f);
			take_rtt(rec, v, fresh || restart ? 0 : before_us, &f);
			take_counters(rec, v);
			note_lost_here(e, rec, (uint32_t)(now_ms / 1000), &f);
			f.events = e->events != NULL;
			nt_note_limits(rec, v, &f);
		}
		nt_bound_unread(rec, v, fresh, low_ms, &f);
	} else {
		/* Before TIME_WAIT it moved something; in it, nothing. */
		if (f.rolled && rec->flags & NT_F_INFO)
			nt_last_rates(e, i, rec);
		else if (f.rolled && proto == NT_PROTO_UDP && udp_rates(e, rec, f.dt_s))
			rec->flags |= NT_F_RATES | NT_F_MOVED;
		else if (f.rolled) {
			no_traffic(rec);
			rec->flags &= ~(uint32_t)NT_F_MOVED;
		}
		rec->flags &= ~(uint32_t)NT_F_INFO;
		if (proto == NT_PROTO_MPTCP)
			nt_bound_mptcp(rec, v, fresh, low_ms, &f);
		else
			rec->flags &= ~(uint32_t)NT_F_OLDEST_UNREAD;
	}
	if (!still) {
		f.plane = (struct nt_plane *)nt_rec_plane(e, rec);
		nt_take_unread(e, rec, v, &f);
		update_drops(e, rec, v, fresh, &f);
	}
	if (!still && (f.rolled || fresh)) {
		nt_take_cpu_wait(e, rec, &f);
		nt_take_cause(e, rec, &f);
		if (f.acked)
			nt_note_peer(e, rec);
		f.slow_peer = f.has_info && nt_is_slow(e, rec);
		nt_judge(&e->config, rec, &f, now_ms);
		rec->base_ns = e->now_ns;
	}

	if (lookup) {
		struct nt_detail *d = (struct nt_detail *)nt_rec_detail(e, rec);

		if (d)
			nt_detail_fill(d, v);
		nt_rec_put(&e->table, i, rec);
		return;
	}
	count(e, rec);
	struct nt_filter_view fv = nt_view_of(e, rec, v, &proc);

	if (nt_match(e, rec, &fv)) {
		e->table.mark[i] |= NT_M_MATCH;
		nt_tally(e, &e->totals, rec);
		if (nt_keys_add(&e->next, nt_key_of(e, i, &fv)))
			nt_fail(e, netns, proto, 0, ENOMEM);
		struct nt_detail *d = nt_detail_new(e);

		rec->detail = d ? e->back.n : 0;
		if (d)
			nt_detail_fill(d, v);
	} else {
		e->table.mark[i] &= (uint8_t)~NT_M_MATCH;
	}
	if (still) {
		err = nt_rec_put_still(&e->table, i, rec);
	} else if (f.rolled && may_rest(rec)) {
		nt_rest_forget(rec, now_ms);
		err = nt_rec_rest(&e->table, i, rec);
	} else {
		err = nt_rec_put(&e->table, i, rec);
	}
	if (err)
		nt_fail(e, netns, proto, 0, ENOMEM);
}
