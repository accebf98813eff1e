// SPDX-License-Identifier: MIT
/* The stages plane's counters: ending an interval, telling the engine, buckets. */
#ifdef NT_WITH_BPF

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "nt_bpf.h"
#include "nt_stages_host.h"

/* Which stage the programs' parts are, and what user space adds: NT_PARTS. */
static const enum nt_stage stage_of[NT_PARTS + 1] = {
	[NT_PART_COPY] = NT_TX_COPY, [NT_PART_SNDBUF] = NT_TX_SNDBUF,
	[NT_PART_TCP] = NT_TX_TCP,   [NT_PART_QDISC] = NT_TX_QDISC,
	[NT_PART_ACK] = NT_TX_ACK,   [NT_PART_TOTAL] = NT_TX_TOTAL,
	[NT_PARTS] = NT_TX_NIC,
};

#define FORGET_EVERY 32 /* reads */
#define QUIET_READS 600 /* then a UDP socket without sends under way is forgotten */

void nt_tx_bases_free(struct bases *b)
{
	for (uint32_t i = 0; b->v && i <= b->mask; i++)
		free(b->v[i]);
	free(b->v);
}

static struct nt_tx_rec **base_slot(const struct bases *b, uint64_t cookie)
{
	uint32_t i = (uint32_t)(cookie * 0x9e3779b97f4a7c15ULL >> 32) & b->mask;

	while (b->v[i] && b->v[i]->cookie != cookie)
		i = (i + 1) & b->mask;
	return &b->v[i];
}

/* A table of n slots; with keep the records of sockets that it does not know are forgotten. */
int nt_tx_bases_rehash(struct bases *b, uint32_t n, const struct nt_engine *keep)
{
	struct bases bigger = { .v = calloc(n, sizeof(*bigger.v)), .mask = n - 1 };

	if (!bigger.v)
		return -ENOMEM;
	for (uint32_t i = 0; b->v && i <= b->mask; i++) {
		struct nt_tx_rec *old = b->v[i];

		if (!old)
			continue;
		if (keep && nt_table_find(&keep->table, old->cookie) == NT_NONE) {
			free(old);
			continue;
		}
		*base_slot(&bigger, old->cookie) = old;
		bigger.live++;
	}
	free(b->v);
	*b = bigger;
	return 0;
}

/* The record of the read before, zeroed if it is new. */
static struct nt_tx_rec *base_of(struct bases *b, const struct nt_tx_rec *now)
{
	if ((b->live + 1) * 2 > b->mask && nt_tx_bases_rehash(b, (b->mask + 1) * 2, NULL))
		return NULL;
	struct nt_tx_rec **slot = base_slot(b, now->cookie);

	if (!*slot) {
		*slot = calloc(1, sizeof(**slot));
		if (!*slot)
			return NULL;
		b->live++;
	} else if ((*slot)->born_ns != now->born_ns) {
		memset(*slot, 0, sizeof(**slot));
	}
	(*slot)->cookie = now->cookie;
	(*slot)->born_ns = now->born_ns;
	return *slot;
}

struct fine *nt_tx_fine_of(struct nt_stages *s, uint64_t cookie)
{
	for (uint32_t i = 0; i < s->n_fine; i++)
		if (s->fine[i]->cookie == cookie)
			return s->fine[i];
	return NULL;
}

static void read_fine(struct nt_stages *s)
{
	int map = bpf_map__fd(s->skel->maps.fine);

	for (uint32_t i = 0; i < s->n_fine; i++) {
		struct fine *f = s->fine[i];

		f->last = f->now;
		memset(f->max_ns, 0, sizeof(f->max_ns));
		f->whole = f->read;
		f->read = !bpf_map_lookup_elem(map, &f->cookie, &f->now);
	}
}

/* The distribution of a total's interval. */
static void close_total(struct total *total, struct nt_dist *ret)
{
	uint64_t interval[NT_FINE];

	if (total->max_ns > total->run_max_ns)
		total->run_max_ns = total->max_ns;
	for (uint32_t k = 0; k < NT_FINE; k++)
		interval[k] = total->now[k] - total->last[k];
	ret->max_ns = total->max_ns;
	ret->sum_ns = total->now_sum - total->last_sum;
	nt_dist_of(interval, NT_FINE, 1, ret);
}

static int read_totals(struct nt_stages *s, uint32_t epoch, struct nt_stages_totals *t)
{
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.counts), &zero, s->counts))
		return -errno;
	for (int i = 0; i < s->n_cpus; i++) {
		t->runs += s->counts[i].runs;
		t->sampled += s->counts[i].sampled;
		t->done += s->counts[i].done;
		t->merged += s->counts[i].merged;
		t->lost += s->counts[i].lost;
		t->no_storage += s->counts[i].no_storage;
		t->resent += s->counts[i].resent;
		t->full += s->counts[i].full;
		t->own_stamps += s->counts[i].own_stamps;
		t->nic_lost += s->counts[i].nic_lost;
	}
	for (uint32_t part = 0; part < NT_PARTS; part++) {
		struct total *total = &s->totals[part];

		if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.totals), &part, s->cpus))
			return -errno;
		memcpy(total->last, total->now, sizeof(total->now));
		memset(total->now, 0, sizeof(total->now));
		total->last_sum = total->now_sum;
		total->now_sum = total->max_ns = 0;
		for (int i = 0; i < s->n_cpus; i++) {
			const struct nt_tx_cpu *c = &s->cpus[i];

			total->now_sum += c->sum_ns;
			for (uint32_t k = 0; k < 2; k++)
				if (c->epoch[k] >= epoch && c->max_ns[k] > total->max_ns)
					total->max_ns = c->max_ns[k];
			for (uint32_t k = 0; k < NT_FINE; k++)
				total->now[k] += c->buckets[k];
		}
		close_total(total, &t->all[stage_of[part]]);
	}
	nt_tx_nics_count(s);
	close_total(&s->totals[NT_PARTS], &t->all[NT_TX_NIC]);
	return 0;
}

/* False: its percentiles come from octaves. */
static bool fill_stage(const struct nt_tx_rec *now, const struct nt_tx_rec *last, struct fine *f,
		       uint32_t part, uint32_t epoch, struct nt_dist *d)
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
			buckets[k] = f->now.buckets[part][k] - f->last.buckets[part][k];
			any |= buckets[k];
		}
		if (f->whole && any) {
			nt_dist_of(buckets, NT_FINE, 1, d);
			d->count = count;
			return true;
		}
	}
	uint32_t told = 0;

	for (uint32_t k = 0; k < NT_OCTAVES; k++) {
		buckets[k] = (uint16_t)(a->octaves[k] - b->octaves[k]);
		told += (uint32_t)buckets[k];
	}
	if (count > told && count - told > UINT16_MAX / 2) {
		/* An octave went round, nobody knows which: the maximum is what is sure. */
		d->p50_ns = d->p90_ns = d->p99_ns = d->max_ns;
	} else {
		nt_dist_of(buckets, NT_OCTAVES, 0, d);
	}
	d->count = count;
	return false;
}

static uint32_t open_of(const struct nt_tx_rec *s)
{
	return s->sampled - s->done - s->merged - s->lost;
}

/* That its sends are traced, and by what. The engine's lock is held. */
static uint32_t tx_bits(const struct nt_stages *s, const struct nt_engine *e, uint64_t cookie)
{
	uint32_t i = nt_table_find(&e->table, cookie);
	bool udp = i != NT_NONE && nt_rec_at(&e->table, i)->proto == NT_PROTO_UDP;

	return NT_P_TX | (udp || s->method == NT_STAGES_TRACEPOINTS ? NT_P_TX_PATH : 0U);
}

/* False: the table does not know the socket. The engine's lock is held. */
static bool tell(struct nt_stages *s, struct nt_engine *e, const struct nt_tx_rec *now)
{
	struct nt_plane *p = nt_plane_of(e, now->cookie);

	if (!p)
		return false;
	struct nt_tx_rec *last = base_of(&s->bases, now);

	if (!last)
		return true;
	struct fine *f = nt_tx_fine_of(s, now->cookie);

	p->has |= tx_bits(s, e, now->cookie);
	p->tx_sends = now->done - last->done;
	p->tx_incomplete = now->merged + now->lost - last->merged - last->lost;
	p->tx_resent = now->resent - last->resent;
	p->tx_open = open_of(now);
	for (uint32_t part = 0; part < NT_PARTS; part++)
		if (!fill_stage(now, last, f, part, s->read_epoch, &p->tx[stage_of[part]]))
			p->has |= NT_P_TX_OCTAVES;
	*last = *now;
	return true;
}

/* Tells of all records in the buffer; those that nobody knows stay at its beginning. */
static uint32_t tell_all(struct nt_stages *s, struct nt_engine *e)
{
	struct nt_tx_rec *v = (void *)s->buf; /* of malloc(), so it lies well */
	uint32_t n = s->n_buf / (uint32_t)sizeof(*v), kept = 0;

	for (uint32_t i = 0; i < n; i++)
		if (!tell(s, e, &v[i]) && kept++ != i)
			v[kept - 1] = v[i];
	s->n_buf = kept * (uint32_t)sizeof(*v);
	return n - kept;
}

static uint64_t count_open(const struct nt_stages *s)
{
	const struct nt_tx_rec *v = (const void *)s->buf;
	uint64_t open = 0;

	for (uint32_t i = 0; i < s->n_buf / sizeof(*v); i++)
		open += open_of(&v[i]);
	return open;
}

/* Selected sockets that sent nothing have no record, and are traced all the same. */
static void tell_wanted(struct nt_stages *s, struct nt_engine *e)
{
	for (uint32_t i = 0; i < s->n_wanted; i++) {
		struct nt_plane *p = nt_plane_of(e, s->wanted[i]);

		if (p)
			p->has |= tx_bits(s, e, s->wanted[i]);
	}
}

/* Records of UDP sockets behind those of TCP, on the same terms. */
static int read_datagrams(struct nt_stages *s, uint32_t epoch)
{
	int map = bpf_map__fd(s->skel->maps.datagrams);
	uint64_t key, gone[64], *before = NULL;
	struct nt_tx_datagrams d;
	uint32_t n_gone = 0;

	while (!bpf_map_get_next_key(map, before, &key)) {
		before = &key;
		if (bpf_map_lookup_elem(map, &key, &d) || !d.rec.cookie)
			continue;
		if (d.rec.touched + 1 < epoch && !open_of(&d.rec)) {
			if (d.rec.touched + QUIET_READS < epoch && n_gone < 64)
				gone[n_gone++] = key;
			continue;
		}
		if (s->buf_cap - s->n_buf < sizeof(d.rec)) {
			uint32_t bigger = s->buf_cap * 2 + 64 * (uint32_t)sizeof(d.rec);
			uint8_t *buf = realloc(s->buf, bigger);

			if (!buf)
				return -ENOMEM;
			s->buf = buf;
			s->buf_cap = bigger;
		}
		memcpy(s->buf + s->n_buf, &d.rec, sizeof(d.rec));
		s->n_buf += (uint32_t)sizeof(d.rec);
	}
	for (uint32_t i = 0; i < n_gone; i++)
		bpf_map_delete_elem(map, &gone[i]);
	return 0;
}

int nt_stages_read(struct nt_stages *s, struct nt_engine *e, struct nt_stages_totals *ret)
{
	uint64_t cpu = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&s->lock);
	uint32_t epoch = s->skel->data->epoch;

	if (s->method == NT_STAGES_STAMPS && !s->udp && !s->skel->bss->everything)
		nt_tx_detach_path(s);
	s->read_epoch = epoch;
	s->skel->data->epoch = epoch + 1;
	int err = nt_bpf_iter_read(bpf_link__fd(s->skel->links.stages_read), &s->buf, &s->n_buf,
				   &s->buf_cap);

	if (!err)
		err = read_datagrams(s, epoch + 1);
	read_fine(s);
	if (!err)
		err = read_totals(s, epoch, ret);
	if (!err) {
		ret->open = count_open(s);
		ret->sockets = s->n_buf / (uint32_t)sizeof(struct nt_tx_rec);
		/* What is neither done nor open went with its socket, or with its selection. */
		ret->lost = ret->sampled - ret->done - ret->merged - ret->open;
	}
	if (e && !err) {
		pthread_mutex_lock(&e->lock);
		nt_planes_reset_tx(e);
		tell_wanted(s, e);
		ret->unknown = ret->sockets - tell_all(s, e);
		nt_tx_nics_tell(s, e);
		if (++s->reads % FORGET_EVERY == 0 && s->bases.live > 2 * e->table.live + 1024)
			nt_tx_bases_rehash(&s->bases, s->bases.mask + 1, e);
		pthread_mutex_unlock(&e->lock);
	}
	pthread_mutex_unlock(&s->lock);
	ret->cpu_ns = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return err;
}

int nt_stages_read_late(struct nt_stages *s, struct nt_engine *e)
{
	uint32_t told;

	pthread_mutex_lock(&s->lock);
	pthread_mutex_lock(&e->lock);
	tell_wanted(s, e);
	told = tell_all(s, e);
	pthread_mutex_unlock(&e->lock);
	s->n_buf = 0;
	pthread_mutex_unlock(&s->lock);
	return (int)told;
}

int nt_stages_buckets(struct nt_stages *s, const uint64_t *cookies, uint32_t n, int stage, int run,
		      uint64_t *buckets, struct nt_dist *dist)
{
	int found = 0;

	memset(buckets, 0, NT_FINE * sizeof(*buckets));
	memset(dist, 0, sizeof(*dist));
	if (stage < 0 || stage >= NT_TX_STAGES)
		return -EINVAL;
	uint32_t part = 0;

	while ((int)stage_of[part] != stage)
		part++;
	pthread_mutex_lock(&s->lock);
	if (!n) {
		const struct total *t = &s->totals[part];
		const uint64_t *from = run ? t->start : t->last;

		for (uint32_t k = 0; k < NT_FINE; k++)
			buckets[k] = t->now[k] - from[k];
		dist->sum_ns = t->now_sum - (run ? t->start_sum : t->last_sum);
		dist->max_ns = run ? t->run_max_ns : t->max_ns;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct fine *f = nt_tx_fine_of(s, cookies[i]);

		if (!f)
			continue;
		found++;
		bool nic = part == NT_PARTS;
		const uint32_t *now = nic ? f->nic_now : f->now.buckets[part], *from;

		if (nic)
			from = run ? f->nic_start : f->nic_last;
		else
			from = run ? f->start.buckets[part] : f->last.buckets[part];
		for (uint32_t k = 0; k < NT_FINE; k++)
			buckets[k] += now[k] - from[k];
		uint64_t max_ns = nic ? f->nic_max_ns : f->max_ns[part];

		if (!run && max_ns > dist->max_ns)
			dist->max_ns = max_ns;
	}
	nt_dist_of(buckets, NT_FINE, 1, dist);
	pthread_mutex_unlock(&s->lock);
	return found;
}

void nt_stages_clear(struct nt_stages *s)
{
	pthread_mutex_lock(&s->lock);
	for (uint32_t part = 0; part <= NT_PARTS; part++) {
		struct total *t = &s->totals[part];

		memcpy(t->start, t->now, sizeof(t->now));
		t->start_sum = t->now_sum;
		t->run_max_ns = 0;
	}
	for (uint32_t i = 0; i < s->n_fine; i++) {
		struct fine *f = s->fine[i];

		f->start = f->now;
		memcpy(f->nic_start, f->nic_now, sizeof(f->nic_now));
	}
	pthread_mutex_unlock(&s->lock);
}

#endif
