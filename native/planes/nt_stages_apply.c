// SPDX-License-Identifier: MIT
/* TX stages: what the kernel's counters say of an interval, from their sections alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_planes.h"
#include "nt_sections.h"
#include "nt_stages_state.h"

#define FORGET_EVERY 32 /* reads */
#define BASES_MIN 64

/* Which stage the programs' parts are; NT_TX_NIC comes from stamps that user space placed. */
static const enum nt_stage stage_of[NT_PARTS] = {
	[NT_PART_COPY] = NT_TX_COPY, [NT_PART_SNDBUF] = NT_TX_SNDBUF,
	[NT_PART_TCP] = NT_TX_TCP,   [NT_PART_QDISC] = NT_TX_QDISC,
	[NT_PART_ACK] = NT_TX_ACK,   [NT_PART_TOTAL] = NT_TX_TOTAL,
};

/* --- the state --- */

static struct nt_sends *sends_of(struct nt_engine *e)
{
	if (!e->sends) {
		e->sends = calloc(1, sizeof(*e->sends));
		if (e->sends && nt_send_bases_rehash(&e->sends->bases, BASES_MIN, NULL)) {
			free(e->sends);
			e->sends = NULL;
		}
	}
	return e->sends;
}

static void forget_fine(struct nt_sends *s)
{
	for (uint32_t i = 0; i < s->n_fine; i++)
		free(s->fine[i]);
	s->n_fine = 0;
}

void nt_sends_free(struct nt_sends *s)
{
	if (!s)
		return;
	forget_fine(s);
	nt_send_bases_clear(&s->bases);
	free(s->bases.v);
	free(s->late);
	free(s->wanted);
	free(s);
}

static struct nt_send_fine *fine_of(struct nt_sends *s, uint64_t cookie)
{
	for (uint32_t i = 0; i < s->n_fine; i++)
		if (s->fine[i]->cookie == cookie)
			return s->fine[i];
	return NULL;
}

/* --- totals --- */

static void begin_total(struct nt_send_total *t)
{
	t->at ^= 1;
	t->last_sum = t->now_sum;
	t->max_ns = 0;
}

static void clear_total(struct nt_send_total *t)
{
	memcpy(t->start, t->two[t->at], sizeof(t->start));
	t->start_sum = t->now_sum;
	t->run_max_ns = 0;
}

static void longest(struct nt_send_total *t, uint64_t ns)
{
	if (ns > t->max_ns)
		t->max_ns = ns;
	if (ns > t->run_max_ns)
		t->run_max_ns = ns;
}

/* What went before is not known: nothing is, of this interval. */
static void blind_total(struct nt_send_total *t)
{
	memcpy(t->two[!t->at], t->two[t->at], sizeof(t->two[0]));
	t->last_sum = t->now_sum;
	t->max_ns = 0;
	clear_total(t);
}

/* What a distribution is of: of the interval, of the run, or of all that the plane counted. */
enum span { INTERVAL, RUN, ALL };

static enum span span_of(const struct nt_engine *e, int run)
{
	return !run ? INTERVAL : e->config.run_of_planes ? ALL : RUN;
}

static void total_of(const struct nt_send_total *t, enum span span, uint64_t *buckets,
		     struct nt_dist *dist)
{
	const uint64_t *now = t->two[t->at], *from = span == RUN ? t->start : t->two[!t->at];

	for (uint32_t k = 0; k < NT_FINE; k++)
		buckets[k] = now[k] - (span == ALL ? 0 : from[k]);
	dist->sum_ns = t->now_sum - (span == ALL ? 0 : span == RUN ? t->start_sum : t->last_sum);
	dist->max_ns = span == ALL ? 0 : span == RUN ? t->run_max_ns : t->max_ns;
}

/* --- of one socket --- */

/* False: its percentiles come from octaves. */
static bool fill_stage(const struct nt_tx_rec *now, const struct nt_tx_rec *last,
		       struct nt_send_fine *f, uint32_t part, uint32_t epoch, struct nt_dist *d)
{
	const struct nt_tx_stage *a = &now->stages[part], *b = &last->stages[part];
	uint64_t buckets[NT_FINE], any = 0;
	uint32_t count = a->count - b->count;

	memset(d, 0, sizeof(*d));
	if (!count)
		return true;
	d->sum_ns = a->sum_ns - b->sum_ns;
	for (uint32_t k = 0; k < 2; k++)
		if (now->epoch[k] >= epoch && a->max_ns[k] > d->max_ns)
			d->max_ns = a->max_ns[k];
	if (f) {
		f->max_ns[part] = d->max_ns;
		for (uint32_t k = 0; k < NT_FINE; k++) {
			buckets[k] = f->two[f->at].buckets[part][k] -
				     f->two[!f->at].buckets[part][k];
			any |= buckets[k];
		}
		if (f->whole && any) {
			nt_dist_of(buckets, NT_FINE, 1, d);
			d->count = count;
			return true;
		}
	}
	uint32_t counted = 0;

	for (uint32_t k = 0; k < NT_OCTAVES; k++) {
		buckets[k] = (uint16_t)(a->octaves[k] - b->octaves[k]);
		counted += (uint32_t)buckets[k];
	}
	if (count > counted && count - counted > UINT16_MAX / 2) {
		/* An octave went round, it is not known which: the maximum is what is sure. */
		d->p50_ns = d->p90_ns = d->p99_ns = d->max_ns;
	} else {
		nt_dist_of(buckets, NT_OCTAVES, 0, d);
	}
	d->count = count;
	return false;
}

/* The octaves of the ack stage, as a group sums them up. */
static void fill_acks(const struct nt_tx_rec *now, const struct nt_tx_rec *last, uint16_t *octaves)
{
	const struct nt_tx_stage *a = &now->stages[NT_PART_ACK], *b = &last->stages[NT_PART_ACK];
	uint32_t counted = 0;

	for (uint32_t k = 0; k < NT_OCTAVES; k++) {
		octaves[k] = (uint16_t)(a->octaves[k] - b->octaves[k]);
		counted += octaves[k];
	}
	if (a->count - b->count > counted)
		memset(octaves, 0, NT_OCTAVES * sizeof(*octaves));
}

/* That its sends are traced, and by what. */
static uint32_t tx_bits(const struct nt_sends *s, const struct nt_engine *e, uint64_t cookie)
{
	uint32_t i = nt_table_find(&e->table, cookie);
	struct nt_rec room;
	bool udp = i != NT_NONE && nt_rec_read(&e->table, i, &room)->proto == NT_PROTO_UDP;

	return NT_P_TX | (udp || s->head.method == NT_STAGES_TRACEPOINTS ? NT_P_TX_PATH : 0U);
}

/* False: the table does not know the socket. */
static bool take_socket(struct nt_sends *s, struct nt_engine *e, const struct nt_tx_rec *now)
{
	struct nt_plane *p = nt_plane_of(e, now->cookie);
	bool fresh;

	if (!p)
		return false;
	struct nt_tx_rec *last = nt_send_base(&s->bases, now, &fresh);

	if (!last)
		return true;
	p->has |= tx_bits(s, e, now->cookie);
	p->tx_open = now->sampled - now->done - now->merged - now->lost;
	if (!fresh || now->born_ns >= s->since_ns) {
		struct nt_send_fine *f = fine_of(s, now->cookie);

		p->tx_sends = now->done - last->done;
		p->tx_incomplete = now->merged + now->lost - last->merged - last->lost;
		p->tx_resent = now->resent - last->resent;
		for (uint32_t part = 0; part < NT_PARTS; part++)
			if (!fill_stage(now, last, f, part, s->head.epoch, &p->tx[stage_of[part]]))
				p->has |= NT_P_TX_OCTAVES;
		fill_acks(now, last, p->ack_octaves);
	}
	*last = *now;
	return true;
}

/* False: the table does not know the socket. Selected ones without sends have no record. */
static bool take_wanted(struct nt_sends *s, struct nt_engine *e, uint64_t cookie)
{
	struct nt_plane *p = nt_plane_of(e, cookie);

	if (p)
		p->has |= tx_bits(s, e, cookie);
	return p != NULL;
}

static int keep_late(struct nt_sends *s, const struct nt_tx_rec *rec)
{
	if (s->n_late == s->late_cap) {
		uint32_t cap = s->late_cap ? s->late_cap * 2 : 16;
		struct nt_tx_rec *v = realloc(s->late, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->late = v;
		s->late_cap = cap;
	}
	s->late[s->n_late++] = *rec;
	return 0;
}

static int keep_wanted(struct nt_sends *s, uint64_t cookie)
{
	if (s->n_wanted == s->wanted_cap) {
		uint32_t cap = s->wanted_cap ? s->wanted_cap * 2 : 16;
		uint64_t *v = realloc(s->wanted, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->wanted = v;
		s->wanted_cap = cap;
	}
	s->wanted[s->n_wanted++] = cookie;
	return 0;
}

void nt_stages_late(struct nt_engine *e)
{
	struct nt_sends *s = e->sends;

	if (!s)
		return;
	for (uint32_t i = 0; i < s->n_wanted; i++)
		take_wanted(s, e, s->wanted[i]);
	for (uint32_t i = 0; i < s->n_late; i++)
		take_socket(s, e, &s->late[i]);
	s->n_wanted = s->n_late = 0;
}

/* --- sections --- */

static void begin_fine(struct nt_sends *s)
{
	uint32_t kept = 0;

	/* What the last read did not have is fine no more. */
	for (uint32_t i = 0; i < s->n_fine; i++) {
		struct nt_send_fine *f = s->fine[i];

		if (f->read != s->head.read) {
			free(f);
			continue;
		}
		memcpy(f->nic_last, f->nic_now, sizeof(f->nic_now));
		f->nic_max_ns = 0;
		s->fine[kept++] = f;
	}
	s->n_fine = kept;
}

static int begin(struct nt_sends *s, struct nt_engine *e, const struct nt_section *section,
		 const uint8_t *body)
{
	const uint32_t part_bytes = sizeof(s->totals[0].two[0]);
	struct nt_send_total *nic = &s->totals[NT_TX_NIC];
	struct nt_stages_head head;

	if (section->bytes != sizeof(head) + NT_PARTS * part_bytes)
		return -EPROTO;
	memcpy(&head, body, sizeof(head));
	body += sizeof(head);
	if (head.read == 1)
		memset(s->totals, 0, sizeof(s->totals));
	bool follows = s->head.read && head.read == s->head.read + 1;

	if (head.read == 1 || !follows) {
		forget_fine(s);
		nt_send_bases_clear(&s->bases);
		s->since_ns = head.read == 1 ? 0 : section->at_ns;
	}
	s->blind = head.read != 1 && !follows;
	begin_fine(s);
	for (uint32_t part = 0; part < NT_PARTS; part++, body += part_bytes) {
		struct nt_send_total *t = &s->totals[stage_of[part]];

		begin_total(t);
		memcpy(t->two[t->at], body, part_bytes);
		t->now_sum = head.sum_ns[part];
		longest(t, head.max_ns[part]);
		if (s->blind)
			blind_total(t);
	}
	begin_total(nic);
	memcpy(nic->two[nic->at], nic->two[!nic->at], part_bytes);
	s->head = head;
	s->on = true;
	s->n_late = s->n_wanted = 0;
	nt_planes_reset_tx(e);
	/* Sockets that are gone must not keep their counters here for ever. */
	if (head.read % FORGET_EVERY == 0 && s->bases.live > 2 * e->table.live + 1024)
		nt_send_bases_rehash(&s->bases, s->bases.mask + 1, e);
	return 0;
}

static int take_fine(struct nt_sends *s, const uint8_t *record)
{
	struct nt_send_fine *f;
	uint64_t cookie;

	memcpy(&cookie, record, sizeof(cookie));
	f = fine_of(s, cookie);
	if (!f) {
		if (s->n_fine == NT_TX_FINE)
			return -EPROTO;
		f = calloc(1, sizeof(*f));
		if (!f)
			return -ENOMEM;
		f->cookie = cookie;
		s->fine[s->n_fine++] = f;
	} else if (f->read == s->head.read) {
		return -EPROTO; /* twice */
	}
	f->whole = f->read && f->read == s->head.read - 1;
	f->read = s->head.read;
	f->at ^= 1;
	memcpy(&f->two[f->at], record + offsetof(struct nt_stages_fine, now), sizeof(f->two[0]));
	if (s->blind) /* it is new here: those of an earlier read are forgotten by then */
		f->two[!f->at] = f->start = f->two[f->at];
	memset(f->max_ns, 0, sizeof(f->max_ns));
	return 0;
}

/* Stamps of NICs that were placed in this interval, those of a socket one after the other. */
static void take_nics(struct nt_sends *s, struct nt_engine *e, const uint8_t *body, uint32_t n)
{
	struct nt_send_total *t = &s->totals[NT_TX_NIC];
	struct nt_stages_placed one;

	for (uint32_t at = 0; at < n;) {
		uint64_t buckets[NT_FINE] = { 0 }, cookie, bar_ns = 0;
		struct nt_dist d = { 0 };

		memcpy(&cookie, body + at, sizeof(cookie));
		struct nt_plane *p = nt_plane_of(e, cookie);
		struct nt_send_fine *f = fine_of(s, cookie);

		for (; at < n; at += sizeof(one)) {
			memcpy(&one, body + at, sizeof(one));
			if (one.cookie != cookie)
				break;
			uint32_t bucket = nt_fine_bucket(one.ns);

			buckets[bucket]++;
			t->two[t->at][bucket]++;
			t->now_sum += one.ns;
			longest(t, one.ns);
			d.sum_ns += one.ns;
			if (one.ns > d.max_ns)
				d.max_ns = one.ns;
			if (one.bar_ns > bar_ns)
				bar_ns = one.bar_ns;
			if (f)
				f->nic_now[bucket]++;
		}
		if (f)
			f->nic_max_ns = d.max_ns;
		if (!p)
			continue;
		nt_dist_of(buckets, NT_FINE, 1, &d);
		p->tx[NT_TX_NIC] = d;
		p->tx_nic_bar_ns = bar_ns < UINT32_MAX ? (uint32_t)bar_ns : UINT32_MAX;
		p->has |= NT_P_TX;
	}
}

static void end(struct nt_sends *s, struct nt_engine *e)
{
	if (!s->on)
		return;
	nt_planes_reset_tx(e);
	/* Totals and records go on where something is selected again. */
	forget_fine(s);
	s->n_late = s->n_wanted = 0;
	s->on = false;
}

/* Whether the body is records of this size, which are then read one by one. */
static bool holds(const struct nt_section *s, size_t record)
{
	return s->arg == record && s->bytes % record == 0;
}

int nt_stages_apply(struct nt_engine *e, const struct nt_section *section, const uint8_t *body)
{
	struct nt_sends *s = sends_of(e);
	int err = 0;

	if (!s)
		return -ENOMEM;
	if (section->kind == NT_S_STAGES)
		return begin(s, e, section, body);
	if (section->kind == NT_S_STAGES_OFF) {
		end(s, e);
		return 0;
	}
	if (!s->on)
		return -EPROTO; /* no interval has begun */
	if (section->kind == NT_S_STAGES_WANTED && section->bytes % sizeof(uint64_t) == 0) {
		for (uint32_t at = 0; !err && at < section->bytes; at += sizeof(uint64_t)) {
			uint64_t cookie;

			memcpy(&cookie, body + at, sizeof(cookie));
			if (!take_wanted(s, e, cookie))
				err = keep_wanted(s, cookie);
		}
		return err;
	}
	if (section->kind == NT_S_STAGES_FINE && holds(section, sizeof(struct nt_stages_fine))) {
		for (uint32_t at = 0; !err && at < section->bytes;
		     at += sizeof(struct nt_stages_fine))
			err = take_fine(s, body + at);
		return err;
	}
	if (section->kind == NT_S_STAGES_SOCKETS && holds(section, sizeof(struct nt_tx_rec))) {
		for (uint32_t at = 0; !err && at < section->bytes; at += sizeof(struct nt_tx_rec)) {
			struct nt_tx_rec rec;

			memcpy(&rec, body + at, sizeof(rec));
			if (!take_socket(s, e, &rec))
				err = keep_late(s, &rec);
		}
		return err;
	}
	if (section->kind == NT_S_STAGES_NICS && holds(section, sizeof(struct nt_stages_placed))) {
		take_nics(s, e, body, section->bytes);
		return 0;
	}
	return -EPROTO;
}

/* --- questions --- */

int nt_stages_interval(struct nt_engine *e, struct nt_dist *ret)
{
	uint64_t buckets[NT_FINE];

	memset(ret, 0, NT_TX_STAGES * sizeof(*ret));
	pthread_mutex_lock(&e->lock);
	const struct nt_sends *s = e->sends;
	int err = s && s->on ? 0 : -ENOENT;

	for (uint32_t i = 0; !err && i < NT_TX_STAGES; i++) {
		total_of(&s->totals[i], INTERVAL, buckets, &ret[i]);
		nt_dist_of(buckets, NT_FINE, 1, &ret[i]);
	}
	pthread_mutex_unlock(&e->lock);
	return err;
}

/* Adds the fine buckets of one socket. */
static void add_fine(const struct nt_send_fine *f, uint32_t stage, enum span span,
		     uint64_t *buckets, struct nt_dist *dist)
{
	const uint32_t *now = f->nic_now, *from = span == RUN ? f->nic_start : f->nic_last;
	uint64_t max_ns = f->nic_max_ns;

	for (uint32_t part = 0; part < NT_PARTS; part++) {
		if (stage_of[part] != stage)
			continue;
		now = f->two[f->at].buckets[part];
		from = (span == RUN ? &f->start : &f->two[!f->at])->buckets[part];
		max_ns = f->max_ns[part];
	}
	for (uint32_t k = 0; k < NT_FINE; k++)
		buckets[k] += now[k] - (span == ALL ? 0 : from[k]);
	if (span == INTERVAL && max_ns > dist->max_ns)
		dist->max_ns = max_ns;
}

int nt_stages_buckets(struct nt_engine *e, const uint64_t *cookies, uint32_t n, int stage, int run,
		      uint64_t *buckets, struct nt_dist *dist)
{
	int found = 0;

	memset(buckets, 0, NT_FINE * sizeof(*buckets));
	memset(dist, 0, sizeof(*dist));
	if (stage < 0 || stage >= NT_TX_STAGES)
		return -EINVAL;
	pthread_mutex_lock(&e->lock);
	struct nt_sends *s = e->sends;

	if (!s || !s->on) {
		pthread_mutex_unlock(&e->lock);
		return -ENOENT;
	}
	if (!n)
		total_of(&s->totals[stage], span_of(e, run), buckets, dist);
	for (uint32_t i = 0; i < n; i++) {
		const struct nt_send_fine *f = fine_of(s, cookies[i]);

		if (!f)
			continue;
		found++;
		add_fine(f, (uint32_t)stage, span_of(e, run), buckets, dist);
	}
	nt_dist_of(buckets, NT_FINE, 1, dist);
	pthread_mutex_unlock(&e->lock);
	return found;
}

void nt_stages_clear(struct nt_engine *e)
{
	pthread_mutex_lock(&e->lock);
	struct nt_sends *s = e->sends;

	for (uint32_t i = 0; s && i < NT_TX_STAGES; i++)
		clear_total(&s->totals[i]);
	for (uint32_t i = 0; s && i < s->n_fine; i++) {
		struct nt_send_fine *f = s->fine[i];

		f->start = f->two[f->at];
		memcpy(f->nic_start, f->nic_now, sizeof(f->nic_now));
	}
	pthread_mutex_unlock(&e->lock);
}

void nt_stages_forget(struct nt_engine *e)
{
	struct nt_section off = { .kind = NT_S_STAGES_OFF };

	pthread_mutex_lock(&e->lock);
	off.at_ns = e->now_ns;
	nt_apply(e, &off, NULL);
	pthread_mutex_unlock(&e->lock);
}
