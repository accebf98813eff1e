// SPDX-License-Identifier: MIT
/*
 * What happened to each socket, for as long as there is room: its last events, and how many there
 * were by type. When room ends the socket that was quiet longest is forgotten, so that of a socket
 * that is not here it is known from when on nothing was recorded.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "nt_events_state.h"
#include "nt_room.h"

#define SOCKETS 4096U /* powers of two */
#define SLOTS (2 * SOCKETS)
#define EVENTS 16384U
#define NONE UINT32_MAX

struct remembered {
	uint64_t cookie;
	uint64_t since_ns, last_ns;
	uint32_t counts[NT_EV_TYPES];
	uint32_t oldest, newest; /* of its events; NONE: it has none */
	uint32_t n;
	uint32_t quieter, louder; /* neighbours in the order of their last events */
};

struct nt_ev_memory {
	struct remembered sockets[SOCKETS];
	struct nt_event events[EVENTS];
	uint32_t next[EVENTS]; /* the next newer of the same socket, or the next free one */
	uint32_t slots[SLOTS]; /* 1 + socket, by cookie; 0: empty */
	uint32_t free_event, n_sockets, free_socket;
	uint32_t used; /* events, up to the last that ever was */
	uint32_t quietest, loudest;
	uint64_t since_ns; /* nothing of sockets that are not here was recorded since */
	uint64_t forgotten;
};

struct nt_ev_memory *nt_ev_memory_new(uint64_t since_ns)
{
	struct nt_ev_memory *m = nt_room_new(sizeof(*m));

	if (!m)
		return NULL;
	for (uint32_t i = 0; i < EVENTS; i++)
		m->next[i] = i + 1 < EVENTS ? i + 1 : NONE;
	m->free_socket = m->quietest = m->loudest = NONE;
	m->since_ns = since_ns;
	return m;
}

void nt_ev_memory_free(struct nt_ev_memory *m)
{
	nt_room_free(m, sizeof(*m));
}

struct nt_ev_memory *nt_ev_memory_copy(const struct nt_ev_memory *m)
{
	struct nt_ev_memory *copy = m ? nt_room_new(sizeof(*copy)) : NULL;

	if (!copy)
		return NULL;
	/* Most of the room is mostly unused: it is not touched. */
	size_t rest = offsetof(struct nt_ev_memory, next);

	memcpy(copy->sockets, m->sockets, m->n_sockets * sizeof(*m->sockets));
	memcpy(copy->events, m->events, m->used * sizeof(*m->events));
	memcpy((uint8_t *)copy + rest, (const uint8_t *)m + rest, sizeof(*m) - rest);
	return copy;
}

static uint32_t home_of(uint64_t cookie)
{
	return (uint32_t)(cookie * 0x9e3779b97f4a7c15ULL >> 32) & (SLOTS - 1);
}

/* The slot of a cookie, or the empty one where it would be. */
static uint32_t *slot_of(struct nt_ev_memory *m, uint64_t cookie)
{
	uint32_t i = home_of(cookie);

	while (m->slots[i] && m->sockets[m->slots[i] - 1].cookie != cookie)
		i = (i + 1) & (SLOTS - 1);
	return &m->slots[i];
}

/* Empties a slot; what was pushed behind it moves up. */
static void empty(struct nt_ev_memory *m, uint32_t hole)
{
	uint32_t i = hole;

	for (;;) {
		i = (i + 1) & (SLOTS - 1);
		if (!m->slots[i])
			break;
		uint32_t home = home_of(m->sockets[m->slots[i] - 1].cookie);

		if (((i - home) & (SLOTS - 1)) >= ((i - hole) & (SLOTS - 1))) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = 0;
}

static void unlink_socket(struct nt_ev_memory *m, uint32_t i)
{
	struct remembered *r = &m->sockets[i];

	if (r->quieter != NONE)
		m->sockets[r->quieter].louder = r->louder;
	else
		m->quietest = r->louder;
	if (r->louder != NONE)
		m->sockets[r->louder].quieter = r->quieter;
	else
		m->loudest = r->quieter;
}

static void put_loudest(struct nt_ev_memory *m, uint32_t i)
{
	struct remembered *r = &m->sockets[i];

	r->quieter = m->loudest;
	r->louder = NONE;
	if (m->loudest != NONE)
		m->sockets[m->loudest].louder = i;
	else
		m->quietest = i;
	m->loudest = i;
}

static void forget_quietest(struct nt_ev_memory *m)
{
	uint32_t i = m->quietest;
	struct remembered *r = &m->sockets[i];

	if (r->n) {
		m->next[r->newest] = m->free_event;
		m->free_event = r->oldest;
	}
	if (r->last_ns > m->since_ns)
		m->since_ns = r->last_ns;
	m->forgotten++;
	unlink_socket(m, i);
	empty(m, (uint32_t)(slot_of(m, r->cookie) - m->slots));
	r->louder = m->free_socket;
	m->free_socket = i;
}

static uint32_t take_socket(struct nt_ev_memory *m)
{
	if (m->free_socket == NONE && m->n_sockets < SOCKETS)
		return m->n_sockets++;
	if (m->free_socket == NONE)
		forget_quietest(m);
	uint32_t i = m->free_socket;

	m->free_socket = m->sockets[i].louder;
	return i;
}

void nt_ev_remember(struct nt_ev_memory *m, const struct nt_event *e)
{
	if (!e->cookie)
		return;
	uint32_t *slot = slot_of(m, e->cookie), i = *slot - 1, at;

	if (*slot) {
		unlink_socket(m, i);
	} else {
		i = take_socket(m);
		*slot_of(m, e->cookie) = i + 1; /* another may have moved */
		m->sockets[i] = (struct remembered){
			.cookie = e->cookie, .since_ns = m->since_ns, .oldest = NONE, .newest = NONE
		};
	}
	put_loudest(m, i);
	struct remembered *r = &m->sockets[i];

	if (r->n == NT_EV_EACH) {
		at = r->oldest;
		r->oldest = m->next[at];
		r->n--;
	} else {
		/* The loudest is this one: another has the room. */
		while (m->free_event == NONE)
			forget_quietest(m);
		at = m->free_event;
		m->free_event = m->next[at];
		if (at >= m->used)
			m->used = at + 1;
	}
	m->events[at] = *e;
	m->next[at] = NONE;
	if (r->n)
		m->next[r->newest] = at;
	else
		r->oldest = at;
	r->newest = at;
	r->n++;
	r->counts[e->type]++;
	r->last_ns = e->at_ns;
}

uint32_t nt_ev_recall(struct nt_ev_memory *m, uint64_t cookie, const uint64_t *upto, uint32_t types,
		      uint64_t after, struct nt_event *ret, uint32_t max)
{
	uint32_t *slot = slot_of(m, cookie), n = 0;

	if (!*slot)
		return 0;
	for (uint32_t at = m->sockets[*slot - 1].oldest; at != NONE && n < max; at = m->next[at]) {
		const struct nt_event *e = &m->events[at];

		if (types >> e->type & 1 && e->seq >= after && e->seq < upto[e->type])
			ret[n++] = *e;
	}
	return n;
}

int nt_events_memory(struct nt_engine *e, const uint64_t *cookies, uint32_t n,
		     struct nt_event_memory *ret)
{
	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&e->lock);
	struct nt_ev_memory *m = e->events ? e->events->memory : NULL;

	if (!m) {
		pthread_mutex_unlock(&e->lock);
		return -ENOENT;
	}
	ret->gap_ns = e->events->gap_ns;
	ret->forgotten = m->forgotten;
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t *slot = slot_of(m, cookies[i]);
		const struct remembered *r = *slot ? &m->sockets[*slot - 1] : NULL;
		uint64_t since_ns = r ? r->since_ns : m->since_ns;

		if (since_ns > ret->since_ns)
			ret->since_ns = since_ns;
		for (int k = 0; r && k < NT_EV_TYPES; k++)
			ret->counts[k] += r->counts[k];
	}
	if (!n)
		ret->since_ns = m->since_ns;
	pthread_mutex_unlock(&e->lock);
	return 0;
}
