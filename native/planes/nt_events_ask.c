// SPDX-License-Identifier: MIT
/* Questions about the events that the engine took: looking back. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "nt_events_state.h"

int nt_events_last(struct nt_engine *e, struct nt_events_head *ret, uint64_t *at_ns)
{
	int err = -ENOENT;

	pthread_mutex_lock(&e->lock);
	if (e->events) {
		*ret = e->events->head;
		*at_ns = e->events->at_ns;
		err = 0;
	}
	pthread_mutex_unlock(&e->lock);
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
	struct nt_engine *engine; /* NULL: whatever a filter says */
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
static const struct nt_event *look_back(const struct nt_event_log *log, int type, uint64_t back,
					uint64_t after)
{
	uint64_t count = log->count[type];
	const struct nt_event *e;

	if (back >= count || back >= NT_EV_KEPT)
		return NULL;
	uint64_t at = (count - 1 - back) % NT_EV_KEPT;

	e = type == NT_EV_CLOSED ? &log->closed[at].ev : &log->kept[type][at];
	return e->seq >= after ? e : NULL;
}

/* The next older event that is wanted, from *back on. */
static const struct nt_event *next_of(const struct nt_event_log *log, int type, uint64_t *back,
				      const struct wanted *w)
{
	const struct nt_event *e;

	while ((e = look_back(log, type, *back, w->after)) && !is_wanted(e, w))
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
static uint32_t recall(const struct nt_event_log *log, const struct wanted *w, uint32_t types,
		       struct nt_event *ret, uint32_t max)
{
	uint64_t upto[NT_EV_TYPES];
	uint32_t n = 0;

	for (int k = 0; k < NT_EV_TYPES; k++) {
		uint64_t held = log->count[k] < NT_EV_KEPT ? log->count[k] : NT_EV_KEPT;
		const struct nt_event *oldest = held ? look_back(log, k, held - 1, 0) : NULL;

		upto[k] = oldest ? oldest->seq : UINT64_MAX;
	}
	for (uint32_t i = 0; i < w->n; i++)
		n += nt_ev_recall(log->memory, w->cookies[i], upto, types, w->after, ret + n,
				  max - n);
	return n;
}

int nt_events_recent(struct nt_engine *e, const uint64_t *cookies, uint32_t n, int filtered,
		     uint32_t types, uint64_t after, struct nt_event *ret, uint32_t max,
		     uint64_t *more)
{
	struct wanted w = {
		.engine = filtered ? e : NULL, .cookies = cookies, .n = n, .after = after
	};
	uint64_t back[NT_EV_TYPES] = { 0 };
	uint32_t found = 0, room = n * NT_EV_EACH;
	struct nt_event *older = n ? malloc(room * sizeof(*older)) : NULL;
	const struct nt_event *head[NT_EV_TYPES] = { NULL };

	if (n && !older)
		return -ENOMEM;
	if (more)
		memset(more, 0, NT_EV_TYPES * sizeof(*more));
	pthread_mutex_lock(&e->lock);
	const struct nt_event_log *log = e->events;

	for (int k = 0; log && k < NT_EV_TYPES; k++)
		if (types >> k & 1)
			head[k] = next_of(log, k, &back[k], &w);
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
		head[newest] = next_of(log, newest, &back[newest], &w);
	}
	room = n && log ? recall(log, &w, types, older, room) : 0;
	pthread_mutex_unlock(&e->lock);
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

int nt_events_closed(struct nt_engine *e, const uint64_t *cookies, uint32_t n, int filtered,
		     uint64_t after, struct nt_closed *ret, uint32_t max)
{
	struct wanted w = {
		.engine = filtered ? e : NULL, .cookies = cookies, .n = n, .after = after
	};
	uint64_t back = 0;
	uint32_t filled = 0;

	pthread_mutex_lock(&e->lock);
	const struct nt_event_log *log = e->events;

	while (log && filled < max) {
		const struct nt_event *ev = next_of(log, NT_EV_CLOSED, &back, &w);

		if (!ev)
			break;
		ret[filled++] = *(const struct nt_closed *)ev; /* ev is its first member */
		back++;
	}
	pthread_mutex_unlock(&e->lock);
	qsort(ret, filled, sizeof(*ret), by_time);
	return (int)filled;
}

int nt_events_drops(struct nt_engine *e, const uint64_t *cookies, uint32_t n, struct nt_drop *ret,
		    uint32_t max)
{
	uint32_t found = 0;

	pthread_mutex_lock(&e->lock);
	const struct nt_event_log *log = e->events;

	for (uint32_t i = 0; log && i < log->n_drops; i++) {
		if (!among(log->drops[i].cookie, cookies, n))
			continue;
		if (found < max)
			ret[found] = log->drops[i];
		found++;
	}
	pthread_mutex_unlock(&e->lock);
	return (int)found;
}

int nt_events_reasons(struct nt_engine *e, struct nt_reason *ret, uint32_t max)
{
	uint32_t found = 0;

	pthread_mutex_lock(&e->lock);
	const struct nt_ev_names *names = e->events ? &e->events->drop_reasons : NULL;

	/* Those that are only named, as a record has them, come last. */
	for (; names && found < names->n && names->v[found].count; found++)
		if (found < max)
			ret[found] = names->v[found];
	pthread_mutex_unlock(&e->lock);
	return (int)found;
}
