/* SPDX-License-Identifier: MIT */
#include "nt_owners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t MISSES_MAX = 65536;
static const uint32_t FORMER_MAX = 65536;
static const uint32_t MISS_KEPT_SCANS = 600;
enum { MISS_WAIT_FIRST = 16, MISS_WAIT_MOST = 512 };

static uint32_t hash(uint32_t inode, uint32_t n)
{
	return (uint32_t)((inode * 0x9E3779B97F4A7C15ull) >> 32) & (n - 1);
}

void nt_owners_free(struct nt_owners *o)
{
	free(o->sock);
	free(o->head);
	free(o->former);
	memset(o, 0, sizeof(*o));
}

static int rehash(struct nt_owners *o, uint32_t n_head)
{
	uint32_t *head = calloc(n_head, sizeof(*head));

	if (!head)
		return -ENOMEM;
	for (uint32_t i = 1; i <= o->n_sock; i++) {
		struct nt_sock *s = &o->sock[i];

		if (!s->task)
			continue;
		uint32_t h = hash(s->inode, n_head);
		s->next = head[h];
		head[h] = i;
	}
	free(o->head);
	o->head = head;
	o->n_head = n_head;
	return 0;
}

/* Makes room for n more sockets, so that adding cannot fail half-way. */
static int reserve(struct nt_owners *o, uint32_t n)
{
	uint32_t want = o->used + n;

	if (want + 1 > o->max_sock) {
		uint32_t max = o->max_sock + o->max_sock / 2;
		struct nt_sock *sock;

		if (max < want + 64)
			max = want + 64;
		sock = realloc(o->sock, max * sizeof(*sock));
		if (!sock)
			return -ENOMEM;
		o->sock = sock;
		o->max_sock = max;
	}
	if (want > o->n_head) {
		uint32_t n_head = o->n_head ? o->n_head : 256;

		while (n_head < want)
			n_head *= 2;
		return rehash(o, n_head);
	}
	return 0;
}

/* Whether one is the descriptor to name rather than the other: registered files come last. */
static bool before(const struct nt_sock *a, const struct nt_sock *b)
{
	if (!a->task->ring != !b->task->ring)
		return !a->task->ring;
	return a->fd < b->fd;
}

static uint32_t add(struct nt_owners *o, struct nt_task *task, uint32_t fd, uint32_t inode)
{
	uint32_t at = o->free;

	if (at)
		o->free = o->sock[at].next;
	else
		at = ++o->n_sock;
	uint32_t h = hash(inode, o->n_head);
	struct nt_sock *s = &o->sock[at];
	*s = (struct nt_sock){ .inode = inode, .fd = fd, .task = task };
	for (uint32_t i = o->head[h]; i; i = o->sock[i].next) {
		struct nt_sock *same = &o->sock[i];

		if (same->inode != inode || same->task->pid != task->pid ||
		    (same->flags & NT_SOCK_DUP))
			continue;
		if (before(same, s))
			s->flags |= NT_SOCK_DUP;
		else
			same->flags |= NT_SOCK_DUP;
		break;
	}
	s->next = o->head[h];
	o->head[h] = at;
	o->used++;
	return at;
}

static void fill(struct nt_proc *ret, const struct nt_sock *s)
{
	*ret = (struct nt_proc){
		.pid = s->task->pid,
		.fd = s->task->ring ? s->task->ring - 1 : s->fd,
		.owner = NT_OWNER_PROC,
		.start_ticks = s->task->start_ticks,
	};
	memcpy(ret->comm, s->task->comm, sizeof(ret->comm));
}

/* Without memory, or after very many, none. */
static void remember(struct nt_owners *o, const struct nt_sock *s)
{
	if (o->n_former == o->max_former) {
		uint32_t max = o->max_former ? 2 * o->max_former : 64;
		struct nt_former *former;

		if (max > FORMER_MAX)
			return;
		former = realloc(o->former, max * sizeof(*former));
		if (!former)
			return;
		o->former = former;
		o->max_former = max;
	}
	struct nt_former *f = &o->former[o->n_former++];
	*f = (struct nt_former){ .inode = s->inode, .scan = o->scan };
	fill(&f->proc, s);
	o->sorted = false;
}

static void del(struct nt_owners *o, uint32_t at)
{
	struct nt_sock *s = &o->sock[at], *lowest = NULL;
	uint32_t *link = &o->head[hash(s->inode, o->n_head)];
	uint32_t *p = link;

	while (*p != at)
		p = &o->sock[*p].next;
	*p = s->next;
	if (!(s->flags & NT_SOCK_DUP)) {
		for (uint32_t i = *link; i; i = o->sock[i].next) {
			struct nt_sock *same = &o->sock[i];

			if (same->inode == s->inode && same->task->pid == s->task->pid &&
			    (!lowest || before(same, lowest)))
				lowest = same;
		}
		if (lowest)
			lowest->flags &= ~(uint32_t)NT_SOCK_DUP;
		else
			remember(o, s);
	}
	s->task = NULL;
	s->next = o->free;
	o->free = at;
	o->used--;
}

/* First position whose descriptor is >= fd. */
static uint32_t position(const struct nt_owners *o, const struct nt_task *task, uint64_t fd)
{
	uint32_t lo = 0, hi = task->n_own;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (o->sock[task->own[mid]].fd < fd)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int64_t nt_owners_replace(struct nt_owners *o, struct nt_task *task, uint32_t lo, uint64_t hi,
			  const struct nt_fd *now, uint32_t n)
{
	uint32_t begin = position(o, task, lo), end = position(o, task, hi);
	uint32_t total = task->n_own - (end - begin) + n;
	uint32_t *fresh;
	int64_t changed = 0;

	if (end - begin == n) {
		uint32_t i = 0;

		for (; i < n; i++) {
			struct nt_sock *s = &o->sock[task->own[begin + i]];

			if (s->fd != now[i].fd || s->inode != now[i].inode)
				break;
			s->flags &= ~(uint32_t)NT_SOCK_SUSPECT;
		}
		if (i == n)
			return 0;
	}
	/* The new handles are put together apart: old ones must stay readable meanwhile. */
	fresh = malloc((n ? n : 1) * sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	if (total > task->max_own) {
		uint32_t max = total + total / 8 + 4;
		uint32_t *own = realloc(task->own, max * sizeof(*own));

		if (!own) {
			free(fresh);
			return -ENOMEM;
		}
		task->own = own;
		task->max_own = max;
	}
	if (reserve(o, n)) {
		free(fresh);
		return -ENOMEM;
	}
	uint32_t old = begin;
	for (uint32_t i = 0; i < n; i++) {
		while (old < end && o->sock[task->own[old]].fd < now[i].fd) {
			del(o, task->own[old++]);
			changed++;
		}
		if (old < end && o->sock[task->own[old]].fd == now[i].fd) {
			uint32_t at = task->own[old++];

			if (o->sock[at].inode == now[i].inode) {
				o->sock[at].flags &= ~(uint32_t)NT_SOCK_SUSPECT;
				fresh[i] = at;
				continue;
			}
			del(o, at);
			changed++;
		}
		fresh[i] = add(o, task, now[i].fd, now[i].inode);
		changed++;
	}
	for (; old < end; old++, changed++)
		del(o, task->own[old]);
	if (task->n_own > end)
		memmove(task->own + begin + n, task->own + end,
			(task->n_own - end) * sizeof(*task->own));
	if (n)
		memcpy(task->own + begin, fresh, n * sizeof(*fresh));
	task->n_own = total;
	free(fresh);
	return changed;
}

uint32_t nt_owners_drop(struct nt_owners *o, struct nt_task *task)
{
	uint32_t n = task->n_own;

	for (uint32_t i = 0; i < n; i++)
		del(o, task->own[i]);
	free(task->own);
	task->own = NULL;
	task->n_own = task->max_own = 0;
	return n;
}

uint32_t nt_owners_get(const struct nt_owners *o, uint32_t inode, struct nt_proc *ret, uint32_t max)
{
	uint32_t n = 0;

	if (!o->n_head || !inode)
		return 0;
	for (uint32_t i = o->head[hash(inode, o->n_head)]; i; i = o->sock[i].next) {
		const struct nt_sock *s = &o->sock[i];

		if (s->inode != inode || (s->flags & NT_SOCK_DUP))
			continue;
		/* Insertion by pid: the lowest max of them are kept. */
		uint32_t at = n < max ? n : max;
		while (at > 0 && ret[at - 1].pid > s->task->pid) {
			if (at < max)
				ret[at] = ret[at - 1];
			at--;
		}
		if (at < max)
			fill(&ret[at], s);
		n++;
	}
	for (uint32_t i = 0; i < n && i < max; i++)
		ret[i].more = n - 1;
	return n;
}

bool nt_owners_has(const struct nt_owners *o, uint32_t inode)
{
	if (!o->n_head)
		return false;
	for (uint32_t i = o->head[hash(inode, o->n_head)]; i; i = o->sock[i].next)
		if (o->sock[i].inode == inode)
			return true;
	return false;
}

static int by_inode(const void *a, const void *b)
{
	const struct nt_former *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	if (x->scan != y->scan)
		return x->scan > y->scan ? -1 : 1;
	return (x->proc.pid > y->proc.pid) - (x->proc.pid < y->proc.pid);
}

bool nt_owners_former(struct nt_owners *o, uint32_t inode, struct nt_proc *ret)
{
	uint32_t lo = 0, hi = o->n_former;

	if (!hi)
		return false;
	if (!o->sorted)
		qsort(o->former, o->n_former, sizeof(*o->former), by_inode);
	o->sorted = true;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (o->former[mid].inode < inode)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == o->n_former || o->former[lo].inode != inode)
		return false;
	*ret = o->former[lo].proc;
	return true;
}

uint32_t nt_owners_begin(struct nt_owners *o, uint32_t scan)
{
	uint32_t n = 0, all = o->n_former;

	for (uint32_t i = 0; i < all; i++)
		if (scan - o->former[i].scan < 2)
			o->former[n++] = o->former[i];
	o->n_former = n;
	o->scan = scan;
	return all - n;
}

uint32_t nt_owners_suspect(struct nt_owners *o, uint32_t inode)
{
	uint32_t n = 0;

	if (!o->n_head || !inode)
		return 0;
	for (uint32_t i = o->head[hash(inode, o->n_head)]; i; i = o->sock[i].next) {
		struct nt_sock *s = &o->sock[i];

		if (s->inode != inode)
			continue;
		s->flags |= NT_SOCK_SUSPECT;
		s->task->suspect = true;
		n++;
	}
	return n;
}

void nt_misses_free(struct nt_misses *m)
{
	free(m->slot);
	memset(m, 0, sizeof(*m));
}

static struct nt_miss *miss_slot(struct nt_miss *slot, uint32_t n, uint32_t inode)
{
	uint32_t h = hash(inode, n);

	while (slot[h].inode && slot[h].inode != inode)
		h = (h + 1) & (n - 1);
	return &slot[h];
}

static int misses_resize(struct nt_misses *m, uint32_t n)
{
	struct nt_miss *slot = calloc(n, sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_slot; i++)
		if (m->slot[i].inode)
			*miss_slot(slot, n, m->slot[i].inode) = m->slot[i];
	free(m->slot);
	m->slot = slot;
	m->n_slot = n;
	return 0;
}

bool nt_misses_ask(struct nt_misses *m, uint32_t inode, uint32_t scan)
{
	struct nt_miss *slot;

	if (m->used * 2 >= m->n_slot &&
	    (m->n_slot >= MISSES_MAX * 2 || misses_resize(m, m->n_slot ? m->n_slot * 2 : 64)))
		return false; /* full: the answer stays open */
	slot = miss_slot(m->slot, m->n_slot, inode);
	if (!slot->inode) {
		*slot = (struct nt_miss){ .inode = inode, .first = scan, .searching = true };
		m->used++;
		m->open++;
		m->newest = scan;
	}
	slot->last = scan;
	return slot->settled;
}

void nt_misses_sweep(struct nt_misses *m, const struct nt_owners *o, uint32_t oldest, uint32_t scan)
{
	uint32_t kept = 0;
	bool again = scan >= m->next;

	m->open = m->newest = 0;

	for (uint32_t i = 0; i < m->n_slot; i++) {
		struct nt_miss *s = &m->slot[i];

		if (!s->inode)
			continue;
		if (nt_owners_has(o, s->inode)) {
			if (s->settled)
				m->wait = 0; /* such searches are worth their while */
			s->inode = 0;
			continue;
		}
		if (s->searching && s->first < oldest) {
			if (!s->settled) {
				m->in_vain++;
				m->wait = MISS_WAIT_FIRST;
				m->next = scan + MISS_WAIT_FIRST;
			}
			s->searching = false;
			s->settled = true;
		}
		if (scan - s->last > (s->settled ? MISS_KEPT_SCANS : 8)) {
			s->inode = 0;
			continue;
		}
		if (again && !s->searching) {
			s->first = scan;
			s->searching = true;
		}
		kept++;
		if (!s->searching)
			continue;
		m->open++;
		if (s->first > m->newest)
			m->newest = s->first;
	}
	if (scan >= m->next) {
		m->wait = m->wait ? m->wait * 2 : MISS_WAIT_FIRST;
		if (m->wait > MISS_WAIT_MOST)
			m->wait = MISS_WAIT_MOST;
		m->next = scan + m->wait;
	}
	if (kept == m->used)
		return;
	/* Linear probing cannot leave holes: put the rest in anew. */
	uint32_t n = m->n_slot;
	while (n > 64 && kept * 8 < n)
		n /= 2;
	m->used = kept;
	if (misses_resize(m, n))
		nt_misses_free(m);
}
