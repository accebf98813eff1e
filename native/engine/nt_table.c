// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"

static uint32_t slot_of(const struct nt_table *t, uint64_t cookie)
{
	return (uint32_t)(cookie * 0x9E3779B97F4A7C15ULL >> 32) & t->index_mask;
}

static void *cell_at(const struct nt_cells *c, uint32_t i)
{
	return c->slabs[i >> NT_SLAB_BITS] + (size_t)(i & (NT_SLAB_CELLS - 1)) * c->size;
}

static uint32_t take_cell(struct nt_cells *c)
{
	uint32_t i = c->free_head;

	if (i != NT_NONE) {
		memcpy(&c->free_head, cell_at(c, i), sizeof(c->free_head));
		return i;
	}
	if (c->high == c->n_slabs << NT_SLAB_BITS) {
		uint8_t **slabs = realloc(c->slabs, (c->n_slabs + 1UL) * sizeof(*slabs));

		if (!slabs)
			return NT_NONE;
		c->slabs = slabs;
		slabs[c->n_slabs] = malloc((size_t)NT_SLAB_CELLS * c->size);
		if (!slabs[c->n_slabs])
			return NT_NONE;
		c->n_slabs++;
	}
	return c->high++;
}

static void free_cell(struct nt_cells *c, uint32_t i)
{
	memcpy(cell_at(c, i), &c->free_head, sizeof(c->free_head));
	c->free_head = i;
}

static void free_cells(struct nt_cells *c)
{
	for (uint32_t i = 0; i < c->n_slabs; i++)
		free(c->slabs[i]);
	free(c->slabs);
}

bool nt_rec_rests(const struct nt_table *t, uint32_t i)
{
	return t->place[i] & NT_PLACE_REST;
}

static struct nt_rest *rest_at(const struct nt_table *t, uint32_t i)
{
	return cell_at(&t->rests, t->place[i] & ~NT_PLACE_REST);
}

static struct nt_rec *record_at(const struct nt_table *t, uint32_t i)
{
	return cell_at(&t->records, t->place[i]);
}

static uint64_t cookie_at(const struct nt_table *t, uint32_t i)
{
	return nt_rec_rests(t, i) ? rest_at(t, i)->cookie : record_at(t, i)->cookie;
}

uint32_t nt_rec_inode(const struct nt_table *t, uint32_t i)
{
	return nt_rec_rests(t, i) ? rest_at(t, i)->inode : record_at(t, i)->inode;
}

uint8_t nt_rec_state(const struct nt_table *t, uint32_t i)
{
	return nt_rec_rests(t, i) ? rest_at(t, i)->state : record_at(t, i)->state;
}

uint32_t *nt_rec_plane_slot(const struct nt_table *t, uint32_t i)
{
	return nt_rec_rests(t, i) ? &rest_at(t, i)->plane : &record_at(t, i)->plane;
}

struct nt_rec *nt_rec_take(const struct nt_table *t, uint32_t i, struct nt_rec *room)
{
	if (!nt_rec_rests(t, i))
		return record_at(t, i);
	nt_rest_unfold(rest_at(t, i), room);
	return room;
}

const struct nt_rec *nt_rec_read(const struct nt_table *t, uint32_t i, struct nt_rec *room)
{
	return nt_rec_take(t, i, room);
}

int nt_rec_put(struct nt_table *t, uint32_t i, const struct nt_rec *rec)
{
	if (!nt_rec_rests(t, i))
		return 0; /* it was changed where it is */
	if (nt_rest_fold(rec, rest_at(t, i)))
		return 0;
	uint32_t cell = take_cell(&t->records);

	if (cell == NT_NONE)
		return -ENOMEM;
	free_cell(&t->rests, t->place[i] & ~NT_PLACE_REST);
	t->place[i] = cell;
	*record_at(t, i) = *rec;
	return 0;
}

int nt_rec_put_still(struct nt_table *t, uint32_t i, const struct nt_rec *rec)
{
	return nt_rest_touch(rec, rest_at(t, i)) ? 0 : nt_rec_put(t, i, rec);
}

int nt_rec_rest(struct nt_table *t, uint32_t i, const struct nt_rec *rec)
{
	struct nt_rest rest;

	if (nt_rec_rests(t, i))
		return nt_rec_put(t, i, rec);
	if (!nt_rest_fold(rec, &rest))
		return 0;
	uint32_t cell = take_cell(&t->rests);

	if (cell == NT_NONE)
		return 0; /* it takes more memory, no more */
	free_cell(&t->records, t->place[i]);
	t->place[i] = NT_PLACE_REST | cell;
	*rest_at(t, i) = rest;
	return 0;
}

int nt_table_init(struct nt_table *t)
{
	memset(t, 0, sizeof(*t));
	t->records = (struct nt_cells){ .size = sizeof(struct nt_rec), .free_head = NT_NONE };
	t->rests = (struct nt_cells){ .size = sizeof(struct nt_rest), .free_head = NT_NONE };
	t->index_mask = 1023;
	t->index = calloc(t->index_mask + 1UL, sizeof(*t->index));
	t->free_head = NT_NONE;
	return t->index ? 0 : -ENOMEM;
}

void nt_table_deinit(struct nt_table *t)
{
	free_cells(&t->records);
	free_cells(&t->rests);
	free(t->place);
	free(t->index);
	free(t->seen);
	free(t->mark);
}

void nt_table_prefetch_index(const struct nt_table *t, uint64_t cookie)
{
	__builtin_prefetch(&t->index[slot_of(t, cookie)]);
}

void nt_table_prefetch_record(const struct nt_table *t, uint64_t cookie)
{
	uint32_t i = t->index[slot_of(t, cookie)];

	if (!i)
		return;
	const struct nt_cells *c = nt_rec_rests(t, i - 1) ? &t->rests : &t->records;
	const uint8_t *cell = cell_at(c, t->place[i - 1] & ~NT_PLACE_REST);

	for (size_t at = 0; at < c->size; at += 64)
		__builtin_prefetch(cell + at, 1);
	__builtin_prefetch(&t->seen[i - 1], 1);
}

uint32_t nt_table_find(const struct nt_table *t, uint64_t cookie)
{
	for (uint32_t s = slot_of(t, cookie); t->index[s]; s = (s + 1) & t->index_mask) {
		uint32_t i = t->index[s] - 1;

		if (cookie_at(t, i) == cookie)
			return i;
	}
	return NT_NONE;
}

static int grow_index(struct nt_table *t)
{
	uint32_t mask = t->index_mask * 2 + 1;
	uint32_t *old = t->index, old_mask = t->index_mask;
	uint32_t *index = calloc(mask + 1UL, sizeof(*index));

	if (!index)
		return -ENOMEM;
	t->index = index;
	t->index_mask = mask;
	for (uint32_t s = 0; s <= old_mask; s++) {
		if (!old[s])
			continue;
		uint32_t to = slot_of(t, cookie_at(t, old[s] - 1));

		while (index[to])
			to = (to + 1) & mask;
		index[to] = old[s];
	}
	free(old);
	return 0;
}

static int grow_numbers(struct nt_table *t)
{
	uint32_t cap = t->side_cap + NT_SLAB_CELLS;
	uint32_t *place = realloc(t->place, cap * sizeof(*place));

	if (!place)
		return -ENOMEM;
	t->place = place;
	uint32_t *seen = realloc(t->seen, cap * sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	t->seen = seen;
	uint8_t *mark = realloc(t->mark, cap);

	if (!mark)
		return -ENOMEM;
	t->mark = mark;
	t->side_cap = cap;
	return 0;
}

uint32_t nt_table_upsert(struct nt_table *t, uint64_t cookie, bool *fresh)
{
	uint32_t s = slot_of(t, cookie), i;

	for (; t->index[s]; s = (s + 1) & t->index_mask) {
		i = t->index[s] - 1;
		if (cookie_at(t, i) == cookie) {
			*fresh = false;
			return i;
		}
	}
	if (t->live * 2 > t->index_mask) {
		if (grow_index(t))
			return NT_NONE;
		for (s = slot_of(t, cookie); t->index[s]; s = (s + 1) & t->index_mask)
			;
	}
	if (t->free_head == NT_NONE && t->high >= t->side_cap && grow_numbers(t))
		return NT_NONE;
	uint32_t cell = take_cell(&t->rests);

	if (cell == NT_NONE)
		return NT_NONE;
	if (t->free_head != NT_NONE) {
		i = t->free_head;
		t->free_head = t->place[i];
	} else {
		i = t->high++;
	}
	t->index[s] = i + 1;
	t->live++;
	t->mark[i] = NT_M_LIVE;
	t->seen[i] = 0;
	t->place[i] = NT_PLACE_REST | cell;
	*rest_at(t, i) = (struct nt_rest){ .cookie = cookie };
	*fresh = true;
	return i;
}

void nt_table_remove(struct nt_table *t, uint32_t i)
{
	uint32_t s = slot_of(t, cookie_at(t, i));

	while (t->index[s] != i + 1)
		s = (s + 1) & t->index_mask;
	/* Close the gap so that no probe chain breaks. */
	for (uint32_t next = (s + 1) & t->index_mask; t->index[next];
	     next = (next + 1) & t->index_mask) {
		uint32_t home = slot_of(t, cookie_at(t, t->index[next] - 1));

		if (((next - home) & t->index_mask) >= ((next - s) & t->index_mask)) {
			t->index[s] = t->index[next];
			s = next;
		}
	}
	t->index[s] = 0;
	t->live--;
	t->mark[i] = 0;
	if (nt_rec_rests(t, i))
		free_cell(&t->rests, t->place[i] & ~NT_PLACE_REST);
	else
		free_cell(&t->records, t->place[i]);
	t->place[i] = t->free_head;
	t->free_head = i;
}
