// SPDX-License-Identifier: MIT
/* The wait plane's counters: ending an interval, telling the engine, buckets. */
#include "nt_api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_hist.h"
#include "nt_planes.h"

/* Fine buckets of the sockets that pass the filter would not fit the kernel: octaves do. */
int nt_wait_matched(struct nt_engine *e, uint64_t *octaves, struct nt_dist *dist)
{
	memset(octaves, 0, NT_OCTAVES * sizeof(*octaves));
	memset(dist, 0, sizeof(*dist));
	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < e->table.high; i++) {
		if ((e->table.mark[i] & (NT_M_LIVE | NT_M_MATCH)) != (NT_M_LIVE | NT_M_MATCH))
			continue;
		const struct nt_rec *rec = nt_rec_at(&e->table, i);
		const struct nt_plane *p = nt_rec_plane(e, rec);

		/* A listener's are its connections' once more. */
		if (!p || !p->wait.count ||
		    (rec->proto == NT_PROTO_TCP && rec->state == NT_TCP_LISTEN))
			continue;
		for (uint32_t k = 0; k < NT_OCTAVES; k++)
			octaves[k] += p->wait_octaves[k];
		dist->sum_ns += p->wait.sum_ns;
		if (p->wait.max_ns > dist->max_ns)
			dist->max_ns = p->wait.max_ns;
	}
	pthread_mutex_unlock(&e->lock);
	return nt_dist_of(octaves, NT_OCTAVES, 0, dist);
}

void nt_wait_forget(struct nt_engine *e)
{
	pthread_mutex_lock(&e->lock);
	nt_planes_reset_wait(e);
	pthread_mutex_unlock(&e->lock);
}

#ifdef NT_WITH_BPF

#include "nt_bpf.h"
#include "nt_wait_host.h"

#define FORGET_EVERY 32 /* reads */

static struct base *base_slot(const struct bases *b, uint64_t cookie)
{
	uint32_t i = (uint32_t)(nt_wait_mix(cookie) >> 32) & b->mask;

	while (b->v[i].cookie && b->v[i].cookie != cookie)
		i = (i + 1) & b->mask;
	return &b->v[i];
}

int nt_wait_rehash(struct bases *b, uint32_t n, const struct nt_engine *keep)
{
	struct bases bigger = { .v = calloc(n, sizeof(*bigger.v)), .mask = n - 1 };

	if (!bigger.v)
		return -ENOMEM;
	for (uint32_t i = 0; b->v && i <= b->mask; i++) {
		const struct base *old = &b->v[i];

		if (!old->cookie || (keep && nt_table_find(&keep->table, old->cookie) == NT_NONE))
			continue;
		*base_slot(&bigger, old->cookie) = *old;
		bigger.live++;
	}
	free(b->v);
	*b = bigger;
	return 0;
}

static struct base *base_of(struct bases *b, uint64_t cookie)
{
	if ((b->live + 1) * 2 > b->mask && nt_wait_rehash(b, (b->mask + 1) * 2, NULL))
		return NULL;
	struct base *slot = base_slot(b, cookie);

	if (!slot->cookie) {
		slot->cookie = cookie;
		b->live++;
	}
	return slot;
}

static void read_focus(struct nt_wait *w)
{
	int map = bpf_map__fd(w->skel->maps.focus);

	for (uint32_t i = 0; i < w->n_focus; i++) {
		struct focus *f = w->focus[i];

		memcpy(f->last, f->now, sizeof(f->now));
		f->max_ns = 0;
		f->whole = f->read;
		f->read = !bpf_map_lookup_elem(map, &f->cookie, f->now);
	}
}

static int read_total(struct nt_wait *w, uint32_t epoch, struct nt_wait_totals *t)
{
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.cpus), &zero, w->cpus))
		return -errno;
	memcpy(w->last, w->now, sizeof(w->now));
	memset(w->now, 0, sizeof(w->now));
	w->last_sum = w->now_sum;
	w->now_sum = w->max_ns = 0;
	for (int i = 0; i < w->n_cpus; i++) {
		const struct nt_wait_cpu *c = &w->cpus[i];

		t->runs += c->runs;
		t->no_storage += c->no_storage;
		t->merges += c->merges;
		t->bounded += c->bounded;
		w->now_sum += c->sum_ns;
		for (uint32_t s = 0; s < 2; s++)
			if (c->epoch[s] >= epoch && c->max_ns[s] > w->max_ns)
				w->max_ns = c->max_ns[s];
		for (uint32_t k = 0; k < NT_FINE; k++)
			w->now[k] += c->buckets[k];
	}
	if (w->max_ns > w->run_max_ns)
		w->run_max_ns = w->max_ns;
	return 0;
}

static struct focus *focus_of(struct nt_wait *w, uint64_t cookie)
{
	for (uint32_t i = 0; i < w->n_focus; i++)
		if (w->focus[i]->cookie == cookie)
			return w->focus[i];
	return NULL;
}

/* Percentiles of a socket in focus come from its fine buckets, of others from octaves. */
static void fill_dist(struct nt_wait *w, const struct nt_ws_out *o, struct nt_plane *p)
{
	struct focus *f = w->n_focus ? focus_of(w, o->cookie) : NULL;

	if (f) {
		uint64_t fine[NT_FINE], count = p->wait.count, any = 0;

		f->max_ns = p->wait.max_ns;
		for (uint32_t k = 0; k < NT_FINE; k++) {
			fine[k] = f->now[k] - f->last[k];
			any |= fine[k];
		}
		if (f->whole && any) {
			nt_dist_of(fine, NT_FINE, 1, &p->wait);
			/* Both are read within microseconds of each other; this one is the sum's. */
			p->wait.count = count;
			return;
		}
	}
	uint64_t octaves[NT_OCTAVES];

	for (uint32_t k = 0; k < NT_OCTAVES; k++)
		octaves[k] = p->wait_octaves[k];
	nt_dist_of(octaves, NT_OCTAVES, 0, &p->wait);
}

/* False: the table does not know the socket. The engine's lock is held. */
static bool tell(struct nt_wait *w, struct nt_engine *e, const struct nt_ws_out *o)
{
	struct nt_plane *p = nt_plane_of(e, o->cookie);

	if (!p)
		return false;
	struct base *b = base_of(&w->bases, o->cookie);

	if (!b)
		return true;
	p->has |= NT_P_WAIT | (w->probe ? NT_P_WAIT_PROBE : 0U);
	p->wait.count = o->count - b->count;
	p->wait.sum_ns = o->sum_ns - b->sum_ns;
	p->wait.max_ns = o->max_ns;
	p->wait_bounded = o->bounded - b->bounded;
	p->wait_approx = o->approx - b->approx;
	for (uint32_t k = 0; k < NT_OCTAVES; k++)
		p->wait_octaves[k] = o->octaves[k] - b->octaves[k];
	if (p->wait.count)
		fill_dist(w, o, p);
	if (o->oldest_ns && o->oldest_ns < w->read_ns) {
		p->has |= NT_P_UNREAD | (o->oldest_bounded ? NT_P_UNREAD_BOUND : 0);
		p->oldest_unread_ns = w->read_ns - o->oldest_ns;
	}
	b->count = o->count;
	b->sum_ns = o->sum_ns;
	b->bounded = o->bounded;
	b->approx = o->approx;
	memcpy(b->octaves, o->octaves, sizeof(b->octaves));
	return true;
}

static struct port *port_of(struct nt_wait *w, const struct nt_accept_key *key)
{
	for (uint32_t i = 0; i < w->n_ports; i++)
		if (!memcmp(&w->ports[i].key, key, sizeof(*key)))
			return &w->ports[i];
	struct port *bigger = realloc(w->ports, (w->n_ports + 1UL) * sizeof(*bigger));

	if (!bigger)
		return NULL;
	w->ports = bigger;
	w->ports[w->n_ports] = (struct port){ .key = *key };
	return &w->ports[w->n_ports++];
}

/* Ports with early data in the interval; returns how many. */
static uint32_t read_ports(struct nt_wait *w, uint32_t epoch)
{
	int map = bpf_map__fd(w->skel->maps.accepts);
	struct nt_accept_key key, *before = NULL;
	uint32_t active = 0;

	while (!bpf_map_get_next_key(map, before, &key)) {
		struct port *p = port_of(w, &key);
		uint64_t octaves[NT_OCTAVES];

		before = &key;
		if (!p)
			break; /* more ports than are kept: their listeners have no accept wait */
		p->last = p->now;
		if (bpf_map_lookup_elem(map, &key, &p->now))
			continue;
		p->dist = (struct nt_dist){ .sum_ns = p->now.sum_ns - p->last.sum_ns };
		for (uint32_t s = 0; s < 2; s++)
			if (p->now.epoch[s] >= epoch && p->now.max_ns[s] > p->dist.max_ns)
				p->dist.max_ns = p->now.max_ns[s];
		for (uint32_t k = 0; k < NT_OCTAVES; k++)
			octaves[k] = p->octaves[k] = p->now.octaves[k] - p->last.octaves[k];
		nt_dist_of(octaves, NT_OCTAVES, 0, &p->dist);
		active += p->dist.count > 0;
	}
	return active;
}

/* Accept wait: every listener of the port, as connections are shared among them. */
static void tell_listeners(struct nt_wait *w, struct nt_engine *e)
{
	for (uint32_t i = 0; i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		struct nt_rec *rec = nt_rec_at(&e->table, i);

		if (rec->proto != NT_PROTO_TCP || rec->state != NT_TCP_LISTEN)
			continue;
		for (uint32_t k = 0; k < w->n_ports; k++) {
			const struct port *port = &w->ports[k];
			struct nt_plane *p;

			if (!port->dist.count || port->key.port != rec->sport ||
			    port->key.netns != rec->netns || port->key.family != rec->family)
				continue;
			p = nt_plane_of(e, rec->cookie);
			if (!p)
				continue;
			p->has |= NT_P_WAIT;
			p->wait = port->dist;
			memcpy(p->wait_octaves, port->octaves, sizeof(p->wait_octaves));
		}
	}
}

/* Tells of all records in the buffer; those that nobody knows stay at its beginning. */
static uint32_t tell_all(struct nt_wait *w, struct nt_engine *e)
{
	struct nt_ws_out o;
	uint32_t kept = 0, told = 0;

	for (uint32_t at = 0; at + sizeof(o) <= w->n_buf; at += sizeof(o)) {
		memcpy(&o, w->buf + at, sizeof(o));
		if (tell(w, e, &o)) {
			told++;
		} else {
			memmove(w->buf + kept, w->buf + at, sizeof(o));
			kept += sizeof(o);
		}
	}
	w->n_buf = kept;
	return told;
}

int nt_wait_read_late(struct nt_wait *w, struct nt_engine *e)
{
	uint32_t told;

	pthread_mutex_lock(&w->lock);
	pthread_mutex_lock(&e->lock);
	told = tell_all(w, e);
	if (w->active_ports)
		tell_listeners(w, e);
	pthread_mutex_unlock(&e->lock);
	w->n_buf = 0;
	pthread_mutex_unlock(&w->lock);
	return (int)told;
}

int nt_wait_read(struct nt_wait *w, struct nt_engine *e, struct nt_wait_totals *ret)
{
	uint64_t cpu = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&w->lock);
	uint32_t epoch = w->skel->data->epoch;

	w->read_ns = nt_clock_ns(CLOCK_MONOTONIC);

	w->skel->data->epoch = epoch + 1;
	int err = nt_bpf_iter_read(bpf_link__fd(w->skel->links.wait_read), &w->buf, &w->n_buf,
				   &w->buf_cap);

	read_focus(w);
	if (!err)
		err = read_total(w, epoch, ret);
	if (e && !err) {
		ret->sockets = w->n_buf / (uint32_t)sizeof(struct nt_ws_out);
		pthread_mutex_lock(&e->lock);
		nt_planes_reset_wait(e);
		ret->unknown = ret->sockets - tell_all(w, e);
		w->active_ports = read_ports(w, epoch);
		if (w->active_ports)
			tell_listeners(w, e);
		/* Sockets that are gone must not keep their counters here for ever. */
		if (++w->reads % FORGET_EVERY == 0 && w->bases.live > 2 * e->table.live + 1024)
			nt_wait_rehash(&w->bases, w->bases.mask + 1, e);
		pthread_mutex_unlock(&e->lock);
	}
	if (!err) {
		uint64_t interval[NT_FINE];

		for (uint32_t k = 0; k < NT_FINE; k++)
			interval[k] = w->now[k] - w->last[k];
		ret->all.max_ns = w->max_ns;
		ret->all.sum_ns = w->now_sum - w->last_sum;
		nt_dist_of(interval, NT_FINE, 1, &ret->all);
	}
	ret->sample_shift = w->skel->bss->sample_shift;
	ret->focus_full = w->focus_full;
	pthread_mutex_unlock(&w->lock);
	ret->cpu_ns = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return err;
}

int nt_wait_buckets(struct nt_wait *w, const uint64_t *cookies, uint32_t n, int run,
		    uint64_t *buckets, struct nt_dist *dist)
{
	int found = 0;

	memset(buckets, 0, NT_FINE * sizeof(*buckets));
	memset(dist, 0, sizeof(*dist));
	pthread_mutex_lock(&w->lock);
	if (!n) {
		const uint64_t *from = run ? w->start : w->last;

		for (uint32_t k = 0; k < NT_FINE; k++)
			buckets[k] = w->now[k] - from[k];
		dist->sum_ns = w->now_sum - (run ? w->start_sum : w->last_sum);
		dist->max_ns = run ? w->run_max_ns : w->max_ns;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct focus *f = focus_of(w, cookies[i]);

		if (!f)
			continue;
		found++;
		for (uint32_t k = 0; k < NT_FINE; k++)
			buckets[k] += f->now[k] - (run ? f->start[k] : f->last[k]);
		if (!run && f->max_ns > dist->max_ns)
			dist->max_ns = f->max_ns;
	}
	nt_dist_of(buckets, NT_FINE, 1, dist);
	pthread_mutex_unlock(&w->lock);
	return found;
}

void nt_wait_clear(struct nt_wait *w)
{
	pthread_mutex_lock(&w->lock);
	memcpy(w->start, w->now, sizeof(w->now));
	w->start_sum = w->now_sum;
	w->run_max_ns = 0;
	for (uint32_t i = 0; i < w->n_focus; i++)
		memcpy(w->focus[i]->start, w->focus[i]->now, sizeof(w->focus[i]->now));
	pthread_mutex_unlock(&w->lock);
}

#endif
