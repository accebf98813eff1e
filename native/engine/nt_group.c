// SPDX-License-Identifier: MIT
/* Matched sockets summed by process, address, port, cgroup or namespace. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"
#include "nt_hist.h"
#include "nt_planes.h"

struct sums {
	struct nt_group g;
	double sent, resent;   /* bytes per second, for the common share */
	uint32_t first, n_rtt; /* its part of the round-trip times */
	uint8_t worst_level, worst_strength;
	bool moved, rated; /* these rates are known of one at least */
};

struct grouper {
	struct sums *v;
	uint32_t n, cap;
	uint32_t *index, mask;
	uint32_t *of; /* group of each matched socket, in the order's sequence */
};

static uint64_t mix(uint64_t h, uint64_t x)
{
	return (h ^ x) * 0x9E3779B97F4A7C15ULL;
}

static uint64_t word(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, 8);
	return x;
}

static uint64_t hash_of(const struct nt_group *k)
{
	uint64_t h = mix(k->family, word(k->key));

	h = mix(h, word(k->key + 8));
	h = mix(h, k->cgroup_id ^ (uint64_t)k->netns << 32);
	h = mix(h, k->ifindex ^ (uint64_t)k->key_port << 32);
	h = mix(h, k->proc.pid ^ (uint64_t)k->proc.owner << 40);
	if (!k->proc.pid) {
		h = mix(h, word((const uint8_t *)k->proc.comm));
		h = mix(h, word((const uint8_t *)k->proc.comm + 8));
	}
	return h >> 32;
}

static bool same(const struct nt_group *a, const struct nt_group *b)
{
	return !memcmp(a->key, b->key, 16) && a->cgroup_id == b->cgroup_id &&
	       a->family == b->family && a->netns == b->netns && a->ifindex == b->ifindex &&
	       a->key_port == b->key_port && a->proc.pid == b->proc.pid &&
	       a->proc.owner == b->proc.owner &&
	       (a->proc.pid || !memcmp(a->proc.comm, b->proc.comm, sizeof(a->proc.comm)));
}

static void key_of(struct nt_engine *e, int grouping, const struct nt_rec *rec, struct nt_group *k)
{
	struct nt_proc owner;

	memset(k, 0, sizeof(*k));
	switch (grouping) {
	case NT_GROUP_PROCESS:
		nt_owner_of(e, rec, &k->proc);
		k->proc.fd = 0;
		break;
	case NT_GROUP_PROGRAM:
		nt_owner_of(e, rec, &owner);
		k->proc.owner = owner.owner;
		memcpy(k->proc.comm, owner.comm, strnlen(owner.comm, sizeof(k->proc.comm) - 1));
		break;
	case NT_GROUP_REMOTE:
	case NT_GROUP_REMOTE_PORT:
		k->family = rec->family;
		k->netns = rec->netns;
		k->ifindex = rec->ifindex;
		memcpy(k->key, rec->dst, 16);
		if (grouping == NT_GROUP_REMOTE_PORT)
			k->key_port = (uint32_t)rec->proto << 16 | rec->dport;
		break;
	case NT_GROUP_LOCAL:
		k->family = rec->family;
		k->netns = rec->netns;
		k->ifindex = rec->ifindex;
		memcpy(k->key, rec->src, 16);
		break;
	case NT_GROUP_PORT:
		k->netns = rec->netns;
		k->key_port = (uint32_t)rec->proto << 16 | rec->sport;
		break;
	case NT_GROUP_CGROUP:
		k->cgroup_id = rec->cgroup_id;
		break;
	case NT_GROUP_HOST:
		break;
	default:
		k->netns = rec->netns;
		break;
	}
}

static int grow(struct grouper *gr)
{
	uint32_t cap = gr->cap * 2, mask = cap * 2 - 1;
	struct sums *v = realloc(gr->v, cap * sizeof(*v));

	if (!v)
		return -ENOMEM;
	gr->v = v;
	uint32_t *index = calloc(mask + 1UL, sizeof(*index));

	if (!index)
		return -ENOMEM;
	free(gr->index);
	gr->index = index;
	gr->mask = mask;
	gr->cap = cap;
	for (uint32_t i = 0; i < gr->n; i++) {
		uint32_t s = (uint32_t)hash_of(&gr->v[i].g) & mask;

		while (index[s])
			s = (s + 1) & mask;
		index[s] = i + 1;
	}
	return 0;
}

static struct sums *find(struct grouper *gr, const struct nt_group *key)
{
	if (gr->n == gr->cap && grow(gr))
		return NULL;
	uint32_t s = (uint32_t)hash_of(key) & gr->mask;

	for (; gr->index[s]; s = (s + 1) & gr->mask)
		if (same(&gr->v[gr->index[s] - 1].g, key))
			return &gr->v[gr->index[s] - 1];
	struct sums *new = &gr->v[gr->n++];

	gr->index[s] = gr->n;
	memset(new, 0, sizeof(*new));
	new->g = *key;
	return new;
}

static void add_waits(struct nt_group *g, const struct nt_plane *p)
{
	if (!p || !p->wait.count)
		return;
	for (uint32_t k = 0; k < NT_OCTAVES; k++)
		g->wait_octaves[k] += p->wait_octaves[k];
	g->wait_sum_ns += p->wait.sum_ns;
	if (p->wait.max_ns > g->wait_max_ns)
		g->wait_max_ns = p->wait.max_ns;
}

static void add_acks(struct nt_group *g, const struct nt_plane *p)
{
	if (!p || !p->tx[NT_TX_ACK].count)
		return;
	for (uint32_t k = 0; k < NT_OCTAVES; k++)
		g->ack_octaves[k] += p->ack_octaves[k];
	g->ack_sum_ns += p->tx[NT_TX_ACK].sum_ns;
	if (p->tx[NT_TX_ACK].max_ns > g->ack_max_ns)
		g->ack_max_ns = p->tx[NT_TX_ACK].max_ns;
}

static void add(struct nt_engine *e, struct sums *s, const struct nt_rec *rec, uint16_t port)
{
	struct nt_group *g = &s->g;
	bool listens = rec->proto != NT_PROTO_UDP && rec->state == NT_TCP_LISTEN;

	if (!g->sockets)
		g->port = port;
	else if (g->port != port)
		g->port = 0;
	g->sockets++;
	g->unwell += rec->level == NT_LEVEL_UNWELL;
	g->watch += rec->level == NT_LEVEL_WATCH;
	if (!listens) {
		g->rqueue_bytes += rec->rqueue;
		g->wqueue_bytes += rec->wqueue;
		/* A listener's waits are its connections' once more. */
		add_waits(g, nt_rec_plane(e, rec));
		add_acks(g, nt_rec_plane(e, rec));
	}
	if (rec->flags & NT_F_INFO && rec->rtt_us) {
		s->n_rtt++;
		if (rec->rtt_us > g->rtt_max_us)
			g->rtt_max_us = rec->rtt_us;
	}
	if (rec->flags & NT_F_RATES && rec->flags & NT_F_MOVED) {
		s->moved = true;
		g->tx_bytes_per_s += rec->tx_bytes_per_s;
		g->rx_bytes_per_s += rec->rx_bytes_per_s;
	}
	if (rec->flags & NT_F_RATES && rec->flags & NT_F_INFO) {
		s->rated = true;
		g->retrans_per_s += rec->retrans_per_s;
	}
	if (rec->flags & NT_F_RETR_PCT) {
		s->sent += nt_sent_per_s(rec);
		s->resent += nt_sent_per_s(rec) * (double)rec->retr_pct / 100.0;
	}
	bool worse = rec->level > s->worst_level ||
		     (rec->level == s->worst_level && rec->strength > s->worst_strength);

	bool explains = rec->level == s->worst_level && !g->has_verdict && rec->verdicts;

	if (!g->worst_cookie || worse || explains) {
		s->worst_level = rec->level;
		s->worst_strength = rec->strength;
		g->worst_cookie = rec->cookie;
		g->level = rec->level;
		g->has_verdict = rec->verdicts != 0;
		g->verdict = rec->verdict;
		g->who = rec->who;
		g->because = rec->because;
		g->verdict_value = rec->verdict_value;
	}
}

static int by_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void finish(struct sums *s, uint32_t *rtts)
{
	if (s->n_rtt) {
		qsort(rtts, s->n_rtt, sizeof(*rtts), by_u32);
		s->g.rtt50_us = rtts[(s->n_rtt - 1) / 2];
		s->g.rtt90_us = rtts[(s->n_rtt - 1) * 9UL / 10];
	}
	s->g.retr_pct = s->sent > 0 ? (float)(100.0 * s->resent / s->sent) : -1;
	if (!s->moved)
		s->g.tx_bytes_per_s = s->g.rx_bytes_per_s = -1;
	if (!s->rated)
		s->g.retrans_per_s = -1;
}

/* Worst first: how loud, how many unwell, how much traffic. */
static int worst_first(const void *a, const void *b)
{
	const struct nt_group *x = &((const struct sums *)a)->g, *y = &((const struct sums *)b)->g;

	if (x->level != y->level)
		return y->level - x->level;
	if (x->unwell != y->unwell)
		return x->unwell < y->unwell ? 1 : -1;
	if (x->watch != y->watch)
		return x->watch < y->watch ? 1 : -1;
	float fx = x->tx_bytes_per_s + x->rx_bytes_per_s,
	      fy = y->tx_bytes_per_s + y->rx_bytes_per_s;

	if (fx != fy)
		return fx < fy ? 1 : -1;
	if (x->sockets != y->sockets)
		return x->sockets < y->sockets ? 1 : -1;
	return (x->worst_cookie > y->worst_cookie) - (x->worst_cookie < y->worst_cookie);
}

/* Second pass: the round-trip times of each group side by side, for the median. */
static int medians(struct nt_engine *e, struct grouper *gr)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < gr->n; i++) {
		gr->v[i].first = total;
		total += gr->v[i].n_rtt;
		gr->v[i].n_rtt = 0;
	}
	uint32_t *rtts = malloc((total + 1UL) * sizeof(*rtts));

	if (!rtts)
		return -ENOMEM;
	for (uint32_t j = 0; j < e->order.n; j++) {
		if (gr->of[j] == NT_NONE)
			continue;
		struct nt_rec room;
		const struct nt_rec *rec = nt_rec_read(&e->table, e->order.v[j].rec, &room);
		struct sums *s = &gr->v[gr->of[j]];

		if (rec->flags & NT_F_INFO && rec->rtt_us)
			rtts[s->first + s->n_rtt++] = rec->rtt_us;
	}
	for (uint32_t i = 0; i < gr->n; i++)
		finish(&gr->v[i], rtts + gr->v[i].first);
	free(rtts);
	return 0;
}

int nt_groups(struct nt_engine *e, int grouping, struct nt_group *ret, uint32_t max)
{
	struct grouper gr = { .cap = 64, .mask = 127 };
	int err = 0;

	pthread_mutex_lock(&e->lock);
	gr.v = malloc(gr.cap * sizeof(*gr.v));
	gr.index = calloc(gr.mask + 1UL, sizeof(*gr.index));
	gr.of = malloc((e->order.n + 1UL) * sizeof(*gr.of));
	if (!gr.v || !gr.index || !gr.of)
		err = -ENOMEM;
	for (uint32_t j = 0; !err && j < e->order.n; j++) {
		uint32_t i = e->order.v[j].rec;
		struct nt_group key;
		struct nt_rec room;

		gr.of[j] = NT_NONE;
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		const struct nt_rec *rec = nt_rec_read(&e->table, i, &room);

		key_of(e, grouping, rec, &key);
		struct sums *s = find(&gr, &key);

		if (!s) {
			err = -ENOMEM;
			break;
		}
		bool local = grouping == NT_GROUP_LOCAL || grouping == NT_GROUP_PORT;

		add(e, s, rec, local ? rec->sport : rec->dport);
		gr.of[j] = (uint32_t)(s - gr.v);
	}
	if (!err)
		err = medians(e, &gr);
	pthread_mutex_unlock(&e->lock);
	if (!err) {
		qsort(gr.v, gr.n, sizeof(*gr.v), worst_first);
		for (uint32_t i = 0; i < gr.n && i < max; i++)
			ret[i] = gr.v[i].g;
	}
	free(gr.v);
	free(gr.index);
	free(gr.of);
	return err ? err : (int)gr.n;
}

int nt_group_members(struct nt_engine *e, int grouping, uint64_t of, uint64_t *cookies,
		     uint32_t max)
{
	struct nt_group key, other;
	struct nt_rec room;
	uint32_t n = 0;

	pthread_mutex_lock(&e->lock);
	uint32_t i = nt_table_find(&e->table, of);

	if (i != NT_NONE)
		key_of(e, grouping, nt_rec_read(&e->table, i, &room), &key);
	for (uint32_t j = 0; i != NT_NONE && j < e->order.n && n < max; j++) {
		uint32_t at = e->order.v[j].rec;

		if (!(e->table.mark[at] & NT_M_LIVE))
			continue;
		const struct nt_rec *rec = nt_rec_read(&e->table, at, &room);

		key_of(e, grouping, rec, &other);
		if (same(&key, &other))
			cookies[n++] = rec->cookie;
	}
	pthread_mutex_unlock(&e->lock);
	return (int)n;
}

int nt_sum(struct nt_engine *e, const uint64_t *cookies, uint32_t n, struct nt_group *ret)
{
	struct sums s = { 0 };
	uint32_t *rtts = malloc((n + 1UL) * sizeof(*rtts));
	uint32_t n_rtt = 0;

	if (!rtts)
		return -ENOMEM;
	pthread_mutex_lock(&e->lock);
	for (uint32_t j = 0; j < n; j++) {
		uint32_t i = nt_table_find(&e->table, cookies[j]);

		if (i == NT_NONE)
			continue;
		struct nt_rec room;
		const struct nt_rec *rec = nt_rec_read(&e->table, i, &room);

		add(e, &s, rec, rec->dport);
		if (rec->flags & NT_F_INFO && rec->rtt_us)
			rtts[n_rtt++] = rec->rtt_us;
	}
	pthread_mutex_unlock(&e->lock);
	finish(&s, rtts);
	free(rtts);
	*ret = s.g;
	return (int)s.g.sockets;
}
