// SPDX-License-Identifier: MIT
/* The verdicts of the diag plane: which conditions hold, for how long, how loud. */
#include <errno.h>
#include <string.h>

#include "nt_api.h"
#include "nt_engine.h"
#include "nt_rules.h"

/* What makes a verdict, and where it becomes unwell. */
void nt_config_default(struct nt_config *c)
{
	memset(c, 0, sizeof(*c));
	/* Connected sockets and listeners; TIME_WAIT, requests and bound ones only when asked for. */
	c->tcp_states = 0xffffffffU & ~(1U << NT_TCP_TIME_WAIT | 1U << NT_TCP_SYN_RECV |
					1U << NT_TCP_NEW_SYN_RECV | 1U << NT_TCP_BOUND_INACTIVE);
	c->udp = 1;
	c->mptcp = 1;
	c->roll_ms = 100;
	c->detail_max = 4096;
	c->loss_pct[0] = 0.5f;
	c->loss_pct[1] = 2;
	c->loss_retrans = 3;
	c->thin_pct = 2;
	c->reordered_pct = 1;
	c->holes_pct = 8;
	c->holes_steady_pct = 6;
	c->rtt_ratio[0] = 2;
	c->rtt_ratio[1] = 4;
	c->rtt_over_us = 10000;
	c->rwnd_pct[0] = 20;
	c->rwnd_pct[1] = 50;
	c->sndbuf_pct[0] = 20;
	c->sndbuf_pct[1] = 50;
	c->cwnd_pct = 20;
	c->rcvbuf_pct = 50;
	c->option_pct = 20;
	c->accept_pct[0] = 80;
	c->accept_pct[1] = 100;
	c->unread_ms[0] = 200;
	c->unread_ms[1] = 5000;
	c->unclosed_s = 60;
	c->drops_per_s[0] = 0;
	c->drops_per_s[1] = 100;
	c->wait_ms[0] = 20;
	c->wait_ms[1] = 200;
	c->wait_count = 5;
	c->qdisc_us[0] = c->nic_us[0] = 5000;
	c->qdisc_us[1] = c->nic_us[1] = 50000;
}

static const uint8_t who_of[NT_V_COUNT] = {
	[NT_V_UNREAD] = NT_WHO_APP, [NT_V_ACCEPT] = NT_WHO_APP,	 [NT_V_LOSS] = NT_WHO_NET,
	[NT_V_RTO] = NT_WHO_NET,    [NT_V_WINDOW] = NT_WHO_PEER, [NT_V_RTT] = NT_WHO_NET,
	[NT_V_SNDBUF] = NT_WHO_APP, [NT_V_DROPS] = NT_WHO_APP,	 [NT_V_UNCLOSED] = NT_WHO_APP,
	[NT_V_CWND] = NT_WHO_NET,   [NT_V_READS] = NT_WHO_APP,	 [NT_V_QDISC] = NT_WHO_KERN,
	[NT_V_NIC] = NT_WHO_NIC,    [NT_V_ORDER] = NT_WHO_NET,	 [NT_V_RCVBUF] = NT_WHO_APP,
	[NT_V_OPTION] = NT_WHO_APP,
};

int nt_who_of(uint32_t verdict)
{
	return verdict < NT_V_COUNT ? who_of[verdict] : -EINVAL;
}

/*
 * A sender with little to say sees its peer's delayed ACK, or an answer that carries
 * the ACK, as round-trip time: up to TCP_DELACK_MIN, two ticks and a timer that is late; that
 * is no fault.
 */
#define DELAYED_ACK_US 50000

/*
 * Mean and mean deviation of times from 0 to M are 9/8 M at most together; both are smoothed, the
 * second quicker than the first. What is more holds times that no delayed ACK takes.
 */
#define DELAYED_ACK_SPREAD_US 65000

static bool may_be_delayed_ack(const struct nt_rec *r, const struct nt_facts *f)
{
	uint32_t now_us = f->rtt_now_us, mean_us = now_us < r->rtt_us ? now_us : r->rtt_us;
	uint32_t over_us = now_us > r->min_rtt_us ? now_us - r->min_rtt_us : 0;
	uint32_t mean_over_us = mean_us > r->min_rtt_us ? mean_us - r->min_rtt_us : 0;
	/* Then the deviation is of those before, too. */
	bool fades = now_us < r->rtt_us / 2;

	return (r->flags & NT_F_APP_LIMITED || f->unacked <= 2) && over_us <= DELAYED_ACK_US &&
	       (fades || (uint64_t)mean_over_us + r->rttvar_us <= DELAYED_ACK_SPREAD_US);
}

/*
 * What lasted for an interval, and so many times its threshold or past the second one, needs no
 * second interval. Losses, round trips and what is seen in one look do.
 */
#define PLAIN_OVER 4

/* A first message that fits every path, so that none can swallow it for its size. */
#define SMALL_BYTES 536
/* Tries in a row that took longer than two intervals of a second: 1 + 2 s, or 0.2 + 0.4 + 0.8 s. */
#define SYN_TRIES 2
#define DATA_TRIES 3

/*
 * What was sent and is not answered. Time-outs in a row are a state: their events get rarer the
 * longer no answer comes, and end when the kernel gives up.
 */
static void hold_unanswered(const struct nt_rec *r, const struct nt_facts *f, struct nt_held *h)
{
	uint32_t tries = f->unacked ? r->retransmits : 0, lasting = DATA_TRIES;
	uint8_t because = NT_B_RTO;

	if (r->state == NT_TCP_SYN_SENT) {
		because = NT_B_SYN;
		lasting = SYN_TRIES;
	} else if (r->timer == NT_TIMER_PROBE || r->timer == NT_TIMER_KEEPALIVE) {
		/* One may be on its way; it is counted until an answer comes. */
		tries = r->timer_retrans >= 2 ? r->timer_retrans : 0;
		because = r->timer == NT_TIMER_KEEPALIVE ? NT_B_KEEPALIVE :
			  nt_refused_here(r, f)		 ? NT_B_UNSENT :
							   NT_B_PROBE;
		lasting = 2;
	} else if (tries >= 2 && r->bytes_acked <= 1 && r->wqueue <= SMALL_BYTES &&
		   r->state == NT_TCP_ESTABLISHED) {
		/* The host answered the handshake; the SYN counts as a byte. */
		because = NT_B_SILENT_PEER;
	}
	if (f->rolled && f->new_rto > tries) {
		tries = f->new_rto;
		if (because != NT_B_SYN && because != NT_B_UNSENT)
			because = NT_B_RTO;
	}
	if (!tries)
		return;
	/* Each try waits twice as long as the one before. */
	nt_hold(h, NT_V_RTO, (float)tries, 1, true);
	h->over[NT_V_RTO] = (float)(1U << (tries < 20 ? tries : 20));
	h->because[NT_V_RTO] = because;
	if (because == NT_B_SILENT_PEER)
		h->who[NT_V_RTO] = NT_WHO_PEER;
	if (because == NT_B_UNSENT)
		h->who[NT_V_RTO] = NT_WHO_KERN;
	if (tries >= lasting)
		h->spanning |= 1U << NT_V_RTO;
}

/* So long a slow exchange counts for those that follow now and then. */
#define RTT_PRESENT_MS 5000U

/* Of a new sample; the least of the two steps is 0 until both are known. */
static void note_rtt(struct nt_rec *r, bool high, uint32_t now_ms)
{
	uint32_t *low = r->rtt_low_us, age = now_ms - r->rtt_low_at_ms;

	r->rtt_at_ms = now_ms;
	r->rtt_high = (uint8_t)(high ? r->rtt_high + (r->rtt_high < 255) : 0);
	if (!low[0] || age >= NT_RTT_STEP_MS) {
		low[1] = age < NT_RTT_KEPT_MS ? low[0] : 0;
		low[0] = r->rtt_us;
		r->rtt_low_at_ms = now_ms;
	} else if (r->rtt_us < low[0]) {
		low[0] = r->rtt_us;
	}
}

/*
 * srtt far over its minimum, but only where it was measured now: an idle connection keeps that of
 * its last exchange. A level that holds, as after a change of route, is worth a word alone.
 */
static void hold_rtt(const struct nt_config *c, struct nt_rec *r, const struct nt_facts *f,
		     uint32_t now_ms, struct nt_held *h)
{
	bool known = r->min_rtt_us && r->min_rtt_us != NT_MIN_RTT_UNKNOWN;
	float ratio = known ? (float)r->rtt_us / (float)r->min_rtt_us : 0;
	float now = known ? (float)f->rtt_now_us / (float)r->min_rtt_us : 0;
	bool high = now >= c->rtt_ratio[0] && f->rtt_now_us - r->min_rtt_us >= c->rtt_over_us &&
		    !may_be_delayed_ack(r, f);

	if (f->acked)
		note_rtt(r, high, now_ms);
	else if (r->rtt_high < 2 || now_ms - r->rtt_at_ms >= RTT_PRESENT_MS)
		return;
	if (!high)
		return;
	uint32_t low = r->rtt_low_us[1] < r->rtt_low_us[0] ? r->rtt_low_us[1] : r->rtt_low_us[0];
	bool settled = (float)low >= (float)r->min_rtt_us * c->rtt_ratio[0] &&
		       (float)r->rtt_us < (float)low * c->rtt_ratio[0];

	nt_hold(h, NT_V_RTT, ratio, c->rtt_ratio[0], now >= c->rtt_ratio[1] && !settled);
	if (nt_within_host(r))
		h->who[NT_V_RTT] = NT_WHO_UNKNOWN;
}

bool nt_late_ack(const struct nt_config *c, const struct nt_rec *r, uint64_t now_ms)
{
	if (r->proto != NT_PROTO_TCP || !r->min_rtt_us || r->min_rtt_us == NT_MIN_RTT_UNKNOWN)
		return false;
	if (!r->rtt_at_ms || (uint32_t)now_ms - r->rtt_at_ms >= RTT_PRESENT_MS)
		return false;
	return (float)r->rtt_us >= (float)r->min_rtt_us * c->rtt_ratio[0] &&
	       r->rtt_us - r->min_rtt_us >= c->rtt_over_us &&
	       !((r->verdicts | r->verdict_past[0]) >> NT_V_RTT & 1);
}

/* What this host's own firewall, qdisc or device dropped never came to the network. */
static void blame_here(struct nt_held *h, enum nt_verdict v)
{
	if (!(h->mask >> v & 1))
		return;
	h->who[v] = NT_WHO_KERN;
	h->because[v] = NT_B_HERE;
}

/*
 * Congestion control finds the rate of its path by losing about one segment in W * W / 1.5 of a
 * window of W. A flow that fills its path, so that a queue stands there, and loses no more is well.
 */
static bool fills_its_path(const struct nt_rec *r, const struct nt_facts *f)
{
	float window = (float)r->snd_cwnd;

	return !f->lost_here && r->flags & NT_F_LIMITED && r->lim_cwnd_pct >= 50 &&
	       r->min_rtt_us >= 1000 && r->min_rtt_us != NT_MIN_RTT_UNKNOWN &&
	       (float)r->rtt_us >= 1.5f * (float)r->min_rtt_us && f->loss_pct < 2 &&
	       f->loss_pct * window * window <= 2 * 150;
}

static void hold_loss(const struct nt_config *c, const struct nt_rec *r, const struct nt_facts *f,
		      struct nt_held *h)
{
	bool many = f->loss_retrans >= c->loss_retrans && f->loss_pct >= c->loss_pct[0];
	bool thin = f->thin && f->loss_retrans >= 2 && f->loss_pct >= (float)c->thin_pct;

	if ((!many && !thin) || fills_its_path(r, f))
		return;
	nt_hold(h, NT_V_LOSS, f->loss_pct, c->loss_pct[0], many && f->loss_pct >= c->loss_pct[1]);
	/* Its window is of several intervals: what came in two of them need not come in a third. */
	if (f->new_retrans && f->loss_retrans > f->new_retrans)
		h->spanning |= 1U << NT_V_LOSS;
}

/* Where loss is named, its holes and the order that resending makes are explained by it. */
static void hold_order(const struct nt_config *c, const struct nt_facts *f, struct nt_held *h)
{
	uint8_t holes_pct = f->holes_steady ? c->holes_steady_pct : c->holes_pct;

	if (h->mask & (1U << NT_V_LOSS | 1U << NT_V_RTO))
		return;
	if (f->reordered_pct >= (float)c->reordered_pct) {
		nt_hold(h, NT_V_ORDER, f->reordered_pct, c->reordered_pct, false);
		h->because[NT_V_ORDER] = NT_B_REORDERED;
	} else if (f->holes_pct >= (float)holes_pct) {
		nt_hold(h, NT_V_ORDER, f->holes_pct, holes_pct, false);
		/* It was seen in four intervals. */
		if (f->holes_steady)
			h->spanning |= 1U << NT_V_ORDER;
	}
}

/* Two of an interval: one may be of a moment. */
#define MEMORY_DROPS 2

/* What came for it found no memory, of the protocol or of its cgroup. */
static void hold_no_memory(const struct nt_config *c, const struct nt_facts *f, struct nt_held *h)
{
	uint32_t drops = f->rolled ? f->dropped[NT_D_MEMORY] : 0;

	if (drops < MEMORY_DROPS)
		return;
	float per_s = (float)drops / f->dt_s;

	nt_hold(h, NT_V_DROPS, per_s, 1, per_s >= c->drops_per_s[1]);
	h->because[NT_V_DROPS] = NT_B_MEMORY;
	h->who[NT_V_DROPS] = NT_WHO_KERN;
}

static void hold_unread(const struct nt_config *c, const struct nt_rec *r, const struct nt_facts *f,
			struct nt_held *h)
{
	bool old = r->oldest_unread_ms >= c->unread_ms[0];

	if (!(r->flags & NT_F_OLDEST_UNREAD) || !(old || f->grows) || !f->readable)
		return;
	nt_hold(h, NT_V_UNREAD, (float)r->oldest_unread_ms, (float)c->unread_ms[0],
		r->oldest_unread_ms >= c->unread_ms[1] && f->readable > 0);
	if (f->grows)
		h->because[NT_V_UNREAD] = NT_B_GROWS;
	else if (!r->inode && r->proto == NT_PROTO_TCP && r->state == NT_TCP_ESTABLISHED)
		h->because[NT_V_UNREAD] = NT_B_NOT_TAKEN;
	if (f->readable < 0 || !old)
		h->who[NT_V_UNREAD] |= NT_WHO_MAYBE;
	if (r->oldest_unread_ms >= 2000)
		h->spanning |= 1U << NT_V_UNREAD;
}

static void hold_tcp(const struct nt_config *c, const struct nt_rec *r, const struct nt_facts *f,
		     struct nt_held *h)
{
	bool sends = r->state == NT_TCP_ESTABLISHED || r->state == NT_TCP_CLOSE_WAIT ||
		     r->state == NT_TCP_FIN_WAIT1;
	/* Then a share of what arrives is no question. */
	bool silent = f->unacked && r->retransmits >= 2 && f->last_ack_recv_ms >= 1000;

	if (f->rolled && !silent)
		hold_loss(c, r, f, h);
	hold_unanswered(r, f, h);
	if (f->lost_here) {
		blame_here(h, NT_V_LOSS);
		blame_here(h, NT_V_RTO);
	}
	bool held_back = r->flags & NT_F_LIMITED && r->lim_rwnd_pct >= c->rwnd_pct[0];

	if (sends && f->snd_wnd == 0 && r->wqueue) {
		/* Over 100 stands for a window that is shut. */
		nt_hold(h, NT_V_WINDOW, 101, c->rwnd_pct[0], true);
		if (r->backoff >= DATA_TRIES) /* probes, answered or not */
			h->spanning |= 1U << NT_V_WINDOW;
	} else if (held_back)
		nt_hold(h, NT_V_WINDOW, r->lim_rwnd_pct, c->rwnd_pct[0],
			r->lim_rwnd_pct >= c->rwnd_pct[1]);
	if (held_back && r->lim_rwnd_pct >= PLAIN_OVER * c->rwnd_pct[0])
		h->spanning |= 1U << NT_V_WINDOW;
	if (r->flags & NT_F_LIMITED && r->lim_sndbuf_pct >= c->sndbuf_pct[0])
		nt_hold(h, NT_V_SNDBUF, r->lim_sndbuf_pct, c->sndbuf_pct[0],
			r->lim_sndbuf_pct >= c->sndbuf_pct[1]);
	if (r->flags & NT_F_LIMITED && r->lim_cwnd_pct >= c->cwnd_pct)
		nt_hold(h, NT_V_CWND, r->lim_cwnd_pct, c->cwnd_pct, false);
	if (r->flags & NT_F_LIMITED && f->option && r->lim_in_flight_pct >= c->option_pct) {
		nt_hold(h, NT_V_OPTION, r->lim_in_flight_pct, c->option_pct, false);
		h->because[NT_V_OPTION] = f->option;
		if (f->option == NT_B_CORK && !f->events)
			h->who[NT_V_OPTION] |= NT_WHO_MAYBE;
	}
	if (f->rcvbuf_pct >= (float)c->rcvbuf_pct)
		nt_hold(h, NT_V_RCVBUF, f->rcvbuf_pct, c->rcvbuf_pct, false);
	hold_order(c, f, h);
	hold_no_memory(c, f, h);
	hold_unread(c, r, f, h);
	if (r->state == NT_TCP_CLOSE_WAIT && f->last_ack_recv_ms / 1000 >= c->unclosed_s) {
		/* The FIN came no later than the last packet. */
		nt_hold(h, NT_V_UNCLOSED, (float)f->last_ack_recv_ms / 1000, (float)c->unclosed_s,
			false);
		h->spanning |= 1U << NT_V_UNCLOSED;
	}
}

/*
 * Drops by what is known of their reasons. A counter alone says none, and what a filter or the
 * TTL refuses is no fault.
 */
static void hold_drops(const struct nt_config *c, const struct nt_rec *r, const struct nt_facts *f,
		       struct nt_held *h)
{
	static const struct {
		uint8_t because, who;
	} of[NT_D_COUNT] = {
		[NT_D_FULL] = { NT_B_FULL, NT_WHO_APP },
		[NT_D_CHECKSUM] = { NT_B_CHECKSUM, NT_WHO_NET },
		[NT_D_MEMORY] = { NT_B_MEMORY, NT_WHO_KERN },
		[NT_D_HERE] = { NT_B_HERE, NT_WHO_KERN },
		[NT_D_OTHER] = { NT_B_OTHER, NT_WHO_UNKNOWN },
	};
	bool listens = r->proto == NT_PROTO_TCP;
	uint32_t seen = 0, most = NT_D_FULL, faults;
	uint8_t because = NT_B_UNKNOWN, who = NT_WHO_UNKNOWN;

	if (!f->rolled || !f->new_drops)
		return;
	for (uint32_t k = 0; k < NT_D_COUNT; k++) {
		seen += f->dropped[k];
		if (k > NT_D_FULL && f->dropped[k] > f->dropped[most])
			most = k;
	}
	/* The two counts are not of quite the same moment. */
	if (seen + 2 + f->new_drops / 8 >= f->new_drops)
		faults = seen - f->dropped[NT_D_REFUSED];
	else
		faults = f->new_drops - f->dropped[NT_D_REFUSED];
	if (!faults)
		return;
	if (f->dropped[most] * 2 >= faults) {
		because = of[most].because;
		who = of[most].who;
	} else if (f->queue_full && !listens) {
		because = NT_B_FULL;
		who = NT_WHO_APP;
	}
	float per_s = (float)faults / f->dt_s;

	if (per_s < c->drops_per_s[0])
		return;
	/* A listener that drops for an unknown reason may be scanned, and is well. */
	nt_hold(h, NT_V_DROPS, per_s, 1,
		per_s >= c->drops_per_s[1] && !(listens && who == NT_WHO_UNKNOWN));
	if (h->unwell >> NT_V_DROPS & 1)
		h->spanning |= 1U << NT_V_DROPS;
	h->because[NT_V_DROPS] = because;
	h->who[NT_V_DROPS] = who;
}

static void hold_listener(const struct nt_config *c, struct nt_rec *r, const struct nt_facts *f,
			  struct nt_held *h)
{
	float pct = r->wqueue ? 100.0f * (float)r->rqueue / (float)r->wqueue : 0;
	bool long_now = pct >= (float)c->accept_pct[0] || (!r->wqueue && r->rqueue);
	bool long_before = r->flags & NT_F_QUEUE_LONG;

	r->flags &= ~(uint32_t)NT_F_QUEUE_LONG;
	/* With a queue that is empty whenever one looks, drops have another reason. */
	if ((long_now || long_before) && (f->new_drops || !r->wqueue) && pct < 100)
		pct = 100;
	if (pct < (float)c->accept_pct[0]) {
		hold_drops(c, r, f, h);
		return;
	}
	r->flags |= NT_F_QUEUE_LONG;
	nt_hold(h, NT_V_ACCEPT, pct, c->accept_pct[0], pct >= (float)c->accept_pct[1]);
}

static void hold_stage(struct nt_held *h, enum nt_verdict v, const struct nt_dist *d,
		       const uint32_t us[2])
{
	if (d->count && d->p99_ns >= us[0] * 1000ULL)
		nt_hold(h, v, (float)d->p99_ns / 1e6f, (float)us[0] / 1e3f,
			d->p99_ns >= us[1] * 1000ULL);
}

/* So many make a p99 that is not just the longest. */
#define QUANTILE_COUNT 100

/* Of few deliveries it is no single one that was late: they cost the flow something in the mean. */
static bool reads_late(const struct nt_config *c, const struct nt_dist *wait)
{
	uint64_t late_ns = c->wait_ms[0] * 1000000ULL;

	return wait->count >= c->wait_count && wait->p99_ns >= late_ns &&
	       (wait->count >= QUANTILE_COUNT || wait->sum_ns >= wait->count * late_ns / 4);
}

/* What only the BPF planes see. */
static void hold_planes(const struct nt_config *c, const struct nt_plane *p, struct nt_held *h)
{
	bool late = reads_late(c, &p->wait), unwell = p->wait.p99_ns >= c->wait_ms[1] * 1000000ULL;

	if (late)
		nt_hold(h, NT_V_READS, (float)p->wait.p99_ns / 1e6f, (float)c->wait_ms[0], unwell);
	/* Most of it was late, not a few. */
	if (late && unwell && p->wait.p50_ns >= c->wait_ms[0] * 1000000ULL)
		h->spanning |= 1U << NT_V_READS;
	hold_stage(h, NT_V_QDISC, &p->tx[NT_TX_QDISC], c->qdisc_us);
	hold_stage(h, NT_V_NIC, &p->tx[NT_TX_NIC], c->nic_us);
}

/*
 * Connections wait long before they are taken up: the queue stands, and fills, however few they are
 * since the program is slow. Where it was not given a CPU, READS says so.
 */
static void hold_late_accepts(const struct nt_config *c, const struct nt_rec *r,
			      const struct nt_facts *f, struct nt_held *h)
{
	const struct nt_dist *wait = &f->plane->wait;
	uint64_t most = wait->sum_ns < f->cpu.over_ns ? wait->sum_ns : f->cpu.over_ns;

	/* Of several at one port (SO_REUSEPORT) one alone may be late: not where none waits. */
	if (f->plane->has & NT_P_WAIT_SHARED && !r->rqueue) {
		h->mask &= (uint16_t) ~(1U << NT_V_READS);
		return;
	}
	bool starved = h->mask >> NT_V_READS & 1 && h->because[NT_V_READS] == NT_B_NO_CPU;

	starved |= f->cpu.pid && f->cpu.run_delay_ns >= most / 2;
	if (starved || !wait->count || wait->sum_ns < wait->count * c->wait_ms[1] * 1000000ULL)
		return;
	h->mask &= (uint16_t) ~(1U << NT_V_READS);
	if (h->mask >> NT_V_ACCEPT & 1)
		return;
	nt_hold(h, NT_V_ACCEPT, r->wqueue ? 100.0f * (float)r->rqueue / (float)r->wqueue : 0, 1,
		true);
	h->over[NT_V_ACCEPT] = 1;
}

void nt_judge(const struct nt_config *c, struct nt_rec *rec, const struct nt_facts *f,
	      uint64_t now_ms)
{
	struct nt_held h = { 0 };
	uint32_t now_s = (uint32_t)(now_ms / 1000);

	/* The connection is over, and no program has it any more: whatever held, holds no longer. */
	if (rec->proto == NT_PROTO_TCP && rec->state == NT_TCP_TIME_WAIT) {
		memset(rec->verdict_past, 0, sizeof(rec->verdict_past));
		rec->verdicts = rec->verdicts_unwell = 0;
		rec->level = NT_LEVEL_OK;
		rec->strength = 0;
		return;
	}
	if (f->has_info) {
		hold_tcp(c, rec, f, &h);
		hold_rtt(c, rec, f, (uint32_t)now_ms, &h);
		nt_hold_unusual_rtt(c, rec, f, (uint32_t)now_ms, may_be_delayed_ack(rec, f), &h);
	} else if (rec->proto == NT_PROTO_TCP && rec->state == NT_TCP_LISTEN)
		hold_listener(c, rec, f, &h);
	else if (rec->proto == NT_PROTO_UDP)
		hold_drops(c, rec, f, &h);
	else if (rec->proto == NT_PROTO_MPTCP)
		hold_unread(c, rec, f, &h);

	if (f->plane)
		hold_planes(c, f->plane, &h);
	if (f->plane)
		nt_hold_unusual_times(f->plane, &h);
	if (f->late_process)
		nt_hold_late(c, f->plane, &h);
	/* UDP's oldest unread datagram is known to the wait plane alone. */
	if (rec->proto == NT_PROTO_UDP && rec->flags & NT_F_OLDEST_UNREAD &&
	    rec->oldest_unread_ms >= c->unread_ms[0])
		nt_hold(&h, NT_V_UNREAD, (float)rec->oldest_unread_ms, (float)c->unread_ms[0],
			rec->oldest_unread_ms >= c->unread_ms[1]);

	if (f->plane)
		nt_blame_cpu(rec, f, &h, NT_V_READS, f->plane->wait.sum_ns, now_s);
	nt_blame_cpu(rec, f, &h, NT_V_UNREAD, rec->oldest_unread_ms * 1000000ULL, now_s);
	nt_blame_cpu_full(rec, f, &h, now_s);
	if (f->plane && rec->proto == NT_PROTO_TCP && rec->state == NT_TCP_LISTEN)
		hold_late_accepts(c, rec, f, &h);

	if (f->slow_peer)
		nt_hold_slow(rec, f, &h);
	if (f->cause)
		nt_put_cause(rec, f->cause, &h);
	nt_choose(rec, &h, now_s);
}
