// SPDX-License-Identifier: MIT
/* RX queue waits: what the kernel's counters say of an interval, from their sections alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_planes.h"
#include "nt_sections.h"
#include "nt_wait_state.h"

#define FORGET_EVERY 32 /* reads */
#define BASES_MIN 1024

static bool is_listener(const struct nt_rec *rec)
{
	return rec->proto == NT_PROTO_TCP && rec->state == NT_TCP_LISTEN;
}

/* Fine buckets of the sockets that pass the filter would not fit the kernel: octaves do. */
int nt_wait_matched(struct nt_engine *e, uint64_t *octaves, struct nt_dist *dist)
{
	struct nt_rec room;

	memset(octaves, 0, NT_OCTAVES * sizeof(*octaves));
	memset(dist, 0, sizeof(*dist));
	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < e->table.high; i++) {
		if ((e->table.mark[i] & (NT_M_LIVE | NT_M_MATCH)) != (NT_M_LIVE | NT_M_MATCH))
			continue;
		const struct nt_plane *p = nt_plane_at(e, i);

		/* A listener's are its connections' once more. */
		if (!p || !p->wait.count || is_listener(nt_rec_read(&e->table, i, &room)))
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

static uint64_t mix(uint64_t cookie)
{
	return cookie * 0x9e3779b97f4a7c15ULL;
}

static struct nt_wait_base *base_slot(const struct nt_wait_bases *b, uint64_t cookie)
{
	uint32_t i = (uint32_t)(mix(cookie) >> 32) & b->mask;

	while (b->v[i].cookie && b->v[i].cookie != cookie)
		i = (i + 1) & b->mask;
	return &b->v[i];
}

static int rehash(struct nt_wait_bases *b, uint32_t n, const struct nt_engine *keep)
{
	struct nt_wait_bases bigger = { .v = calloc(n, sizeof(*bigger.v)), .mask = n - 1 };

	if (!bigger.v)
		return -ENOMEM;
	for (uint32_t i = 0; b->v && i <= b->mask; i++) {
		const struct nt_wait_base *old = &b->v[i];

		if (!old->cookie || (keep && nt_table_find(&keep->table, old->cookie) == NT_NONE))
			continue;
		*base_slot(&bigger, old->cookie) = *old;
		bigger.live++;
	}
	free(b->v);
	*b = bigger;
	return 0;
}

static struct nt_wait_base *base_of(struct nt_wait_bases *b, uint64_t cookie)
{
	if ((b->live + 1) * 2 > b->mask && rehash(b, (b->mask + 1) * 2, NULL))
		return NULL;
	struct nt_wait_base *slot = base_slot(b, cookie);

	if (!slot->cookie) {
		slot->cookie = cookie;
		b->live++;
	}
	return slot;
}

static struct nt_waits *waits_of(struct nt_engine *e)
{
	if (!e->waits) {
		e->waits = calloc(1, sizeof(*e->waits));
		if (e->waits && rehash(&e->waits->bases, BASES_MIN, NULL)) {
			free(e->waits);
			e->waits = NULL;
		}
	}
	return e->waits;
}

void nt_waits_free(struct nt_waits *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; i < w->n_focus; i++)
		free(w->focus[i]);
	free(w->bases.v);
	free(w->ports);
	free(w->late);
	free(w);
}

static struct nt_wait_focus *focus_of(struct nt_waits *w, uint64_t cookie)
{
	for (uint32_t i = 0; i < w->n_focus; i++)
		if (w->focus[i]->cookie == cookie)
			return w->focus[i];
	return NULL;
}

/* Percentiles of a socket in focus come from its fine buckets, of others from octaves. */
static void fill_dist(struct nt_waits *w, const struct nt_ws_out *o, struct nt_plane *p)
{
	struct nt_wait_focus *f = w->n_focus ? focus_of(w, o->cookie) : NULL;

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

	p->has |= NT_P_WAIT_OCTAVES;
	for (uint32_t k = 0; k < NT_OCTAVES; k++)
		octaves[k] = p->wait_octaves[k];
	nt_dist_of(octaves, NT_OCTAVES, 0, &p->wait);
}

#define STANDS_AFTER_MS 100 /* CoDel's interval */

/*
 * So long no delivery had waited for less than NT_STANDING_NS when it was read, and none does that
 * is unread; 0: shorter than CoDel's interval.
 */
static uint32_t standing_ms(const struct nt_waits *w, const struct nt_ws_out *o)
{
	uint64_t age = w->read_ns - o->oldest_ns, ms;

	if (age < NT_STANDING_NS)
		return 0;
	age -= NT_STANDING_NS; /* since then the oldest has waited so long */
	if (o->above_ns && o->above_ns < w->read_ns && w->read_ns - o->above_ns > age)
		age = w->read_ns - o->above_ns;
	ms = age / 1000000;
	if (ms < STANDS_AFTER_MS)
		return 0;
	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

/* False: the table does not know the socket. */
static bool take_socket(struct nt_waits *w, struct nt_engine *e, const struct nt_ws_out *o)
{
	struct nt_plane *p = nt_plane_of(e, o->cookie);

	if (!p)
		return false;
	struct nt_wait_base *b = base_of(&w->bases, o->cookie);

	if (!b)
		return true;
	bool known = b->count || b->rx_datagrams || b->tx_datagrams;

	p->has |= NT_P_WAIT | (w->head.probe ? NT_P_WAIT_PROBE : 0U);
	if (known || w->whole) {
		p->wait.count = o->count - b->count;
		p->wait.sum_ns = o->sum_ns - b->sum_ns;
		p->wait.max_ns = o->max_ns;
		p->wait_bounded = o->bounded - b->bounded;
		p->wait_approx = o->approx - b->approx;
		for (uint32_t k = 0; k < NT_OCTAVES; k++)
			p->wait_octaves[k] = o->octaves[k] - b->octaves[k];
		if (p->wait.count)
			fill_dist(w, o, p);
	}
	if (o->udp && w->head.datagrams && (known || w->whole)) {
		p->has |= NT_P_UDP;
		p->udp = (struct nt_udp){
			.rx_bytes = o->rx_bytes - b->rx_bytes,
			.tx_bytes = o->tx_bytes - b->tx_bytes,
			.rx_datagrams = o->rx_datagrams - b->rx_datagrams,
			.tx_datagrams = o->tx_datagrams - b->tx_datagrams,
			.over_ns = e->waits_over_ns,
		};
	}
	if (o->oldest_ns && o->oldest_ns < w->read_ns) {
		p->has |= NT_P_UNREAD | (o->oldest_bounded ? NT_P_UNREAD_BOUND : 0);
		p->oldest_unread_ns = w->read_ns - o->oldest_ns;
		p->standing_ms = standing_ms(w, o);
	}
	b->rx_bytes = o->rx_bytes;
	b->tx_bytes = o->tx_bytes;
	b->rx_datagrams = o->rx_datagrams;
	b->tx_datagrams = o->tx_datagrams;
	b->count = o->count;
	b->sum_ns = o->sum_ns;
	b->bounded = o->bounded;
	b->approx = o->approx;
	memcpy(b->octaves, o->octaves, sizeof(b->octaves));
	return true;
}

static struct nt_wait_early *port_of(struct nt_waits *w, const struct nt_accept_key *key)
{
	for (uint32_t i = 0; i < w->n_ports; i++)
		if (!memcmp(&w->ports[i].key, key, sizeof(*key)))
			return &w->ports[i];
	struct nt_wait_early *bigger = realloc(w->ports, (w->n_ports + 1UL) * sizeof(*bigger));

	if (!bigger)
		return NULL;
	w->ports = bigger;
	w->ports[w->n_ports] = (struct nt_wait_early){ .key = *key };
	return &w->ports[w->n_ports++];
}

static void take_port(struct nt_waits *w, const struct nt_wait_port *now)
{
	struct nt_wait_early *p = port_of(w, &now->key);
	uint64_t octaves[NT_OCTAVES];

	if (!p)
		return; /* no memory: its listeners have no accept wait */
	p->dist = (struct nt_dist){ .sum_ns = now->now.sum_ns - p->last.sum_ns };
	for (uint32_t s = 0; s < 2; s++)
		if (now->now.epoch[s] >= w->head.epoch && now->now.max_ns[s] > p->dist.max_ns)
			p->dist.max_ns = now->now.max_ns[s];
	for (uint32_t k = 0; k < NT_OCTAVES; k++)
		octaves[k] = p->octaves[k] = now->now.octaves[k] - p->last.octaves[k];
	nt_dist_of(octaves, NT_OCTAVES, 0, &p->dist);
	p->last = now->now;
	w->active_ports += p->dist.count > 0;
}

static void over_listeners(struct nt_waits *w, struct nt_engine *e, bool counted)
{
	for (uint32_t i = 0; i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		struct nt_rec room;
		const struct nt_rec *rec = nt_rec_read(&e->table, i, &room);

		if (!is_listener(rec))
			continue;
		for (uint32_t k = 0; k < w->n_ports; k++) {
			struct nt_wait_early *port = &w->ports[k];
			struct nt_plane *p;

			if (!port->dist.count || port->key.port != rec->sport ||
			    port->key.netns != rec->netns || port->key.family != rec->family)
				continue;
			port->listeners += !counted;
			p = counted ? nt_plane_of(e, rec->cookie) : NULL;
			if (!p)
				continue;
			p->has |= NT_P_WAIT | NT_P_WAIT_OCTAVES |
				  (port->listeners > 1 ? NT_P_WAIT_SHARED : 0U);
			p->wait = port->dist;
			memcpy(p->wait_octaves, port->octaves, sizeof(p->wait_octaves));
		}
	}
}

/* Accept wait: every listener of the port, as connections are shared among them. */
static void take_listeners(struct nt_waits *w, struct nt_engine *e)
{
	for (uint32_t k = 0; k < w->n_ports; k++)
		w->ports[k].listeners = 0;
	over_listeners(w, e, false);
	over_listeners(w, e, true);
}

static int keep_late(struct nt_waits *w, const struct nt_ws_out *o)
{
	if (w->n_late == w->late_cap) {
		uint32_t cap = w->late_cap ? w->late_cap * 2 : 64;
		struct nt_ws_out *v = realloc(w->late, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		w->late = v;
		w->late_cap = cap;
	}
	w->late[w->n_late++] = *o;
	return 0;
}

/* Which sockets the sampling of the interval left out. */
static void mark_untraced(struct nt_waits *w, struct nt_engine *e)
{
	uint32_t shift = w->head.shift & 31;

	if (!shift && !w->marked)
		return;
	w->marked = shift > 0;
	for (uint32_t i = 0; i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		struct nt_rec room, *rec = nt_rec_take(&e->table, i, &room);

		if (mix(rec->cookie) >> 40 & ((1U << shift) - 1))
			rec->flags |= NT_F_WAIT_UNTRACED;
		else
			rec->flags &= ~(uint32_t)NT_F_WAIT_UNTRACED;
		nt_rec_put(&e->table, i, rec); /* a flag more or less: it rests as before */
	}
}

void nt_wait_late(struct nt_engine *e)
{
	struct nt_waits *w = e->waits;

	if (!w)
		return;
	for (uint32_t i = 0; i < w->n_late; i++)
		take_socket(w, e, &w->late[i]);
	w->n_late = 0;
	mark_untraced(w, e);
	if (w->active_ports)
		take_listeners(w, e);
}

static int begin(struct nt_waits *w, struct nt_engine *e, const struct nt_section *s,
		 const uint8_t *body)
{
	struct nt_wait_head head;
	uint32_t kept = 0;

	if (s->bytes != sizeof(head) + sizeof(w->now))
		return -EPROTO;
	memcpy(&head, body, sizeof(head));
	w->whole = head.read == 1 || (w->whole && head.read == w->head.read + 1);
	/* A focus that the last read did not have is none any more. */
	for (uint32_t i = 0; i < w->n_focus; i++) {
		if (w->focus[i]->read == w->head.read)
			w->focus[kept++] = w->focus[i];
		else
			free(w->focus[i]);
	}
	w->n_focus = kept;
	if (head.read == 1) {
		memset(w->now, 0, sizeof(w->now));
		memset(w->start, 0, sizeof(w->start));
		w->now_sum = w->start_sum = w->run_max_ns = 0;
	}
	memcpy(w->last, w->now, sizeof(w->now));
	w->last_sum = w->now_sum;
	memcpy(w->now, body + sizeof(head), sizeof(w->now));
	w->now_sum = head.sum_ns;
	w->max_ns = head.max_ns;
	if (!w->whole && head.read != w->head.read + 1) {
		/* What went before is not known: nothing is, of this interval. */
		memcpy(w->last, w->now, sizeof(w->now));
		memcpy(w->start, w->now, sizeof(w->now));
		w->last_sum = w->start_sum = w->now_sum;
		w->max_ns = w->run_max_ns = 0;
	}
	if (w->max_ns > w->run_max_ns)
		w->run_max_ns = w->max_ns;
	e->waits_over_ns = head.read == w->head.read + 1 && w->read_ns && s->at_ns > w->read_ns ?
				   s->at_ns - w->read_ns :
				   0;
	w->head = head;
	e->waits_whole = head.complete == NT_WAIT_ALL;
	e->waits_held = e->waits_whole || head.complete == NT_WAIT_HELD;
	w->read_ns = s->at_ns;
	w->n_late = w->active_ports = 0;
	nt_planes_reset_wait(e);
	mark_untraced(w, e);
	/* Sockets that are gone must not keep their counters here for ever. */
	if (head.read % FORGET_EVERY == 0 && w->bases.live > 2 * e->table.live + 1024)
		rehash(&w->bases, w->bases.mask + 1, e);
	return 0;
}

static int take_focus(struct nt_waits *w, const struct nt_wait_focused *now)
{
	struct nt_wait_focus *f = focus_of(w, now->cookie);

	if (!f) {
		if (w->n_focus == NT_FOCUS_MAX)
			return -EPROTO;
		f = calloc(1, sizeof(*f));
		if (!f)
			return -ENOMEM;
		f->cookie = now->cookie;
		w->focus[w->n_focus++] = f;
		if (!w->whole) {
			memcpy(f->now, now->buckets, sizeof(f->now));
			memcpy(f->start, now->buckets, sizeof(f->start));
		}
	} else if (f->read == w->head.read - 1) {
		f->whole = true;
	}
	/* It was left and asked for again between two reads: its counters began anew. */
	for (uint32_t k = 0; k < NT_FINE; k++) {
		if (now->buckets[k] < f->now[k]) {
			memset(f->now, 0, sizeof(f->now));
			memset(f->start, 0, sizeof(f->start));
			break;
		}
	}
	memcpy(f->last, f->now, sizeof(f->now));
	memcpy(f->now, now->buckets, sizeof(f->now));
	f->max_ns = 0;
	f->read = w->head.read;
	return 0;
}

/* Those that the read does not have give their places to those that it has for the first time. */
static void leave_focus(struct nt_waits *w, const uint8_t *body, uint32_t n)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < w->n_focus; i++) {
		bool there = false;

		for (uint32_t k = 0; k < n && !there; k++)
			there = !memcmp(body + (size_t)k * sizeof(struct nt_wait_focused),
					&w->focus[i]->cookie, sizeof(uint64_t));
		if (there)
			w->focus[kept++] = w->focus[i];
		else
			free(w->focus[i]);
	}
	w->n_focus = kept;
}

/* Whether the body is records of this size, which are then read one by one. */
static bool holds(const struct nt_section *s, size_t record)
{
	return s->arg == record && s->bytes % record == 0;
}

int nt_wait_apply(struct nt_engine *e, const struct nt_section *s, const uint8_t *body)
{
	struct nt_waits *w = waits_of(e);
	int err = 0;

	if (!w)
		return -ENOMEM;
	if (s->kind == NT_S_WAIT)
		return begin(w, e, s, body);
	if (s->kind == NT_S_WAIT_OFF) {
		nt_planes_reset_wait(e);
		w->head.shift = 0;
		e->waits_whole = e->waits_held = false;
		e->waits_over_ns = 0;
		mark_untraced(w, e);
		nt_waits_free(w);
		e->waits = NULL;
		return 0;
	}
	if (!w->head.read)
		return -EPROTO; /* no interval has begun */
	if (s->kind == NT_S_WAIT_FOCUS && holds(s, sizeof(struct nt_wait_focused))) {
		struct nt_wait_focused *one = malloc(sizeof(*one));
		uint32_t n = s->bytes / (uint32_t)sizeof(*one);

		if (w->n_focus + n > NT_FOCUS_MAX)
			leave_focus(w, body, n);
		for (uint32_t at = 0; one && !err && at < s->bytes; at += sizeof(*one)) {
			memcpy(one, body + at, sizeof(*one));
			err = take_focus(w, one);
		}
		err = one ? err : -ENOMEM;
		free(one);
		return err;
	}
	if (s->kind == NT_S_WAIT_SOCKETS &&
	    (holds(s, sizeof(struct nt_ws_out)) || holds(s, NT_WS_OUT_BEFORE))) {
		for (uint32_t at = 0; !err && at < s->bytes; at += s->arg) {
			struct nt_ws_out o = { 0 };

			memcpy(&o, body + at, s->arg);
			if (!take_socket(w, e, &o))
				err = keep_late(w, &o);
		}
		return err;
	}
	if (s->kind == NT_S_WAIT_PORTS && holds(s, sizeof(struct nt_wait_port))) {
		for (uint32_t at = 0; at < s->bytes; at += sizeof(struct nt_wait_port)) {
			struct nt_wait_port port;

			memcpy(&port, body + at, sizeof(port));
			take_port(w, &port);
		}
		if (w->active_ports)
			take_listeners(w, e);
		return 0;
	}
	return -EPROTO;
}

int nt_wait_interval(struct nt_engine *e, struct nt_dist *ret)
{
	uint64_t interval[NT_FINE] = { 0 };

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&e->lock);
	const struct nt_waits *w = e->waits;

	for (uint32_t k = 0; w && k < NT_FINE; k++)
		interval[k] = w->now[k] - w->last[k];
	if (w) {
		ret->max_ns = w->max_ns;
		ret->sum_ns = w->now_sum - w->last_sum;
	}
	pthread_mutex_unlock(&e->lock);
	return nt_dist_of(interval, NT_FINE, 1, ret);
}

int nt_wait_buckets(struct nt_engine *e, const uint64_t *cookies, uint32_t n, int run,
		    uint64_t *buckets, struct nt_dist *dist)
{
	int found = 0;

	memset(buckets, 0, NT_FINE * sizeof(*buckets));
	memset(dist, 0, sizeof(*dist));
	pthread_mutex_lock(&e->lock);
	struct nt_waits *w = e->waits;
	bool all = run && e->config.run_of_planes;

	if (!w) {
		pthread_mutex_unlock(&e->lock);
		return -ENOENT;
	}
	if (!n) {
		const uint64_t *from = run ? w->start : w->last;

		for (uint32_t k = 0; k < NT_FINE; k++)
			buckets[k] = w->now[k] - (all ? 0 : from[k]);
		dist->sum_ns = w->now_sum - (all ? 0 : run ? w->start_sum : w->last_sum);
		dist->max_ns = all ? 0 : run ? w->run_max_ns : w->max_ns;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct nt_wait_focus *f = focus_of(w, cookies[i]);

		if (!f)
			continue;
		found++;
		for (uint32_t k = 0; k < NT_FINE; k++)
			buckets[k] += f->now[k] - (all ? 0 : run ? f->start[k] : f->last[k]);
		if (!run && f->max_ns > dist->max_ns)
			dist->max_ns = f->max_ns;
	}
	nt_dist_of(buckets, NT_FINE, 1, dist);
	pthread_mutex_unlock(&e->lock);
	return found;
}

void nt_wait_clear(struct nt_engine *e)
{
	pthread_mutex_lock(&e->lock);
	struct nt_waits *w = e->waits;

	if (w) {
		memcpy(w->start, w->now, sizeof(w->now));
		w->start_sum = w->now_sum;
		w->run_max_ns = 0;
		for (uint32_t i = 0; i < w->n_focus; i++)
			memcpy(w->focus[i]->start, w->focus[i]->now, sizeof(w->focus[i]->now));
	}
	pthread_mutex_unlock(&e->lock);
}

void nt_wait_forget(struct nt_engine *e)
{
	struct nt_section off = { .kind = NT_S_WAIT_OFF };

	pthread_mutex_lock(&e->lock);
	off.at_ns = e->now_ns;
	nt_apply(e, &off, NULL);
	pthread_mutex_unlock(&e->lock);
}
