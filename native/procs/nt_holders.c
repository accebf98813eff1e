// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_holders.h"
#include "nt_sections.h"

#define SLOTS_MIN 256

static uint32_t *slot_of(const struct nt_holders *h, uint64_t inode)
{
	uint32_t i = (uint32_t)(inode * 0x9E3779B97F4A7C15ULL >> 32) & h->mask;

	while (h->index[i] && h->v[h->index[i] - 1].inode != inode)
		i = (i + 1) & h->mask;
	return &h->index[i];
}

const struct nt_holder *nt_holders_find(const struct nt_holders *h, uint64_t inode)
{
	uint32_t found = h->index ? *slot_of(h, inode) : 0;

	return found ? &h->v[found - 1] : NULL;
}

/* A copy of its own, with room for so many records at least. */
static int copied(const struct nt_holders *h, uint32_t cap, struct nt_holders *ret)
{
	uint32_t slots = SLOTS_MIN;

	while (slots < 2 * cap)
		slots *= 2;
	*ret = (struct nt_holders){ .n = h->n, .cap = slots / 2, .mask = slots - 1 };
	ret->v = malloc(ret->cap * sizeof(*ret->v));
	ret->index = calloc(slots, sizeof(*ret->index));
	if (!ret->v || !ret->index) {
		free(ret->v);
		free(ret->index);
		return -ENOMEM;
	}
	if (h->n)
		memcpy(ret->v, h->v, h->n * sizeof(*h->v));
	for (uint32_t i = 0; i < h->n; i++)
		*slot_of(ret, ret->v[i].inode) = i + 1;
	return 0;
}

void nt_holders_deinit(struct nt_holders *h)
{
	if (!h->sharers || !__atomic_sub_fetch(h->sharers, 1, __ATOMIC_ACQ_REL)) {
		free(h->v);
		free(h->index);
		free(h->sharers);
	}
	memset(h, 0, sizeof(*h));
}

int nt_holders_share(struct nt_holders *h, struct nt_holders *ret)
{
	if (h->v && !h->sharers) {
		h->sharers = malloc(sizeof(*h->sharers));
		if (!h->sharers)
			return -ENOMEM;
		*h->sharers = 1;
	}
	if (h->sharers)
		__atomic_add_fetch(h->sharers, 1, __ATOMIC_RELAXED);
	*ret = *h;
	return 0;
}

/* Room for one more in records that no other engine reads. */
static int make_own(struct nt_holders *h)
{
	struct nt_holders own;

	if (h->n < h->cap && !h->sharers)
		return 0;
	if (copied(h, h->n + 1, &own))
		return -ENOMEM;
	nt_holders_deinit(h);
	*h = own;
	return 0;
}

/* Notes one; nothing is done where the same is known. */
static int put(struct nt_holders *h, const struct nt_holder *now)
{
	const struct nt_holder *known = nt_holders_find(h, now->inode);

	if (known && !memcmp(known, now, sizeof(*now)))
		return 0;
	if (make_own(h))
		return -ENOMEM;
	uint32_t *slot = slot_of(h, now->inode);

	if (!*slot)
		*slot = ++h->n;
	h->v[*slot - 1] = *now;
	return 0;
}

/* Forgets inodes that no socket has any more, once they are the most. */
static void prune(struct nt_holders *h, const struct nt_engine *e)
{
	struct nt_holders kept = { 0 };

	if (h->n <= 2 * e->table.live + 1024)
		return;
	for (uint32_t i = 0; i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		uint32_t inode = nt_rec_inode(&e->table, i);
		const struct nt_holder *known = nt_holders_find(h, inode);

		if (known && put(&kept, known)) {
			nt_holders_deinit(&kept);
			return;
		}
	}
	nt_holders_deinit(h);
	*h = kept;
}

int nt_holders_apply(struct nt_engine *e, const struct nt_section *s, const uint8_t *body)
{
	struct nt_holder one;

	if (s->arg != sizeof(one) || s->bytes % sizeof(one))
		return -EPROTO;
	for (uint32_t at = 0; at < s->bytes; at += sizeof(one)) {
		memcpy(&one, body + at, sizeof(one));
		if (one.inode && put(&e->holders, &one))
			return -ENOMEM;
	}
	prune(&e->holders, e);
	if (s->kind == NT_S_OWNERS && e->filter_needs_proc)
		nt_rematch(e);
	return 0;
}

/* What the process table says of an inode now. */
static void ask(struct nt_procs *procs, uint32_t inode, struct nt_holder *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->inode = inode;
	if (nt_procs_find(procs, inode, &ret->first) != 1 &&
	    !nt_procs_former(procs, inode, &ret->first))
		return;
	ret->n = 1;
	if (ret->first.more) {
		int n = nt_procs_owners(procs, inode, ret->all, NT_HOLDER_PROCS);

		ret->n = n > 0 ? (uint32_t)n : 1;
	} else {
		ret->all[0] = ret->first;
	}
}

int nt_holders_ask(struct nt_engine *e, uint32_t inode, bool always)
{
	struct nt_holder now;

	if (!inode)
		return 0;
	ask(e->procs, inode, &now);
	const struct nt_holder *before = nt_holders_find(&e->holders, inode);

	if (before && !always && !memcmp(before, &now, sizeof(now)))
		return 0;
	uint8_t *to = put(&e->holders, &now) ? NULL : nt_sections_room(e->answers, sizeof(now));

	if (!to) {
		e->kept_lost = true;
		return -ENOMEM;
	}
	memcpy(to, &now, sizeof(now));
	e->answers->n += sizeof(now);
	return 0;
}

void nt_holders_flush(struct nt_engine *e, enum nt_section_kind kind)
{
	struct nt_section head = { .at_ns = e->now_ns,
				   .kind = kind,
				   .arg = sizeof(struct nt_holder) };

	if (!e->keep || !e->answers->n)
		return;
	head.bytes = (uint32_t)e->answers->n;
	if (e->answers->n > UINT32_MAX || nt_sections_add(e->kept, &head, e->answers->v))
		e->kept_lost = true;
	nt_sections_clear(e->answers);
}

int nt_keep_owners(struct nt_engine *e, int all)
{
	int err = 0;

	pthread_mutex_lock(&e->lock);
	if (!e->keep || !e->procs)
		err = -EINVAL;
	uint32_t generation = err ? 0 : nt_procs_generation(e->procs);
	bool changed = all || generation != e->kept_generation;

	e->kept_generation = generation;
	for (uint32_t i = 0; !err && i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		uint32_t inode = nt_rec_inode(&e->table, i);
		const struct nt_holder *known = changed ? NULL :
							  nt_holders_find(&e->holders, inode);

		/* Why there is none may change without that any owner does. */
		if (!known || !known->n)
			err = nt_holders_ask(e, inode, all != 0);
	}
	nt_holders_flush(e, NT_S_OWNERS);
	prune(&e->holders, e);
	pthread_mutex_unlock(&e->lock);
	return err;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t number_of(const struct nt_rec *rec, int what)
{
	switch (what) {
	case NT_NUMBER_UID:
		return rec->uid;
	case NT_NUMBER_CGROUP:
		return rec->cgroup_id;
	case NT_NUMBER_DEVICE:
		return rec->ifindex ? (uint64_t)rec->netns << 32 | rec->ifindex : 0;
	default:
		return rec->netns;
	}
}

int nt_numbers(struct nt_engine *e, int what, uint64_t *ret, uint32_t max)
{
	uint32_t n = 0, kept = 0;
	uint64_t last = 0;

	pthread_mutex_lock(&e->lock);
	uint64_t *v = malloc((e->table.live + 1UL) * sizeof(*v));

	for (uint32_t i = 0; v && i < e->table.high && n < e->table.live; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		struct nt_rec room;
		uint64_t x = number_of(nt_rec_read(&e->table, i, &room), what);

		/* Neighbours are mostly alike. */
		if (!n || x != last)
			v[n++] = last = x;
	}
	pthread_mutex_unlock(&e->lock);
	if (!v)
		return -ENOMEM;
	qsort(v, n, sizeof(*v), by_number);
	for (uint32_t i = 0; i < n; i++) {
		if (i && v[i] == v[i - 1])
			continue;
		if (kept < max)
			ret[kept] = v[i];
		kept++;
	}
	free(v);
	return (int)kept;
}
