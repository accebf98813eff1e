// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"

static uint32_t slot_of(const struct nt_table *t, uint64_t cookie)
{
	return (uint32_t)(cookie * 0x9E3779B97F4A7C15ULL >> 32) & t->index_mask;
}

int nt_table_init(struct nt_table *t)
{
	memset(t, 0, sizeof(*t));
	t->index_mask = 1023;
	t->index = calloc(t->index_mask + 1UL, sizeof(*t->index));
	t->free_head = NT_NONE;
	return t->index ? 0 : -ENOMEM;
}

void nt_table_deinit(struct nt_table *t)
{
	for (uint32_t i = 0; i < t->slab_count; i++)
		free(t->slabs[i]);
	free(t->slabs);
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
	const uint8_t *rec = (const uint8_t *)nt_rec_at(t, i - 1);

	for (size_t at = 0; at < sizeof(struct nt_rec); at += 64)
		__builtin_prefetch(rec + at, 1);
	__builtin_prefetch(&t->seen[i - 1], 1);
}

uint32_t nt_table_find(const struct nt_table *t, uint64_t cookie)
{
	for (uint32_t s = slot_of(t, cookie); t->index[s]; s = (s + 1) & t->index_mask) {
		uint32_t i = t->index[s] - 1;

		if (nt_rec_at(t, i)->cookie == cookie)
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
		uint32_t to = slot_of(t, nt_rec_at(t, old[s] - 1)->cookie);

		while (index[to])
			to = (to + 1) & mask;
		index[to] = old[s];
	}
	free(old);
	return 0;
}

static int add_slab(struct nt_table *t)
{
	struct nt_rec **slabs = realloc(t->slabs, (t->slab_count + 1UL) * sizeof(*slabs));

	if (!slabs)
		return -ENOMEM;
	t->slabs = slabs;
	struct nt_rec *slab = malloc(NT_SLAB_RECORDS * sizeof(*slab));

	if (!slab)
		return -ENOMEM;
	t->slabs[t->slab_count++] = slab;

	uint32_t cap = t->slab_count << NT_SLAB_BITS;
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
		if (nt_rec_at(t, i)->cookie == cookie) {
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
	if (t->free_head != NT_NONE) {
		i = t->free_head;
		t->free_head = nt_rec_at(t, i)->plane;
	} else {
		if (t->high >= t->side_cap && add_slab(t))
			return NT_NONE;
		i = t->high++;
	}
	t->index[s] = i + 1;
	t->live++;
	t->mark[i] = NT_M_LIVE;
	t->seen[i] = 0;
	struct nt_rec *rec = nt_rec_at(t, i);

	memset(rec, 0, sizeof(*rec));
	rec->cookie = cookie;
	*fresh = true;
	return i;
}

void nt_table_remove(struct nt_table *t, uint32_t i)
{
	struct nt_rec *rec = nt_rec_at(t, i);
	uint32_t s = slot_of(t, rec->cookie);

	while (t->index[s] != i + 1)
		s = (s + 1) & t->index_mask;
	/* Close the gap so that no probe chain breaks. */
	for (uint32_t next = (s + 1) & t->index_mask; t->index[next];
	     next = (next + 1) & t->index_mask) {
		uint32_t home = slot_of(t, nt_rec_at(t, t->index[next] - 1)->cookie);

		if (((next - home) & t->index_mask) >= ((next - s) & t->index_mask)) {
			t->index[s] = t->index[next];
			s = next;
		}
	}
	t->index[s] = 0;
	t->live--;
	t->mark[i] = 0;
	rec->cookie = 0;
	rec->plane = t->free_head;
	t->free_head = i;
}
