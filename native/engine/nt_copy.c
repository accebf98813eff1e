// SPDX-License-Identifier: MIT
/* An engine beside another, at the same tick: from there each goes its own way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"
#include "nt_events_state.h"
#include "nt_holders.h"
#include "nt_path_state.h"
#include "nt_room.h"
#include "nt_stages_state.h"
#include "nt_wait_state.h"

/*
 * The copy begins as the same bytes, so each of its pointers must be replaced, also after memory
 * has ended: these say whether there was enough, and leave NULL where there was none.
 */
static bool own_as(void *at, void *copy, size_t used)
{
	void *v;

	memcpy(&v, at, sizeof(v));
	if (copy)
		memcpy(copy, v, used);
	memcpy(at, &copy, sizeof(copy));
	return copy || !v;
}

static bool is_there(const void *at)
{
	void *v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static bool own_part(void *at, size_t used, size_t bytes)
{
	return own_as(at, is_there(at) ? calloc(1, bytes ? bytes : 1) : NULL, used);
}

static bool own(void *at, size_t n)
{
	return own_as(at, is_there(at) ? malloc(n ? n : 1) : NULL, n);
}

/* Of nt_room_new. */
static bool own_room(void *at, size_t used, size_t bytes)
{
	return own_as(at, is_there(at) ? nt_room_new(bytes) : NULL, used < bytes ? used : bytes);
}

static bool own_cells(struct nt_cells *c)
{
	bool whole = own(&c->slabs, c->n_slabs * sizeof(*c->slabs));

	if (!c->slabs)
		c->n_slabs = 0;
	for (uint32_t i = 0; i < c->n_slabs; i++)
		whole &= own(&c->slabs[i], NT_SLAB_CELLS * c->size);
	return whole;
}

static bool own_table(struct nt_table *t)
{
	bool whole = own(&t->index, (t->index_mask + 1UL) * sizeof(*t->index));

	whole &= own(&t->seen, t->side_cap * sizeof(*t->seen));
	whole &= own(&t->mark, t->side_cap * sizeof(*t->mark));
	whole &= own(&t->place, t->side_cap * sizeof(*t->place));
	whole &= own_cells(&t->records);
	whole &= own_cells(&t->rests);
	return whole;
}

static bool own_waits(struct nt_engine *e)
{
	bool whole = own(&e->waits, sizeof(*e->waits));
	struct nt_waits *w = e->waits;

	if (!w)
		return whole;
	for (uint32_t i = 0; i < w->n_focus; i++)
		whole &= own(&w->focus[i], sizeof(*w->focus[i]));
	whole &= own(&w->bases.v, (w->bases.mask + 1UL) * sizeof(*w->bases.v));
	whole &= own(&w->ports, w->n_ports * sizeof(*w->ports));
	whole &= own(&w->late, w->n_late * sizeof(*w->late));
	w->late_cap = w->n_late;
	return whole;
}

static bool own_sends(struct nt_engine *e)
{
	bool whole = own(&e->sends, sizeof(*e->sends));
	struct nt_sends *s = e->sends;

	if (!s)
		return whole;
	for (uint32_t i = 0; i < s->n_fine; i++)
		whole &= own(&s->fine[i], sizeof(*s->fine[i]));
	whole &= own(&s->bases.v, (s->bases.mask + 1UL) * sizeof(*s->bases.v));
	for (uint32_t i = 0; s->bases.v && i <= s->bases.mask; i++)
		whole &= own(&s->bases.v[i], sizeof(*s->bases.v[i]));
	whole &= own(&s->late, s->n_late * sizeof(*s->late));
	whole &= own(&s->wanted, s->n_wanted * sizeof(*s->wanted));
	s->late_cap = s->n_late;
	s->wanted_cap = s->n_wanted;
	return whole;
}

static bool own_events(struct nt_engine *e)
{
	bool whole = own(&e->events, sizeof(*e->events));
	struct nt_event_log *log = e->events;

	if (!log)
		return whole;
	for (int k = 0; k < NT_EV_TYPES; k++) {
		size_t size = sizeof(*log->kept[k]);

		whole &= own_room(&log->kept[k], log->count[k] * size, NT_EV_KEPT * size);
	}
	whole &= own_room(&log->closed, log->count[NT_EV_CLOSED] * sizeof(*log->closed),
			  NT_EV_KEPT * sizeof(*log->closed));
	/* One more than there are: see where drops are taken. */
	whole &= own_part(&log->drops, log->n_drops * sizeof(*log->drops),
			  (log->n_drops + 1UL) * sizeof(*log->drops));
	log->memory = nt_ev_memory_copy(log->memory);
	return whole && log->memory;
}

int nt_engine_copy(struct nt_engine *e, struct nt_engine **ret)
{
	struct nt_engine *c = malloc(sizeof(*c));

	*ret = NULL;
	if (!c)
		return -ENOMEM;
	pthread_mutex_lock(&e->lock);
	if (e->procs || e->n_ns || e->keep) {
		pthread_mutex_unlock(&e->lock);
		free(c);
		return -EINVAL; /* it polls */
	}
	memcpy(c, e, sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
	c->ns = NULL;
	c->jobs = NULL;
	c->buf = NULL;
	c->answers = c->kept = c->buffers[0] = c->buffers[1] = NULL;
	/* Room that the next sweep fills anew: the copy is the one to go on. */
	e->back = (struct nt_details){ 0 };
	e->next = (struct nt_keys){ 0 };
	e->next_whole = false;
	c->back.n = c->next.n = 0;
	c->next_whole = false;
	bool whole = own_table(&c->table);

	whole &= own(&c->failures, c->n_failures * sizeof(*c->failures));
	c->failures_cap = c->n_failures;
	whole &= own(&c->ops, c->n_ops * sizeof(*c->ops));
	whole &= own(&c->data, c->n_data);
	whole &= own(&c->order.v, c->order.n * sizeof(*c->order.v));
	c->order.cap = c->order.n;
	whole &= own(&c->planes.v, c->planes.n * sizeof(*c->planes.v));
	c->planes.cap = c->planes.n;
	c->peers = NULL; /* of one sweep alone */
	whole &= own(&c->dropped, c->n_dropped * sizeof(*c->dropped));
	whole &= own(&c->front.v, c->front.n * sizeof(*c->front.v));
	c->front.cap = c->front.n;
	whole &= own(&c->loaded, c->n_loaded * sizeof(*c->loaded));
	whole &= own(&c->paths, sizeof(*c->paths));
	whole &= own_waits(c);
	whole &= own_sends(c);
	whole &= own_events(c);
	memset(&c->holders, 0, sizeof(c->holders));
	whole &= !nt_holders_share(&e->holders, &c->holders);
	pthread_mutex_unlock(&e->lock);
	if (!whole) {
		nt_engine_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}
