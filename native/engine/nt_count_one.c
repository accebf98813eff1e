// SPDX-License-Identifier: MIT
/* What one socket did since it was counted last, added to the series of its group. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "nt_count.h"
#include "nt_hist.h"
#include "nt_planes.h"

#define NO_ONE 255 /* as WHO: of a verdict that is none of the two worst */

void nt_count_grow(struct nt_sums *s, enum nt_count which, uint64_t by)
{
	if (!by)
		return;
	s->counts[which] += by;
	s->changed = 1;
}

/* What falls was not sent by the kernel. */
uint64_t nt_risen(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* The kernel's width ends: of times after 49 days, of a flood's drops within hours. */
static uint64_t risen_32(uint32_t now, uint32_t before)
{
	uint32_t more = now - before;

	return more >> 31 ? 0 : more;
}

static void observe(struct nt_sums *s, uint32_t rtt_us)
{
	uint64_t ns = rtt_us * 1000ULL;
	int octave = 63 - __builtin_clzll(ns) - (NT_OCTAVE_LOG2 - 1);
	double at = ceil(log2((double)ns / 1e9) * 8) + NT_RTT_ZERO;

	octave = octave < 0 ? 0 : octave;
	s->rtt_octaves[octave < (int)NT_OCTAVES ? octave : (int)NT_OCTAVES - 1]++;
	s->rtt_sum_ns += ns;
	s->rtt[at < 0 ? 0 : at >= NT_RTT_BUCKETS ? NT_RTT_BUCKETS - 1 : (unsigned int)at]++;
	s->changed = 1;
}

void nt_count_numbers(struct nt_count_group *g, struct nt_sums *s, struct nt_member *m,
		      const struct nt_rec *r)
{
	uint64_t acked = nt_risen(r->bytes_acked, m->bytes_acked);
	uint64_t received = nt_risen(r->bytes_received, m->bytes_received);

	g->moved_bytes += acked + received;
	nt_count_grow(s, NT_C_SENT_BYTES, nt_risen(r->bytes_sent, m->bytes_sent));
	nt_count_grow(s, NT_C_ACKED_BYTES, acked);
	nt_count_grow(s, NT_C_RECEIVED_BYTES, received);
	nt_count_grow(s, NT_C_RETRANS_BYTES, nt_risen(r->bytes_retrans, m->bytes_retrans));
	nt_count_grow(s, NT_C_RETRANS_SEGMENTS, risen_32(r->total_retrans, m->total_retrans));
	nt_count_grow(s, NT_C_DROPS, risen_32(r->drops, m->drops));
	nt_count_grow(s, NT_C_BUSY_MS, risen_32(r->busy_ms, m->busy_ms));
	nt_count_grow(s, NT_C_RWND_MS, risen_32(r->rwnd_limited_ms, m->rwnd_ms));
	nt_count_grow(s, NT_C_SNDBUF_MS, risen_32(r->sndbuf_limited_ms, m->sndbuf_ms));
	if (acked && r->rtt_us)
		observe(s, r->rtt_us);
}

bool nt_count_anew(const struct nt_member *m, const struct nt_rec *r)
{
	return r->bytes_sent < m->bytes_sent || r->bytes_acked < m->bytes_acked ||
	       r->bytes_received < m->bytes_received || (r->total_retrans - m->total_retrans) >> 31;
}

/* What it did until now was counted. */
void nt_count_remember(struct nt_member *m, const struct nt_rec *r)
{
	m->bytes_sent = r->bytes_sent;
	m->bytes_acked = r->bytes_acked;
	m->bytes_received = r->bytes_received;
	m->bytes_retrans = r->bytes_retrans;
	m->total_retrans = r->total_retrans;
	m->drops = r->drops;
	m->busy_ms = r->busy_ms;
	m->rwnd_ms = r->rwnd_limited_ms;
	m->sndbuf_ms = r->sndbuf_limited_ms;
}

static void add_waits(struct nt_counter *c, struct nt_sums *s, struct nt_member *m,
		      const struct nt_plane *p)
{
	struct nt_member_waits *had = nt_members_waits(&c->members, m);

	s->wait_sum_ns += p->wait.sum_ns;
	s->changed = 1;
	for (uint32_t k = 0; k < NT_OCTAVES; k++)
		s->wait_octaves[k] += p->wait_octaves[k];
	if (!had) {
		c->err = -ENOMEM;
		return;
	}
	had->sum_ns += p->wait.sum_ns;
	for (uint32_t k = 0; k < NT_OCTAVES; k++)
		had->octaves[k] += p->wait_octaves[k];
}

static void add_plane(struct nt_counter *c, struct nt_count_group *g, struct nt_sums *s,
		      struct nt_member *m, const struct nt_plane *p, bool listens)
{
	if (p->has & NT_P_UNREAD && p->oldest_unread_ns > s->unread_ns)
		s->unread_ns = p->oldest_unread_ns;
	/* A listener's waits are its connections' once more. */
	if (p->wait.count && !listens)
		add_waits(c, s, m, p);
	if (p->has & NT_P_UDP) {
		g->moved_bytes += p->udp.rx_bytes + p->udp.tx_bytes;
		nt_count_grow(s, NT_C_UDP_SENT_BYTES, p->udp.tx_bytes);
		nt_count_grow(s, NT_C_UDP_RECEIVED_BYTES, p->udp.rx_bytes);
	}
}

static void add_limited(struct nt_sums *s, struct nt_member *m, const struct nt_rec *r)
{
	if (r->lim_at_ms == m->lim_at_ms)
		return;
	uint32_t window_ms = m->lim_at_ms ? r->lim_at_ms - m->lim_at_ms : 0;

	m->lim_at_ms = r->lim_at_ms;
	if (r->flags & NT_F_LIMITED)
		nt_count_grow(s, NT_C_CWND_MS, (uint64_t)window_ms * r->lim_cwnd_pct);
}

/* By its worst verdict that is unwell by itself. */
static void note_sick(struct nt_counter *c, uint32_t group, const struct nt_rec *r)
{
	struct nt_count_sick one = { .group = group, .n = 1, .who = NO_ONE };

	if (!(r->verdicts & ~(1U << NT_V_CWND)) || !r->verdicts_unwell)
		return;
	if (r->verdicts_unwell >> r->verdict & 1) {
		one.verdict = r->verdict;
		one.who = r->who;
	} else if (r->verdicts_unwell >> r->verdict2 & 1) {
		one.verdict = r->verdict2;
		one.who = r->who2;
	} else {
		one.verdict = (uint8_t)__builtin_ctz(r->verdicts_unwell);
	}
	if (nt_room_for_one((void **)&c->sick, c->n_sick, &c->sick_cap, sizeof(*c->sick)))
		c->err = -ENOMEM;
	else
		c->sick[c->n_sick++] = one;
}

static bool is_listener(const struct nt_rec *r)
{
	return r->state == NT_TCP_LISTEN && r->proto != NT_PROTO_UDP;
}

void nt_count_one(struct nt_counter *c, struct nt_member *m, const struct nt_rec *r)
{
	struct nt_count_group *g = &c->groups[m->group];
	struct nt_sums *s = &c->sums[g->series];
	const struct nt_plane *p = nt_rec_plane(c->engine, r);

	g->present++;
	if (!is_listener(r)) {
		s->sockets++;
	} else if (r->wqueue) {
		float share = (float)r->rqueue / (float)r->wqueue;

		if (share > s->accept_share)
			s->accept_share = share;
	}
	nt_count_numbers(g, s, m, r);
	nt_count_remember(m, r);
	add_limited(s, m, r);
	if (p)
		add_plane(c, g, s, m, p, is_listener(r));
	/* A bound of the kernel's may be longer than the plane's, which begins with nettop. */
	if (r->flags & NT_F_OLDEST_UNREAD && !(r->flags & NT_F_UNREADABLE) &&
	    r->oldest_unread_ms * 1000000ULL > s->unread_ns)
		s->unread_ns = r->oldest_unread_ms * 1000000ULL;
	note_sick(c, m->group, r);
}
