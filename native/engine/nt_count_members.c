// SPDX-License-Identifier: MIT
/* Sockets as they were counted last, by cookie; those that ended make room when it is needed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_count.h"

#define LEAST 1024U

static uint32_t slot_of(const struct nt_members *m, uint64_t cookie)
{
	return (uint32_t)(cookie * 0x9E3779B97F4A7C15ULL >> 32) & m->mask;
}

static bool is_alive(const struct nt_member *m, uint32_t seq)
{
	return m->seq && m->seq + 1 >= seq;
}

/* The entry of a cookie, be it of one that ended; NULL: none. */
static struct nt_member *entry_of(const struct nt_members *m, uint64_t cookie)
{
	if (!m->index)
		return NULL;
	for (uint32_t s = slot_of(m, cookie); m->index[s]; s = (s + 1) & m->mask)
		if (m->v[m->index[s] - 1].cookie == cookie)
			return &m->v[m->index[s] - 1];
	return NULL;
}

static void let_go(struct nt_members *m, struct nt_member *of)
{
	if (!of->waits)
		return;
	m->waits[of->waits - 1].next_free = m->free_waits;
	m->free_waits = of->waits;
	of->waits = 0;
}

static void enter(struct nt_members *m, uint32_t i)
{
	uint32_t s = slot_of(m, m->v[i].cookie);

	while (m->index[s])
		s = (s + 1) & m->mask;
	m->index[s] = i + 1;
}

/* Drops what ended; where that is little, there is twice the room then. */
static int tidy(struct nt_members *m, uint32_t seq)
{
	uint32_t kept = 0, cap = m->cap;

	for (uint32_t i = 0; i < m->n; i++)
		kept += is_alive(&m->v[i], seq);
	if (kept + kept / 2 >= cap)
		cap = cap ? cap * 2 : LEAST;
	uint32_t mask = cap * 2 - 1;
	uint32_t *index = calloc(mask + 1UL, sizeof(*index));
	struct nt_member *v = realloc(m->v, cap * sizeof(*v));

	if (v)
		m->v = v;
	if (!index || !v) {
		free(index);
		return -ENOMEM;
	}
	kept = 0;
	for (uint32_t i = 0; i < m->n; i++) {
		if (is_alive(&m->v[i], seq))
			m->v[kept++] = m->v[i];
		else
			let_go(m, &m->v[i]);
	}
	free(m->index);
	m->index = index;
	m->mask = mask;
	m->cap = cap;
	m->n = kept;
	for (uint32_t i = 0; i < kept; i++)
		enter(m, i);
	return 0;
}

struct nt_member *nt_members_find(const struct nt_members *m, uint64_t cookie, uint32_t seq)
{
	struct nt_member *found = entry_of(m, cookie);

	return found && is_alive(found, seq) ? found : NULL;
}

struct nt_member *nt_members_meet(struct nt_members *m, uint64_t cookie, uint32_t seq)
{
	struct nt_member *found = entry_of(m, cookie);

	if (found && is_alive(found, seq))
		return found;
	if (!found) {
		if (m->n == m->cap && tidy(m, seq))
			return NULL;
		found = &m->v[m->n];
		*found = (struct nt_member){ .cookie = cookie };
		enter(m, m->n++);
	}
	let_go(m, found);
	*found = (struct nt_member){ .cookie = cookie, .seq = seq };
	return found;
}

struct nt_member_waits *nt_members_waits(struct nt_members *m, struct nt_member *of)
{
	uint32_t slot = m->free_waits;

	if (of->waits)
		return &m->waits[of->waits - 1];
	if (slot) {
		m->free_waits = m->waits[slot - 1].next_free;
	} else {
		if (nt_room_for_one((void **)&m->waits, m->n_waits, &m->waits_cap,
				    sizeof(*m->waits)))
			return NULL;
		slot = ++m->n_waits;
	}
	memset(&m->waits[slot - 1], 0, sizeof(*m->waits));
	of->waits = slot;
	return &m->waits[slot - 1];
}

void nt_members_free(struct nt_members *m)
{
	free(m->v);
	free(m->index);
	free(m->waits);
}
