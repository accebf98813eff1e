// SPDX-License-Identifier: MIT
/* From one parsed message to a record: deltas, rates, limited-by shares, match and key. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"
#include "nt_holders.h"
#include "nt_planes.h"

#define CA_LOSS 4 /* TCP_CA_Loss */

/* How often the base of the loss window moves on: the window spans one to two of these. */
#define LOSS_STEP_MS 5000
/* A network that duplicated so long ago may do so still. */
#define NETWORK_DUPLICATES_S 300
/* The kernel counts the limits in jiffies: shorter windows say little. */
#define LIMITED_WINDOW_MS 950
#define LIMITED_WINDOW_MAX_MS (60U * 60 * 1000)
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

/* What was sent and resent, in bytes where the kernel counts them (4.19), else in segments. */
static void sent_words(const struct nt_diag_view *v, uint64_t *sent, uint64_t *resent)
{
	if (v->info_len >= TI_BYTES_RETRANS + 8) {
		*sent = nt_info64(v, TI_BYTES_SENT);
		*resent = nt_info64(v, TI_BYTES_RETRANS);
	} else {
		*sent = nt_info32(v, TI_DATA_SEGS_OUT);
		*resent = nt_info32(v, TI_TOTAL_RETRANS);
	}
}

/*
 * A DSACK says that the peer got a segment twice, not that we sent it twice: a network that
 * duplicates earns them too. Where they outnumber what was resent (up to one interval before,
 * for they take a round trip) that network is seen, and they prove nothing for a while.
 */
static bool network_duplicates(struct nt_rec *rec, uint32_t retrans, uint32_t dsacks,
			       uint32_t now_s, float dt_s)
{
	uint32_t reported = dsacks - rec->loss_dsacks[0];
	uint32_t resent = retrans - rec->loss_retrans[0] + rec->loss_lag;

	/* One too many may be a chance. */
	if (dsacks > retrans + 1 || (reported > resent + 1 && (float)rec->rtt_us * 2e-6f < dt_s))
		rec->loss_dups_s = now_s + 1;
	return rec->loss_dups_s && now_s + 1 - rec->loss_dups_s < NETWORK_DUPLICATES_S;
}

static void roll_loss_window(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh,
			     uint64_t time_ms, struct nt_facts *f)
{
	uint32_t now_ms = (uint32_t)time_ms; /* the low word: differences count */
	uint32_t retrans = nt_info32(v, TI_TOTAL_RETRANS);
	uint32_t dsacks = v->info_len >= TI_DSACK_DUPS + 4 ? nt_info32(v, TI_DSACK_DUPS) : 0;
	uint64_t sent, resent;

	sent_words(v, &sent, &resent);
	if (fresh) {
		rec->loss_at_ms = now_ms;
		rec->loss_lag = 0;
		rec->loss_dups_s = 0;
		rec->loss_retrans[0] = rec->loss_retrans[1] = retrans;
		rec->loss_dsacks[0] = rec->loss_dsacks[1] = dsacks;
		rec->loss_sent[0] = rec->loss_sent[1] = sent;
		rec->loss_resent[0] = rec->loss_resent[1] = resent;
	} else if (now_ms - rec->loss_at_ms >= LOSS_STEP_MS) {
		rec->loss_at_ms = now_ms;
		rec->loss_lag = (uint32_t)f->new_retrans;
		rec->loss_retrans[1] = rec->loss_retrans[0];
		rec->loss_dsacks[1] = rec->loss_dsacks[0];
		rec->loss_sent[1] = rec->loss_sent[0];
		rec->loss_resent[1] = rec->loss_resent[0];
		rec->loss_retrans[0] = retrans;
		rec->loss_dsacks[0] = dsacks;
		rec->loss_sent[0] = sent;
		rec->loss_resent[0] = resent;
	}
	uint32_t all = retrans - rec->loss_retrans[1], spurious = dsacks - rec->loss_dsacks[1];
	uint64_t d_sent = sent - rec->loss_sent[1];
	/* By segments: a DSACK does not say how large they were. */
	float share = d_sent ? (float)(resent - rec->loss_resent[1]) / (float)d_sent : 0;

	if (network_duplicates(rec, retrans, dsacks, (uint32_t)(time_ms / 1000), f->dt_s))
		spurious = 0;
	if (spurious > all)
		spurious = all;
	f->loss_retrans = all - spurious;
	f->loss_pct = all ? 100.0f * share * (float)f->loss_retrans / (float)all : 0;
	if (f->loss_pct > 100)
		f->loss_pct = 100;
	rec->flags &= ~(uint32_t)NT_F_RETR_PCT;
	if (d_sent && v->info_len >= TI_BYTES_RETRANS + 8) {
		rec->retr_pct = f->loss_pct;
		rec->flags |= NT_F_RETR_PCT;
	}
}

static uint8_t share(uint32_t part_ms, uint32_t whole_ms)
{
	uint64_t pct = ((uint64_t)part_ms * 100 + whole_ms / 2) / whole_ms;

	return (uint8_t)(pct > 100 ? 100 : pct);
}

/*
 * The congestion window holds data back: it is full, or so nearly that the kernel waits for
 * room for a larger burst (tcp_tso_should_defer). A sender that resends on time-outs waits for
 * an answer, one that runs at the rate its program set for its own clock.
 */
static bool cwnd_holds(const struct nt_rec *rec, const struct nt_diag_view *v,
		       const struct nt_facts *f)
{
	uint64_t most = nt_info64(v, TI_MAX_PACING_RATE);
	bool paced = most != UINT64_MAX && nt_info64(v, TI_PACING_RATE) >= most;

	if (!f->unacked || rec->retransmits)
		return false;
	if (f->unacked >= rec->snd_cwnd)
		return f->notsent_bytes || !(rec->flags & NT_F_APP_LIMITED);
	return !paced && f->notsent_bytes >= nt_info32(v, TI_SND_MSS) &&
	       (uint64_t)f->unacked * 3 >= (uint64_t)rec->snd_cwnd * 2;
}

/*
 * All that the program was let write is on its way, and there is no room for more: it is woken
 * once a third of the buffer is free. The kernel itself counts this only if it sees the program
 * wait in the moment in which it sends the last segment.
 */
static bool sndbuf_holds(const struct nt_rec *rec, const struct nt_diag_view *v,
			 const struct nt_facts *f)
{
	uint32_t mem[6]; /* SK_MEMINFO_*: 3 SNDBUF, 5 WMEM_QUEUED */

	if (v->skmem_len < sizeof(mem) || !f->unacked || rec->retransmits)
		return false;
	memcpy(mem, v->skmem, sizeof(mem));
	return f->notsent_bytes < nt_info32(v, TI_SND_MSS) &&
	       (uint64_t)mem[5] * 3 >= (uint64_t)mem[3] * 2;
}

/*
 * rwnd as the kernel counts it; what it counts as sndbuf, and the rest of the busy time if the
 * buffer is what held data back; else that is the congestion window's if data waited for it,
 * else it waited for an ACK, for pacing, or for more to fill a segment with.
 */
static void roll_limited(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh,
			 uint32_t now_ms, const struct nt_facts *f)
{
	uint32_t busy = (uint32_t)(nt_info64(v, TI_BUSY_TIME) / 1000);
	uint32_t rwnd = (uint32_t)(nt_info64(v, TI_RWND_LIMITED) / 1000);
	uint32_t sndbuf = (uint32_t)(nt_info64(v, TI_SNDBUF_LIMITED) / 1000);
	uint32_t window = now_ms - rec->lim_at_ms;

	rec->busy_ms = busy;
	rec->rwnd_limited_ms = rwnd;
	rec->sndbuf_limited_ms = sndbuf;
	if (v->info_len < TI_SNDBUF_LIMITED + 8)
		return;
	if (!fresh && window < LIMITED_WINDOW_MS)
		return;
	if (!fresh && window < LIMITED_WINDOW_MAX_MS) {
		uint32_t d_busy = busy - rec->lim_busy_ms, d_rwnd = rwnd - rec->lim_rwnd_ms;
		uint32_t d_sndbuf = sndbuf - rec->lim_sndbuf_ms;

		/* A jiffy more than the window is the rounding of two clocks. */
		if (d_busy > window)
			d_busy = window;
		if (d_rwnd > d_busy)
			d_rwnd = d_busy;
		if (d_sndbuf > d_busy - d_rwnd)
			d_sndbuf = d_busy - d_rwnd;
		uint32_t rest = d_busy - d_rwnd - d_sndbuf;

		bool cwnd = cwnd_holds(rec, v, f);

		if (!cwnd && sndbuf_holds(rec, v, f)) {
			d_sndbuf += rest;
			rest = 0;
		}
		rec->lim_rwnd_pct = share(d_rwnd, window);
		rec->lim_sndbuf_pct = share(d_sndbuf, window);
		rec->lim_cwnd_pct = cwnd ? share(rest, window) : 0;
		rec->lim_in_flight_pct = cwnd ? 0 : share(rest, window);
		uint32_t known = rec->lim_rwnd_pct + rec->lim_sndbuf_pct + rec->lim_cwnd_pct +
				 rec->lim_in_flight_pct;

		rec->lim_idle_pct = (uint8_t)(known < 100 ? 100 - known : 0);
		rec->flags |= NT_F_LIMITED;
	}
	rec->lim_at_ms = now_ms;
	rec->lim_busy_ms = busy;
	rec->lim_rwnd_ms = rwnd;
	rec->lim_sndbuf_ms = sndbuf;
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
	float flow = rec->tx_bytes_per_s > rec->rx_bytes_per_s ? rec->tx_bytes_per_s :
								 rec->rx_bytes_per_s;

	if (rec->flags & NT_F_RATES)
		rec->flow_bytes_per_s += (flow - rec->flow_bytes_per_s) * f->dt_s /
					 (f->dt_s + FLOW_MEAN_S);
	else
		rec->flow_bytes_per_s = flow;
	if (rec->flow_bytes_per_s < 0.5f)
		rec->flow_bytes_per_s = 0;
	rec->flags |= NT_F_RATES;
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

/* Rarer the longer no answer comes, so it is remembered for as long as the kernel backs off. */
static void note_lost_here(const struct nt_engine *e, struct nt_rec *rec, uint32_t now_s,
			   struct nt_facts *f)
{
	const struct nt_dropped *d = nt_dropped_of(e, rec->cookie);
	uint32_t here = d ? d->by[NT_D_HERE] : 0;
	uint32_t lasts_s = 10 + (1U << (rec->backoff < 7 ? rec->backoff : 7));

	if (here && (uint64_t)here * 2 >= f->new_retrans)
		rec->lost_here_s = now_s + 1;
	else if (f->new_retrans > 2 + 2ULL * here) /* the two are not of quite the same moment */
		rec->lost_here_s = 0;
	f->lost_here = rec->lost_here_s && now_s + 1 - rec->lost_here_s < lasts_s;
}

static void no_traffic(struct nt_rec *rec)
{
	rec->tx_bytes_per_s = rec->rx_bytes_per_s = rec->retrans_per_s = rec->flow_bytes_per_s = 0;
	rec->flags |= NT_F_RATES;
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

void nt_update(struct nt_engine *e, uint32_t netns, uint8_t proto, const struct nt_diag_view *v,
	       bool lookup)
{
	const struct inet_diag_msg *m = v->msg;
	struct nt_facts f = { .snd_wnd = UINT32_MAX };
	uint64_t now_ms = nt_ms_of(e, e->now_ns);
	uint32_t low_ms = (uint32_t)now_ms;
	struct nt_proc proc;
	bool fresh = false;

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
	struct nt_rec *rec = nt_rec_at(&e->table, i);

	if (!lookup) {
		if (e->table.seen[i] == e->sweep) {
			e->totals.duplicates++;
			return;
		}
		e->table.seen[i] = e->sweep;
	}
	if (fresh || rec->state != m->idiag_state || rec->sport != ntohs(m->id.idiag_sport) ||
	    rec->dport != ntohs(m->id.idiag_dport)) {
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
	rec->miss = 0;
	rec->uid = m->idiag_uid;
	rec->ifindex = m->id.idiag_if; /* it may be bound later */
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
	if (f.has_info) {
		/* A socket that connects once more is not the one that closed. */
		if (e->table.mark[i] & NT_M_FINAL)
			nt_last_rates(e, i);
		rec->flags |= NT_F_INFO;
		take_gauges(rec, v, &f);
		/* A counter that went back is another connection: no rate from it. */
		bool restart = nt_info64(v, TI_BYTES_ACKED) < rec->bytes_acked ||
			       nt_info64(v, TI_BYTES_RECEIVED) < rec->bytes_received ||
			       (int32_t)(nt_info32(v, TI_TOTAL_RETRANS) - rec->total_retrans) < 0;

		if (f.rolled && restart)
			rec->flags &= ~(uint32_t)(NT_F_RATES | NT_F_RETR_PCT);
		if (f.rolled && !restart && v->info_len >= TI_BYTES_RECEIVED + 8)
			roll_rates(rec, v, &f);
		if (f.rolled || fresh) {
			roll_limited(rec, v, fresh, low_ms, &f);
			roll_loss_window(rec, v, fresh || restart, now_ms, &f);
			take_counters(rec, v);
			note_lost_here(e, rec, (uint32_t)(now_ms / 1000), &f);
		}
		nt_bound_unread(rec, v, fresh, low_ms, &f);
	} else {
		/* Before TIME_WAIT it moved something; in it, nothing. */
		if (f.rolled && rec->flags & NT_F_INFO)
			nt_last_rates(e, i);
		else if (f.rolled)
			no_traffic(rec);
		rec->flags &= ~(uint32_t)(NT_F_INFO | NT_F_OLDEST_UNREAD);
	}
	f.plane = nt_rec_plane(e, rec);
	nt_take_unread(e, rec, v, &f);
	update_drops(e, rec, v, fresh, &f);
	if (f.rolled || fresh) {
		nt_take_cpu_wait(e, rec, &f);
		nt_judge(&e->config, rec, &f, now_ms);
		rec->base_ns = e->now_ns;
	}

	if (lookup) {
		struct nt_detail *d = (struct nt_detail *)nt_rec_detail(e, rec);

		if (d)
			nt_detail_fill(d, v);
		return;
	}
	count(e, rec);
	struct nt_filter_view fv = nt_view_of(e, rec, v, &proc);

	if (!nt_match(e, rec, &fv)) {
		e->table.mark[i] &= (uint8_t)~NT_M_MATCH;
		return;
	}
	e->table.mark[i] |= NT_M_MATCH;
	nt_tally(e, &e->totals, rec);
	if (nt_keys_add(&e->next, nt_key_of(e, i, &fv)))
		nt_fail(e, netns, proto, 0, ENOMEM);
	struct nt_detail *d = nt_detail_new(e);

	rec->detail = d ? e->back.n : 0;
	if (d)
		nt_detail_fill(d, v);
}
