// SPDX-License-Identifier: MIT
/* Unusual for this flow: times far above what its own intervals before had. */
#include <string.h>

#include "nt_api.h"
#include "nt_engine.h"
#include "nt_planes.h"
#include "nt_rules.h"

#define OCTAVE 1024
#define SPREAD_OCTAVE 32
#define SEEN_MOST 127
#define WAS_FAR 128

/* Silent before. The fewer were seen, the farther off it must be: by so many octaves in all. */
#define SEEN_LEAST 5
#define SEEN_FEW 32
#define DOUBT_OCTAVES 3
/* Four times what is usual at the least, and six times as far as its intervals stray. */
#define FAR_OCTAVES 2
#define FAR_SPREADS 6
/* Microseconds are many times of a few, and cost no flow anything. */
#define RTT_OVER_NS 3000000ULL
#define STAGE_OVER_NS 2000000ULL
/* So many make a median. */
#define COUNT_LEAST 3
/* So long a slow exchange counts for those that follow now and then. */
#define PRESENT_MS 5000U

uint32_t nt_log_of(uint64_t v)
{
	if (!v)
		return 0;
	uint32_t top = 63 - (uint32_t)__builtin_clzll(v);
	uint64_t part = top >= 10 ? v >> (top - 10) : v << (10 - top);

	return top * OCTAVE + (uint32_t)(part & (OCTAVE - 1));
}

uint64_t nt_unlog(uint32_t log)
{
	uint32_t top = log / OCTAVE;
	uint64_t part = OCTAVE + log % OCTAVE;

	return top >= 10 ? part << (top - 10) : part >> (10 - top);
}

static bool is_far(const struct nt_usual *u, uint32_t log, uint64_t ns, uint64_t over_ns)
{
	uint32_t seen = u->seen & SEEN_MOST, need = FAR_OCTAVES * OCTAVE;
	uint32_t strays = FAR_SPREADS * u->spread * (OCTAVE / SPREAD_OCTAVE);

	if (seen < SEEN_LEAST || ns < nt_unlog(u->log) + over_ns)
		return false;
	if (need < strays)
		need = strays;
	if (seen < SEEN_FEW)
		need += DOUBT_OCTAVES * OCTAVE / seen;
	if (u->seen & WAS_FAR)
		need -= need / 4;
	return log >= u->log + need;
}

/*
 * The median moves towards each interval by a step that no length makes larger: so a step of time
 * is unusual for some two minutes, and then it is what is usual.
 */
static void enter(struct nt_usual *u, uint32_t log, bool far)
{
	uint32_t seen = u->seen & SEEN_MOST;
	uint32_t away = log > u->log ? log - u->log : u->log - log;
	uint32_t step = OCTAVE / (seen < SEEN_FEW ? seen + 1 : SEEN_FEW);

	if (!seen) {
		*u = (struct nt_usual){ .log = (uint16_t)log,
					.spread = SPREAD_OCTAVE / 4,
					.seen = 1 };
		return;
	}
	if (step > away)
		step = away;
	u->log = (uint16_t)(log > u->log ? u->log + step : u->log - step);
	if (!far) { /* what is far off says nothing of how it strays */
		uint32_t strayed = away / (OCTAVE / SPREAD_OCTAVE), by = seen < SEEN_FEW ? 3 : 1;

		if (strayed > u->spread)
			u->spread = (uint8_t)(u->spread + by < UINT8_MAX ? u->spread + by :
									   UINT8_MAX);
		else if (strayed < u->spread)
			u->spread--;
	}
	seen += seen < SEEN_MOST;
	u->seen = (uint8_t)(seen | (far ? WAS_FAR : 0));
}

static void hold(struct nt_held *h, enum nt_verdict v, float value, uint8_t who, bool again)
{
	nt_hold(h, v, value, 0, false);
	h->over[v] = 1; /* it is no multiple of a threshold */
	h->who[v] = who;
	h->because[v] = NT_B_UNUSUAL;
	if (again)
		h->spanning |= (uint16_t)(1U << v);
}

/* A full window makes the queue on its path by itself, and is no step of the path. */
static bool fills_window(const struct nt_config *c, const struct nt_rec *r)
{
	return r->flags & NT_F_LIMITED && r->lim_cwnd_pct >= c->cwnd_pct;
}

bool nt_within_host(const struct nt_rec *r)
{
	return !memcmp(r->src, r->dst, sizeof(r->src));
}

void nt_hold_unusual_rtt(const struct nt_config *c, struct nt_rec *r, const struct nt_facts *f,
			 uint32_t now_ms, bool delayable, struct nt_held *h)
{
	struct nt_usual *u = &r->rtt_usual;
	bool far = u->seen & WAS_FAR, again = far;

	if (!r->min_rtt_us || r->min_rtt_us == NT_MIN_RTT_UNKNOWN || nt_within_host(r))
		return;
	if (f->acked) {
		uint64_t ns = r->rtt_us * 1000ULL;
		uint32_t log = nt_log_of(ns);
		/* Some exchanges that are slow among others are no step. */
		bool steady = ns >= nt_unlog(u->log) + 2000ULL * r->rttvar_us;

		far = steady && !r->retransmits && !fills_window(c, r) &&
		      is_far(u, log, ns, RTT_OVER_NS);
		enter(u, log, far);
	} else if (now_ms - r->rtt_at_ms >= PRESENT_MS || !(r->verdicts >> NT_V_RTT & 1)) {
		return;
	}
	if (!far || h->mask >> NT_V_RTT & 1)
		return;
	hold(h, NT_V_RTT, (float)r->rtt_us / (float)r->min_rtt_us,
	     delayable ? NT_WHO_UNKNOWN : NT_WHO_NET | NT_WHO_MAYBE, again);
}

static void hold_dist(struct nt_usual *u, const struct nt_dist *d, uint64_t over_ns,
		      enum nt_verdict v, struct nt_held *h)
{
	if (d->count < COUNT_LEAST)
		return;
	uint32_t log = nt_log_of(d->p50_ns);
	bool again = u->seen & WAS_FAR, far = is_far(u, log, d->p50_ns, over_ns);

	enter(u, log, far);
	if (far && !(h->mask >> v & 1))
		hold(h, v, (float)d->p99_ns / 1e6f, (uint8_t)(nt_who_of(v) | NT_WHO_MAYBE), again);
}

void nt_hold_unusual_times(struct nt_plane *p, struct nt_held *h)
{
	hold_dist(&p->usual[NT_USUAL_WAIT], &p->wait, NT_UNUSUAL_WAIT_NS, NT_V_READS, h);
	hold_dist(&p->usual[NT_USUAL_QDISC], &p->tx[NT_TX_QDISC], STAGE_OVER_NS, NT_V_QDISC, h);
	hold_dist(&p->usual[NT_USUAL_NIC], &p->tx[NT_TX_NIC], STAGE_OVER_NS, NT_V_NIC, h);
}
