// SPDX-License-Identifier: MIT
/* Which group a socket is of: the key that names it, and the group of each key. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nt_count.h"

#define EPHEMERAL 32768U	       /* as nettop.model.services has it */
#define SERVED_NS (60 * 1000000000ULL) /* so long a port is a service's after its last listener */
#define LEAST 1024U

int nt_room_for_one(void **v, uint32_t n, uint32_t *cap, size_t size)
{
	if (n < *cap)
		return 0;
	uint32_t wanted = *cap ? *cap * 2 : 64;
	void *bigger = realloc(*v, wanted * size);

	if (!bigger)
		return -ENOMEM;
	*v = bigger;
	*cap = wanted;
	return 0;
}

/* --- services --- */

static uint64_t place_of(uint32_t netns, uint16_t port)
{
	return (uint64_t)netns << 32 | port;
}

static int by_place(const void *a, const void *b)
{
	const struct nt_serving *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->seen_ns < y->seen_ns) - (x->seen_ns > y->seen_ns); /* newest first */
}

static bool serves(const struct nt_places *p, uint32_t netns, uint16_t port)
{
	uint64_t at = place_of(netns, port);
	uint32_t low = 0, high = p->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (p->v[mid].at < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->n && p->v[low].at == at;
}

int nt_places_look(struct nt_places *p, const struct nt_engine *e, uint64_t now_ns, bool *new)
{
	const uint8_t wanted = NT_M_LIVE | NT_M_MATCH;
	uint32_t before = p->n, kept = 0;
	struct nt_rec room;

	*new = false;
	for (uint32_t i = 0; i < e->table.high; i++) {
		if ((e->table.mark[i] & wanted) != wanted ||
		    nt_rec_state(&e->table, i) != NT_TCP_LISTEN)
			continue;
		const struct nt_rec *rec = nt_rec_read(&e->table, i, &room);

		if (rec->proto == NT_PROTO_UDP)
			continue;
		if (nt_room_for_one((void **)&p->v, p->n, &p->cap, sizeof(*p->v)))
			return -ENOMEM;
		struct nt_places old = { .v = p->v, .n = before };

		*new = *new || !serves(&old, rec->netns, rec->sport);
		p->v[p->n++] = (struct nt_serving){ place_of(rec->netns, rec->sport), now_ns };
	}
	if (p->n)
		qsort(p->v, p->n, sizeof(*p->v), by_place);
	for (uint32_t i = 0; i < p->n; i++) {
		/* A server that restarts keeps its group meanwhile. */
		if ((i && p->v[i].at == p->v[i - 1].at && kept) ||
		    now_ns - p->v[i].seen_ns > SERVED_NS)
			continue;
		p->v[kept++] = p->v[i];
	}
	p->n = kept;
	return 0;
}

/* As nettop.model.services.service_of(); a port that a client was given is none. */
static void put_service(const struct nt_places *p, uint32_t netns, uint16_t ours, uint16_t theirs,
			bool udp, struct nt_count_key *ret)
{
	uint16_t port = ours;
	bool server = true;

	if (!theirs || serves(p, netns, ours)) {
		server = true;
	} else if (serves(p, netns, theirs)) {
		server = false;
		port = theirs;
	} else {
		if ((ours >= EPHEMERAL) != (theirs >= EPHEMERAL))
			server = ours < EPHEMERAL;
		else
			server = ours < theirs;
		port = ours < theirs ? ours : theirs;
	}
	if (port >= EPHEMERAL && (udp || !serves(p, netns, port)))
		return;
	ret->role = server ? NT_ROLE_SERVER : NT_ROLE_CLIENT;
	ret->port = port;
}

/* --- keys --- */

static void put_owner(uint8_t owner, const char *comm, struct nt_count_key *ret)
{
	ret->owner = owner;
	if (owner == NT_OWNER_PROC)
		memcpy(ret->comm, comm, strnlen(comm, sizeof(ret->comm) - 1));
}

void nt_count_key_of(const struct nt_counter *c, const struct nt_rec *rec,
		     const struct nt_proc *proc, struct nt_count_key *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (c->by & NT_BY_PROCESS)
		put_owner(proc->pid ? NT_OWNER_PROC : (uint8_t)proc->owner, proc->comm, ret);
	if (c->by & NT_BY_SERVICE)
		put_service(&c->serving, rec->netns, rec->sport, rec->dport,
			    rec->proto == NT_PROTO_UDP, ret);
	if (c->by & NT_BY_PEER) {
		ret->family = rec->family;
		memcpy(ret->dst, rec->dst, sizeof(ret->dst));
	}
	if (c->by & NT_BY_CONTAINER)
		ret->cgroup_id = rec->cgroup_id;
	if (c->by & NT_BY_NETNS)
		ret->netns = rec->netns;
}

void nt_count_key_of_event(const struct nt_counter *c, const struct nt_event *ev,
			   struct nt_count_key *ret)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
	bool mapped = ev->family == AF_INET6 && (!memcmp(ev->src, prefix, sizeof(prefix)) ||
						 !memcmp(ev->dst, prefix, sizeof(prefix)));
	bool known = ev->flags & NT_EVF_OWNER && ev->pid;

	memset(ret, 0, sizeof(*ret));
	if (c->by & NT_BY_PROCESS)
		put_owner(known ? NT_OWNER_PROC : NT_OWNER_UNKNOWN, ev->comm, ret);
	if (c->by & NT_BY_SERVICE)
		put_service(&c->serving, ev->netns, ev->sport, ev->dport, ev->proto == IPPROTO_UDP,
			    ret);
	if (c->by & NT_BY_PEER) {
		ret->family = mapped ? AF_INET : ev->family;
		if (mapped)
			memcpy(ret->dst, ev->dst + 12, 4);
		else
			memcpy(ret->dst, ev->dst, sizeof(ret->dst));
	}
	if (c->by & NT_BY_NETNS)
		ret->netns = ev->netns;
}

static uint32_t hash_of(const struct nt_count_key *key)
{
	uint64_t words[sizeof(*key) / 8], h = 0;

	_Static_assert(sizeof(*key) % 8 == 0, "a key is whole words");
	memcpy(words, key, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		h = (h ^ words[i]) * 0x9E3779B97F4A7C15ULL;
		h ^= h >> 29;
	}
	return (uint32_t)(h >> 32);
}

static int more_room(struct nt_names *n)
{
	uint32_t cap = n->cap ? n->cap * 2 : LEAST, mask = cap * 2 - 1;
	uint32_t *index = calloc(mask + 1UL, sizeof(*index));
	struct nt_named *v = realloc(n->v, cap * sizeof(*v));

	if (v)
		n->v = v;
	if (!index || !v) {
		free(index);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n->n; i++) {
		uint32_t s = hash_of(&n->v[i].key) & mask;

		while (index[s])
			s = (s + 1) & mask;
		index[s] = i + 1;
	}
	free(n->index);
	n->index = index;
	n->mask = mask;
	n->cap = cap;
	return 0;
}

uint32_t nt_names_find(struct nt_names *n, const struct nt_count_key *key)
{
	if (n->n == n->cap && more_room(n))
		return NT_NONE;
	uint32_t s = hash_of(key) & n->mask;

	for (; n->index[s]; s = (s + 1) & n->mask)
		if (!memcmp(&n->v[n->index[s] - 1].key, key, sizeof(*key)))
			return n->index[s] - 1;
	n->v[n->n] = (struct nt_named){ .key = *key, .group = NT_NONE };
	n->index[s] = ++n->n;
	return n->n - 1;
}

void nt_names_clear(struct nt_names *n)
{
	nt_names_free(n);
	*n = (struct nt_names){ 0 };
}

void nt_names_free(struct nt_names *n)
{
	free(n->v);
	free(n->index);
}
