// SPDX-License-Identifier: MIT
/* Plane records: a growing array with a chain of free slots. All under the engine's lock. */
#include "nt_planes.h"

#include <stdlib.h>
#include <string.h>

#define FREED UINT32_MAX

static uint32_t take_slot(struct nt_planes *p)
{
	if (p->free_head) {
		uint32_t slot = p->free_head - 1;

		p->free_head = p->v[slot].tx_sends;
		return slot;
	}
	if (p->n == p->cap) {
		uint32_t cap = p->cap ? p->cap * 2 : 64;
		struct nt_plane *v = realloc(p->v, cap * sizeof(*v));

		if (!v)
			return NT_NONE;
		p->v = v;
		p->cap = cap;
	}
	return p->n++;
}

struct nt_plane *nt_plane_of(struct nt_engine *e, uint64_t cookie)
{
	uint32_t i = nt_table_find(&e->table, cookie);

	if (i == NT_NONE)
		return NULL;
	uint32_t *plane = nt_rec_plane_slot(&e->table, i);

	if (!*plane) {
		uint32_t slot = take_slot(&e->planes);

		if (slot == NT_NONE)
			return NULL;
		memset(&e->planes.v[slot], 0, sizeof(e->planes.v[slot]));
		*plane = slot + 1;
	}
	return &e->planes.v[*plane - 1];
}

const struct nt_plane *nt_plane_at(const struct nt_engine *e, uint32_t i)
{
	uint32_t plane = *nt_rec_plane_slot(&e->table, i);

	return plane && plane <= e->planes.n ? &e->planes.v[plane - 1] : NULL;
}

const struct nt_plane *nt_rec_plane(const struct nt_engine *e, const struct nt_rec *rec)
{
	return rec->plane && rec->plane <= e->planes.n ? &e->planes.v[rec->plane - 1] : NULL;
}

void nt_plane_drop(struct nt_engine *e, uint32_t i)
{
	struct nt_planes *p = &e->planes;
	uint32_t *plane = nt_rec_plane_slot(&e->table, i);

	if (!*plane || *plane > p->n)
		return;
	struct nt_plane *slot = &p->v[*plane - 1];

	memset(slot, 0, sizeof(*slot));
	slot->has = FREED;
	slot->tx_sends = p->free_head;
	p->free_head = *plane;
	*plane = 0;
}

void nt_planes_reset_wait(struct nt_engine *e)
{
	for (uint32_t i = 0; i < e->planes.n; i++) {
		struct nt_plane *p = &e->planes.v[i];

		if (p->has == FREED)
			continue;
		memset(&p->wait, 0, sizeof(p->wait));
		memset(p->wait_octaves, 0, sizeof(p->wait_octaves));
		memset(&p->split, 0, sizeof(p->split));
		memset(&p->udp, 0, sizeof(p->udp));
		p->standing_ms = 0;
		if (p->has & NT_P_UDP)
			p->udp.over_ns = e->waits_over_ns;
		p->oldest_unread_ns = 0;
		p->wait_bounded = p->wait_approx = 0;
		p->has &= ~(uint32_t)(NT_P_UNREAD | NT_P_UNREAD_BOUND | NT_P_WAIT_OCTAVES |
				      NT_P_SPLIT);
	}
}

void nt_planes_reset_tx(struct nt_engine *e)
{
	for (uint32_t i = 0; i < e->planes.n; i++) {
		struct nt_plane *p = &e->planes.v[i];

		if (p->has == FREED)
			continue;
		memset(p->tx, 0, sizeof(p->tx));
		memset(p->ack_octaves, 0, sizeof(p->ack_octaves));
		p->tx_sends = p->tx_incomplete = p->tx_open = p->tx_resent = 0;
		p->tx_nic_bar_ns = 0;
		p->has &= ~(uint32_t)(NT_P_TX | NT_P_TX_PATH | NT_P_TX_OCTAVES);
	}
}

static int by_cookie(const void *a, const void *b)
{
	uint64_t x = ((const struct nt_dropped *)a)->cookie;
	uint64_t y = ((const struct nt_dropped *)b)->cookie;

	return (x > y) - (x < y);
}

void nt_planes_dropped(struct nt_engine *e, const struct nt_dropped *v, uint32_t n)
{
	struct nt_dropped *own = n ? malloc(n * sizeof(*own)) : NULL;
	uint32_t kept = 0;

	free(e->dropped);
	e->dropped = own;
	e->n_dropped = 0;
	if (!own)
		return;
	memcpy(own, v, n * sizeof(*own));
	qsort(own, n, sizeof(*own), by_cookie);
	for (uint32_t i = 1; i < n; i++) {
		if (own[i].cookie != own[kept].cookie) {
			own[++kept] = own[i];
			continue;
		}
		for (int k = 0; k < NT_D_COUNT; k++)
			own[kept].by[k] += own[i].by[k];
		own[kept].segs_here += own[i].segs_here;
	}
	e->n_dropped = kept + 1;
}

const struct nt_dropped *nt_dropped_of(const struct nt_engine *e, uint64_t cookie)
{
	struct nt_dropped key = { .cookie = cookie };

	if (!e->n_dropped)
		return NULL;
	return bsearch(&key, e->dropped, e->n_dropped, sizeof(key), by_cookie);
}
