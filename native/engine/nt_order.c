// SPDX-License-Identifier: MIT
/* The order of the rows: keys gathered while sweeping, only the top sorted exactly. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"
#include "nt_planes.h"

int nt_keys_add(struct nt_keys *keys, struct nt_key key)
{
	if (keys->n == keys->cap) {
		/* A copied engine's have room for what there is, be it one. */
		uint32_t cap = keys->cap < 1024 ? 1024 : keys->cap + keys->cap / 2;
		struct nt_key *v = realloc(keys->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		keys->v = v;
		keys->cap = cap;
	}
	keys->v[keys->n++] = key;
	return 0;
}

/* Smaller keys stand higher up; equal ones keep the order of the records. */
static inline bool before(const struct nt_key *a, const struct nt_key *b)
{
	if (a->high != b->high)
		return a->high < b->high;
	if (a->low != b->low)
		return a->low < b->low;
	return a->rec < b->rec;
}

static int compare(const void *a, const void *b)
{
	return before(a, b) ? -1 : 1;
}

static struct nt_key median(struct nt_key a, struct nt_key b, struct nt_key c)
{
	if (before(&b, &a)) {
		struct nt_key t = a;

		a = b;
		b = t;
	}
	if (before(&b, &c))
		return b;
	return before(&a, &c) ? c : a;
}

/* Moves the `top` first keys to the front (quickselect) and sorts these. */
static void sort_top(struct nt_keys *keys, uint32_t top)
{
	struct nt_key *v = keys->v;
	uint32_t lo = 0, hi = keys->n;

	if (top > keys->n)
		top = keys->n;
	while (top < hi && hi - lo > 32) {
		struct nt_key a = v[lo], b = v[lo + (hi - lo) / 2], c = v[hi - 1];
		struct nt_key pivot = median(a, b, c);
		uint32_t i = lo, j = hi - 1;

		for (;;) {
			while (before(&v[i], &pivot))
				i++;
			while (before(&pivot, &v[j]))
				j--;
			if (i >= j)
				break;
			struct nt_key t = v[i];

			v[i++] = v[j];
			v[j--] = t;
		}
		if (top <= j)
			hi = j + 1;
		else
			lo = j + 1;
		if (lo >= top)
			hi = lo;
	}
	/* Everything below hi may still belong to the top. An empty table has no keys at all. */
	if (hi)
		qsort(v, hi, sizeof(*v), compare);
}

/* A double's bits, so that unsigned order is numeric order. */
static uint64_t rank_of(double x)
{
	uint64_t u;

	memcpy(&u, &x, sizeof(u));
	return u >> 63 ? ~u : u | 1ULL << 63;
}

static uint64_t big_endian(const uint8_t *p, unsigned int n)
{
	uint64_t x = 0;

	for (unsigned int i = 0; i < n; i++)
		x = x << 8 | p[i];
	return x;
}

static void address_key(const struct nt_rec *rec, const uint8_t *addr, uint16_t port,
			struct nt_key *k)
{
	if (rec->family == AF_INET) {
		k->high = big_endian(addr, 4) << 16 | port;
		k->low = 0;
	} else {
		k->high = 1ULL << 63 | big_endian(addr, 8) >> 1;
		k->low = (uint32_t)big_endian(addr + 12, 4);
	}
}

static bool text_key(struct nt_engine *e, const struct nt_rec *rec, struct nt_key *k)
{
	struct nt_proc proc;

	switch (e->sort_key.a.offset) {
	case NT_KEY_PROC:
		nt_owner_of(e, rec, &proc);
		k->high = big_endian((const uint8_t *)proc.comm, 8);
		k->low = proc.pid;
		return proc.pid != 0;
	case NT_KEY_REMOTE:
		address_key(rec, rec->dst, rec->dport, k);
		return true;
	case NT_KEY_LOCAL:
		address_key(rec, rec->src, rec->sport, k);
		return true;
	case NT_KEY_CONG:
		k->high = big_endian((const uint8_t *)e->cong_names[rec->cong_id], 8);
		return rec->cong_id != 0;
	case NT_KEY_WHO:
		k->high = (uint64_t)rec->who << 8 | rec->verdict;
		k->low = UINT32_MAX - rec->level;
		return rec->verdicts != 0;
	default:
		return false;
	}
}

/* Level, then strength, then traffic in powers of two; the same from tick to tick. */
static struct nt_key unwell_key(const struct nt_rec *rec, uint32_t i)
{
	uint64_t high = (uint64_t)rec->level << 40 | (uint64_t)rec->strength << 32;
	uint32_t flow = 0;

	if (!rec->level)
		for (float f = rec->flow_bytes_per_s; f >= 1 && flow < 60; f /= 2)
			flow++;
	return (struct nt_key){ .high = ~(high | flow), .low = 0, .rec = i };
}

struct nt_key nt_key_of(struct nt_engine *e, uint32_t i, const struct nt_filter_view *view)
{
	const struct nt_rec *rec = view->rec;
	struct nt_key k = { .rec = i };
	double x;
	bool known;

	if (!e->sort_key.a.base)
		return unwell_key(rec, i);
	if (e->sort_key.a.base == NT_BASE_TEXT) {
		known = text_key(e, rec, &k);
	} else {
		struct nt_proc proc;
		struct nt_filter_view v = *view;

		if (nt_term_reads(&e->sort_key, NT_BASE_PROC) && !v.proc) {
			nt_owner_of(e, rec, &proc);
			v.proc = &proc;
		}
		known = nt_term_value(&e->sort_key, &v, &x);
		if (known)
			k.high = rank_of(x);
	}
	if (!known) {
		k.high = UINT64_MAX;
		k.low = UINT32_MAX;
	} else if (e->sort_descending) {
		k.high = ~k.high;
		k.low = ~k.low;
	}
	return k;
}

static struct nt_filter_view bare_view(struct nt_engine *e, const struct nt_rec *rec)
{
	struct nt_filter_view v = { .rec = rec, .engine = e };
	const struct nt_detail *d = nt_rec_detail(e, rec);

	v.plane = nt_rec_plane(e, rec);
	if (rec->cong_id)
		v.cong = e->cong_names[rec->cong_id];
	if (d) {
		v.info = d->info;
		v.info_len = d->info_len > sizeof(d->info) ? sizeof(d->info) : d->info_len;
		v.skmem = d->skmem;
		v.skmem_words = d->skmem_len / 4U;
	}
	return v;
}

/* Keys of all matched records anew: the sort key or the filter changed between sweeps. */
static int gather(struct nt_engine *e, struct nt_keys *to)
{
	struct nt_rec room;
	int err = 0;

	for (uint32_t i = 0; i < e->table.high; i++) {
		if ((e->table.mark[i] & (NT_M_LIVE | NT_M_MATCH)) != (NT_M_LIVE | NT_M_MATCH))
			continue;
		struct nt_filter_view v = bare_view(e, nt_rec_read(&e->table, i, &room));

		if (nt_keys_add(to, nt_key_of(e, i, &v)))
			err = -ENOMEM;
	}
	return err;
}

void nt_order_drop_dead(struct nt_engine *e)
{
	uint32_t n = 0;

	for (uint32_t j = 0; j < e->order.n; j++)
		if ((e->table.mark[e->order.v[j].rec] & (NT_M_LIVE | NT_M_MATCH)) ==
		    (NT_M_LIVE | NT_M_MATCH))
			e->order.v[n++] = e->order.v[j];
	e->order.n = n;
}

/* Rows stay where they are; those that came since stand at the end. */
static int append_new(struct nt_engine *e, const struct nt_keys *from)
{
	uint8_t *mark = e->table.mark;
	int err = 0;

	nt_order_drop_dead(e);
	for (uint32_t j = 0; j < e->order.n; j++)
		mark[e->order.v[j].rec] |= NT_M_ORDERED;
	for (uint32_t j = 0; j < from->n; j++)
		if (!(mark[from->v[j].rec] & NT_M_ORDERED) && nt_keys_add(&e->order, from->v[j]))
			err = -ENOMEM;
	for (uint32_t j = 0; j < e->order.n; j++)
		mark[e->order.v[j].rec] &= (uint8_t)~NT_M_ORDERED;
	e->exact = e->order.n;
	return err;
}

int nt_order(struct nt_engine *e, const struct nt_term *key, int descending, uint32_t upto,
	     int keep)
{
	struct nt_keys scratch = { 0 };

	pthread_mutex_lock(&e->lock);
	bool same = !memcmp(key, &e->sort_key, sizeof(*key)) &&
		    e->sort_descending == (descending != 0);
	bool gathered = e->next_whole && same;
	struct nt_keys *from = gathered ? &e->next : &scratch;

	e->sort_key = *key;
	e->sort_descending = descending != 0;
	if (!same)
		e->next_stale = true;
	int err = gathered ? 0 : gather(e, &scratch);

	if (keep && same) {
		err = append_new(e, from) ? -ENOMEM : err;
	} else {
		struct nt_keys t = e->order;

		e->order = *from;
		*from = t;
		sort_top(&e->order, upto);
		e->exact = upto < e->order.n ? upto : e->order.n;
	}
	free(scratch.v);
	if (gathered)
		e->next.n = 0;
	e->next_whole = false;
	int n = err ? err : (int)e->order.n;

	pthread_mutex_unlock(&e->lock);
	return n;
}

int nt_window(struct nt_engine *e, uint32_t offset, uint32_t max, struct nt_row *ret)
{
	uint32_t n = 0;

	pthread_mutex_lock(&e->lock);
	if ((uint64_t)offset + max > e->exact && e->exact < e->order.n) {
		/* Leave room to scroll on before it must be sorted again. */
		sort_top(&e->order, offset + max + 1024);
		e->exact = offset + max + 1024 < e->order.n ? offset + max + 1024 : e->order.n;
	}
	for (uint32_t j = offset; j < e->order.n && n < max; j++) {
		uint32_t i = e->order.v[j].rec;

		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		nt_fill_row(e, i, &ret[n++]);
	}
	pthread_mutex_unlock(&e->lock);
	return (int)n;
}

int nt_sick(struct nt_engine *e, int matched, struct nt_sick *ret, uint32_t max)
{
	const uint8_t wanted = NT_M_LIVE | (matched ? NT_M_MATCH : 0);
	struct nt_rec room;
	uint32_t n = 0;

	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < e->table.high; i++) {
		if ((e->table.mark[i] & wanted) != wanted || nt_rec_rests(&e->table, i))
			continue;
		const struct nt_rec *r = nt_rec_read(&e->table, i, &room);

		if (!(r->verdicts & ~(1U << NT_V_CWND)))
			continue;
		if (n < max)
			ret[n] = (struct nt_sick){
				.cookie = r->cookie,
				.flags = r->flags,
				.verdicts = r->verdicts,
				.verdicts_unwell = r->verdicts_unwell,
				.verdict = r->verdict,
				.verdict2 = r->verdict2,
				.who = r->who,
				.who2 = r->who2,
				.because = r->because,
				.because2 = r->because2,
				.verdict_value = r->verdict_value,
				.verdict2_value = r->verdict2_value,
			};
		n++;
	}
	pthread_mutex_unlock(&e->lock);
	return (int)n;
}

/* 1: it is among them already. */
static bool has_pid(const uint32_t *pids, uint32_t n, uint32_t pid)
{
	for (uint32_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* So many sockets of a level are asked for their holders. */
#define SICK_ASKED 512

int nt_sick_pids(struct nt_engine *e, uint32_t *ret, uint32_t max)
{
	const uint16_t minor = 1U << NT_V_CWND;
	uint32_t at[NT_LEVEL_UNWELL + 1][SICK_ASKED], found[NT_LEVEL_UNWELL + 1] = { 0 }, n = 0;
	struct nt_rec room;

	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE) || nt_rec_rests(&e->table, i))
			continue;
		const struct nt_rec *r = nt_rec_read(&e->table, i, &room);

		/* What holds in this interval alone may be a verdict in the next. */
		if ((r->level || r->verdict_past[0] & ~minor) && r->level <= NT_LEVEL_UNWELL &&
		    found[r->level] < SICK_ASKED)
			at[r->level][found[r->level]++] = i;
	}
	for (int level = NT_LEVEL_UNWELL; level >= 0; level--) {
		for (uint32_t k = 0; k < found[level] && n < max; k++) {
			struct nt_proc proc;

			const struct nt_rec *r = nt_rec_read(&e->table, at[level][k], &room);

			if (nt_reader_of(e, r, &proc) && proc.pid && !has_pid(ret, n, proc.pid))
				ret[n++] = proc.pid;
		}
	}
	pthread_mutex_unlock(&e->lock);
	return (int)n;
}

#define DECIDED_BY_SPLIT (1U << NT_V_READS | 1U << NT_V_UNREAD)

static void tell_reader(struct nt_engine *e, const struct nt_rec *r, struct nt_split_choice *ret)
{
	struct nt_proc proc;

	nt_owner_of(e, r, &proc);
	ret->cookie = r->cookie;
	ret->pid = proc.owner == NT_OWNER_PROC ? proc.pid : 0;
	ret->waits = (r->flags & NT_F_OLDEST_UNREAD) != 0;
	/* What holds in this interval alone may be a verdict in the next. */
	ret->decides = ((r->verdicts | r->verdict_past[0]) & DECIDED_BY_SPLIT) != 0;
}

/* The programs see neither what an MPTCP socket holds nor when it is read. */
static bool can_split(const struct nt_rec *r)
{
	return r->proto != NT_PROTO_MPTCP;
}

static bool has_choice(const struct nt_split_choice *v, uint32_t n, uint64_t cookie)
{
	for (uint32_t i = 0; i < n; i++)
		if (v[i].cookie == cookie)
			return true;
	return false;
}

int nt_split_wanted(struct nt_engine *e, struct nt_split_choice *ret, uint32_t n_first,
		    uint32_t max)
{
	struct nt_rec room;
	uint32_t n = 0;

	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < n_first && i < max; i++) {
		uint32_t at = nt_table_find(&e->table, ret[i].cookie);

		const struct nt_rec *r = at != NT_NONE ? nt_rec_read(&e->table, at, &room) : NULL;

		if (r && can_split(r))
			tell_reader(e, r, &ret[n++]);
	}
	for (uint32_t i = 0; i < e->table.high && n < max; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE) || nt_rec_rests(&e->table, i))
			continue;
		const struct nt_rec *r = nt_rec_read(&e->table, i, &room);

		if ((r->verdicts | r->verdict_past[0]) & DECIDED_BY_SPLIT && can_split(r) &&
		    !has_choice(ret, n, r->cookie))
			tell_reader(e, r, &ret[n++]);
	}
	pthread_mutex_unlock(&e->lock);
	return (int)n;
}

static int place_of(const struct nt_engine *e, uint32_t rec)
{
	for (uint32_t j = 0; j < e->order.n; j++)
		if (e->order.v[j].rec == rec)
			return (int)j;
	return -ENOENT;
}

int nt_position(struct nt_engine *e, uint64_t cookie)
{
	int ret = -ENOENT;

	pthread_mutex_lock(&e->lock);
	uint32_t i = nt_table_find(&e->table, cookie);

	if (i != NT_NONE)
		ret = place_of(e, i);
	if (ret >= (int)e->exact) {
		sort_top(&e->order, e->order.n);
		e->exact = e->order.n;
		ret = place_of(e, i);
	}
	pthread_mutex_unlock(&e->lock);
	return ret;
}
