// SPDX-License-Identifier: MIT
/* The events plane's counters and records: ending an interval, looking back. */
#ifdef NT_WITH_BPF

#include "nt_api.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "nt_bpf.h"
#include "nt_engine.h"
#include "nt_events_host.h"
#include "nt_planes.h"

static int by_count(const void *a, const void *b)
{
	const struct nt_drop *x = a, *y = b;

	return x->count > y->count ? -1 : x->count < y->count;
}

static int by_interval(const void *a, const void *b)
{
	const struct nt_drop_reason *x = &((const struct ev_reason *)a)->out;
	const struct nt_drop_reason *y = &((const struct ev_reason *)b)->out;

	if (x->interval != y->interval)
		return x->interval > y->interval ? -1 : 1;
	return x->count > y->count ? -1 : x->count < y->count;
}

/* Empties the map that the programs have just left. */
static int read_drops(struct nt_events *s, uint32_t epoch)
{
	struct bpf_map *map = epoch & 1 ? s->skel->maps.drops_odd : s->skel->maps.drops_even;
	uint32_t count = NT_EV_DROPS, batch = 0;

	s->n_drops = 0;
	if (bpf_map_lookup_and_delete_batch(bpf_map__fd(map), NULL, &batch, s->drop_keys, s->drops,
					    &count, NULL) &&
	    errno != ENOENT)
		return -errno;
	s->n_drops = count;
	for (uint32_t i = 0; i < count; i++)
		s->drops[i].last_ns += (uint64_t)nt_timens_ns();
	qsort(s->drops, count, sizeof(*s->drops), by_count);
	return 0;
}

/* Reasons by the kernel's names, whose numbers differ between kernels; an end of * is open. */
static const struct {
	const char *name;
	enum nt_drop_cause cause;
} causes[] = {
	{ "SOCKET_FILTER", NT_D_REFUSED }, { "TCP_MINTTL", NT_D_REFUSED },
	{ "TCP_FLAGS", NT_D_REFUSED },	   { "XFRM_POLICY", NT_D_REFUSED },
	{ "TCP_MD5*", NT_D_REFUSED },	   { "TCP_AO*", NT_D_REFUSED },
	{ "TCP_AUTH*", NT_D_REFUSED },	   { "TCP_INVALID*", NT_D_REFUSED },
	{ "TCP_RESET", NT_D_REFUSED },	   { "SOCKET_RCVBUFF", NT_D_FULL },
	{ "SOCKET_BACKLOG", NT_D_FULL },   { "UDP_CSUM", NT_D_CHECKSUM },
	{ "TCP_CSUM", NT_D_CHECKSUM },	   { "PROTO_MEM", NT_D_MEMORY },
	{ "NOMEM", NT_D_MEMORY },	   { "NETFILTER_DROP", NT_D_HERE },
	{ "QDISC_*", NT_D_HERE },	   { "TC_EGRESS", NT_D_HERE },
	{ "FULL_RING", NT_D_HERE },	   { "DEV_READY", NT_D_HERE },
	{ "CPU_BACKLOG", NT_D_HERE },
};

static enum nt_drop_cause cause_of(const char *name)
{
	for (uint32_t i = 0; i < sizeof(causes) / sizeof(*causes); i++) {
		size_t n = strlen(causes[i].name);
		bool open = causes[i].name[n - 1] == '*';

		if (open ? !strncmp(name, causes[i].name, n - 1) : !strcmp(name, causes[i].name))
			return causes[i].cause;
	}
	return NT_D_OTHER;
}

static struct ev_reason *reason_of(struct nt_events *s, uint32_t reason)
{
	for (uint32_t i = 0; i < s->n_reasons; i++)
		if (s->reasons[i].out.reason == reason)
			return &s->reasons[i];
	if (s->n_reasons == NT_EV_REASONS)
		return NULL;
	struct ev_reason *r = &s->reasons[s->n_reasons++];

	*r = (struct ev_reason){ .out.reason = reason };
	nt_events_drop_name(s, reason, r->out.name, sizeof(r->out.name));
	r->cause = cause_of(r->out.name);
	return r;
}

/* The verdicts of the sweep that follows ask why. The engine's lock is held. */
static void give_drops(struct nt_events *s, struct nt_engine *e)
{
	struct nt_dropped *v = calloc(s->n_drops + 1UL, sizeof(*v));
	uint32_t n = 0;

	for (uint32_t i = 0; v && i < s->n_drops; i++) {
		const struct nt_drop *d = &s->drops[i];
		const struct ev_reason *r = d->cookie ? reason_of(s, d->reason) : NULL;

		if (!r)
			continue;
		v[n].cookie = d->cookie;
		v[n++].by[r->cause] = (uint32_t)d->count;
	}
	nt_planes_dropped(e, v, n);
	free(v);
}

static void read_reasons(struct nt_events *s)
{
	int map = bpf_map__fd(s->skel->maps.reasons);
	uint32_t key, *before = NULL;

	while (!bpf_map_get_next_key(map, before, &key)) {
		struct ev_reason *r = reason_of(s, key);
		uint64_t sum = 0;

		before = &key;
		if (!r || bpf_map_lookup_elem(map, &key, s->per_cpu))
			continue;
		for (int i = 0; i < s->n_cpus; i++)
			sum += s->per_cpu[i];
		r->out.interval = sum - r->out.count;
		r->out.count = sum;
	}
	qsort(s->reasons, s->n_reasons, sizeof(*s->reasons), by_interval);
}

static int read_counters(struct nt_events *s, struct nt_events_totals *t)
{
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.cpus), &zero, s->cpus))
		return -errno;
	for (int i = 0; i < s->n_cpus; i++) {
		const struct nt_ev_cpu *c = &s->cpus[i];

		for (int k = 0; k < NT_EV_TYPES; k++) {
			t->seen[k] += c->seen[k];
			t->suppressed[k] += c->suppressed[k];
			t->lost[k] += c->lost[k];
		}
		t->segs_retrans += c->segs_retrans;
		t->failed += c->failed;
		t->unplaced += c->unplaced;
		t->unreasoned += c->unreasoned;
		t->no_storage += c->no_storage;
		t->runs += c->runs;
	}
	/* The kernel skips a program that its CPU is already inside of, and counts that. */
	for (int i = 0; i < EV_PROGRAMS; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		/* Kernels before 5.12 do not count it; to be told of a program that is held cannot fail. */
		if (!s->programs[i] ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(s->programs[i]), &info, &size))
			continue;
		for (int k = 0; k < NT_EV_TYPES; k++)
			if (nt_ev_programs[i].types >> k & 1)
				t->missed[k] += info.recursion_misses;
	}
	return 0;
}

/* Nobody knows whose the records were that the kernel left out. */
static void note_gap(struct nt_events *s, struct nt_events_totals *t)
{
	uint64_t missing = 0;

	memcpy(t->overrun, s->overrun, sizeof(t->overrun));
	for (int k = 0; k < NT_EV_TYPES; k++)
		missing += t->suppressed[k] + t->lost[k] + t->missed[k];
	if (missing != s->missing)
		s->gap_ns = nt_clock_ns(CLOCK_MONOTONIC);
	s->missing = missing;
}

int nt_events_read(struct nt_events *s, struct nt_engine *e, struct nt_events_totals *ret)
{
	uint64_t cpu = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int err;

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&s->lock);
	uint32_t epoch = s->skel->bss->epoch;

	s->skel->bss->epoch = epoch + 1;
	ret->first_seq = s->seq + 1;
	memcpy(s->begun, s->count, sizeof(s->begun));
	s->engine = e;
	if (e)
		pthread_mutex_lock(&e->lock);
	err = ring_buffer__consume(s->ring);
	if (e)
		pthread_mutex_unlock(&e->lock);
	s->engine = NULL;
	ret->next_seq = s->seq + 1;
	err = err < 0 ? err : read_counters(s, ret);
	if (!err)
		note_gap(s, ret);
	if (!err)
		err = read_drops(s, epoch);
	if (!err)
		read_reasons(s);
	if (!err && e) {
		pthread_mutex_lock(&e->lock);
		give_drops(s, e);
		pthread_mutex_unlock(&e->lock);
	}
	pthread_mutex_unlock(&s->lock);
	ret->cpu_ns = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return err;
}

static bool among(uint64_t cookie, const uint64_t *cookies, uint32_t n)
{
	if (!n)
		return true;
	for (uint32_t i = 0; i < n; i++)
		if (cookies[i] == cookie)
			return true;
	return false;
}

/* Which events are asked for. */
struct wanted {
	struct nt_engine *engine; /* NULL: whatever its filter says */
	const uint64_t *cookies;
	uint32_t n;
	uint64_t after;
};

static bool is_wanted(const struct nt_event *e, const struct wanted *w)
{
	if (w->n)
		return among(e->cookie, w->cookies, w->n);
	return !w->engine || nt_match_event(w->engine, e);
}

/* The back'th event of a type, 0 the newest; NULL: it is not kept any more, or too old. */
static const struct nt_event *look_back(const struct nt_events *s, int type, uint64_t back,
					uint64_t after)
{
	uint64_t count = s->count[type];
	const struct nt_event *e;

	if (back >= count || back >= KEPT)
		return NULL;
	uint64_t at = (count - 1 - back) % KEPT;

	e = type == NT_EV_CLOSED ? &s->closed[at].ev : &s->kept[type][at];
	return e->seq >= after ? e : NULL;
}

/* The next older event that is wanted, from *back on. */
static const struct nt_event *next_of(const struct nt_events *s, int type, uint64_t *back,
				      const struct wanted *w)
{
	const struct nt_event *e;

	while ((e = look_back(s, type, *back, w->after)) && !is_wanted(e, w))
		++*back;
	return e;
}

/* Newest first; records of two CPUs may have come the other way round. */
static int by_time(const void *a, const void *b)
{
	const struct nt_event *x = a, *y = b;

	if (x->at_ns != y->at_ns)
		return x->at_ns > y->at_ns ? -1 : 1;
	return x->seq > y->seq ? -1 : x->seq < y->seq;
}

/* Events of these sockets that only the memory has, newest first; 0 where memory ends. */
static uint32_t recall(const struct nt_events *s, const struct wanted *w, uint32_t types,
		       struct nt_event *ret, uint32_t max)
{
	uint64_t upto[NT_EV_TYPES];
	uint32_t n = 0;

	for (int k = 0; k < NT_EV_TYPES; k++) {
		uint64_t held = s->count[k] < KEPT ? s->count[k] : KEPT;
		const struct nt_event *oldest = held ? look_back(s, k, held - 1, 0) : NULL;

		upto[k] = oldest ? oldest->seq : UINT64_MAX;
	}
	for (uint32_t i = 0; i < w->n; i++)
		n += nt_ev_recall(s, w->cookies[i], upto, types, w->after, ret + n, max - n);
	return n;
}

int nt_events_recent(struct nt_events *s, struct nt_engine *e, const uint64_t *cookies, uint32_t n,
		     uint32_t types, uint64_t after, struct nt_event *ret, uint32_t max,
		     uint64_t *more)
{
	struct wanted w = { .engine = e, .cookies = cookies, .n = n, .after = after };
	uint64_t back[NT_EV_TYPES] = { 0 };
	uint32_t found = 0, room = n * NT_EV_EACH;
	struct nt_event *older = n ? malloc(room * sizeof(*older)) : NULL;
	const struct nt_event *head[NT_EV_TYPES] = { NULL };

	if (n && !older)
		return -ENOMEM;
	if (more)
		memset(more, 0, NT_EV_TYPES * sizeof(*more));
	pthread_mutex_lock(&s->lock);
	if (e)
		pthread_mutex_lock(&e->lock);
	for (int k = 0; k < NT_EV_TYPES; k++)
		if (types >> k & 1)
			head[k] = next_of(s, k, &back[k], &w);
	for (;;) {
		int newest = -1;

		for (int k = 0; k < NT_EV_TYPES; k++)
			if (head[k] && (newest < 0 || head[k]->seq > head[newest]->seq))
				newest = k;
		if (newest < 0)
			break;
		if (found < max)
			ret[found++] = *head[newest];
		else if (more)
			more[newest]++;
		else
			break;
		back[newest]++;
		head[newest] = next_of(s, newest, &back[newest], &w);
	}
	room = n ? recall(s, &w, types, older, room) : 0;
	if (e)
		pthread_mutex_unlock(&e->lock);
	pthread_mutex_unlock(&s->lock);
	if (room)
		qsort(older, room, sizeof(*older), by_time);
	for (uint32_t i = 0; i < room; i++)
		if (found < max)
			ret[found++] = older[i];
		else if (more)
			more[older[i].type]++;
	free(older);
	qsort(ret, found, sizeof(*ret), by_time);
	return (int)found;
}

int nt_events_closed(struct nt_events *s, struct nt_engine *e, const uint64_t *cookies, uint32_t n,
		     uint64_t after, struct nt_closed *ret, uint32_t max)
{
	struct wanted w = { .engine = e, .cookies = cookies, .n = n, .after = after };
	uint64_t back = 0;
	uint32_t filled = 0;

	pthread_mutex_lock(&s->lock);
	if (e)
		pthread_mutex_lock(&e->lock);
	while (filled < max) {
		const struct nt_event *ev = next_of(s, NT_EV_CLOSED, &back, &w);

		if (!ev)
			break;
		ret[filled++] = *(const struct nt_closed *)ev; /* ev is its first member */
		back++;
	}
	if (e)
		pthread_mutex_unlock(&e->lock);
	pthread_mutex_unlock(&s->lock);
	qsort(ret, filled, sizeof(*ret), by_time);
	return (int)filled;
}

int nt_events_drops(struct nt_events *s, const uint64_t *cookies, uint32_t n, struct nt_drop *ret,
		    uint32_t max)
{
	uint32_t found = 0;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->n_drops; i++) {
		if (!among(s->drops[i].cookie, cookies, n))
			continue;
		if (found < max)
			ret[found] = s->drops[i];
		found++;
	}
	pthread_mutex_unlock(&s->lock);
	return (int)found;
}

int nt_events_reasons(struct nt_events *s, struct nt_drop_reason *ret, uint32_t max)
{
	uint32_t found;

	pthread_mutex_lock(&s->lock);
	found = s->n_reasons;
	for (uint32_t i = 0; i < found && i < max; i++)
		ret[i] = s->reasons[i].out;
	pthread_mutex_unlock(&s->lock);
	return (int)found;
}

#endif
