// SPDX-License-Identifier: MIT
/* What the packets of a socket were dropped for in the last interval, by kinds of reasons. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"

static const struct {
	const char *name; /* the kernel's, or its beginning */
	enum nt_drop_kind kind;
} KINDS[] = {
	{ "SOCKET_RCVBUFF", NT_DROP_QUEUE },
	{ "SOCKET_BACKLOG", NT_DROP_QUEUE },
	{ "TCP_ZEROWINDOW", NT_DROP_QUEUE },
	{ "TCP_OFO_QUEUE_PRUNE", NT_DROP_QUEUE },
	{ "TCP_LISTEN_OVERFLOW", NT_DROP_ACCEPT },
	{ "SOCKET_FILTER", NT_DROP_POLICY },
	{ "NETFILTER_DROP", NT_DROP_POLICY },
	{ "XFRM_POLICY", NT_DROP_POLICY },
	{ "BPF_CGROUP_EGRESS", NT_DROP_POLICY },
	{ "SECURITY_HOOK", NT_DROP_POLICY },
	{ "TC_", NT_DROP_POLICY },
	{ "TCP_MINTTL", NT_DROP_POLICY },
	{ "TCP_AUTH_HDR", NT_DROP_POLICY },
	{ "TCP_MD5", NT_DROP_POLICY },
	{ "TCP_AO", NT_DROP_POLICY },
	{ "TCP_CSUM", NT_DROP_CHECKSUM },
	{ "UDP_CSUM", NT_DROP_CHECKSUM },
	{ "SKB_CSUM", NT_DROP_CHECKSUM },
	{ "IP_CSUM", NT_DROP_CHECKSUM },
	{ "PROTO_MEM", NT_DROP_MEMORY },
	{ "NOMEM", NT_DROP_MEMORY },
	{ "PFMEMALLOC", NT_DROP_MEMORY },
	{ "QDISC_", NT_DROP_SENT },
	{ "FQ_", NT_DROP_SENT },
	{ "CAKE_", NT_DROP_SENT },
	{ "FULL_RING", NT_DROP_SENT },
	{ "NEIGH_", NT_DROP_SENT },
	{ "IP_OUTNOROUTES", NT_DROP_SENT },
	/* Segments that are no part of what the connection waits for: scans, duplicates, the late. */
	{ "TCP_", NT_DROP_UNFIT },
};

enum nt_drop_kind nt_drop_kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof(KINDS) / sizeof(*KINDS); i++) {
		size_t n = strlen(KINDS[i].name);

		if (!strncmp(name, KINDS[i].name, n))
			return KINDS[i].kind;
	}
	return NT_DROP_OTHER;
}

static int by_cookie(const void *a, const void *b)
{
	uint64_t x = ((const struct nt_drop_counts *)a)->cookie;
	uint64_t y = ((const struct nt_drop_counts *)b)->cookie;

	return x < y ? -1 : x > y;
}

int nt_drops_take(struct nt_engine *e, struct nt_drop_counts *v, uint32_t n)
{
	uint32_t kept = 0;

	qsort(v, n, sizeof(*v), by_cookie);
	for (uint32_t i = 0; i < n; i++) {
		if (!v[i].cookie)
			continue;
		if (!kept || v[kept - 1].cookie != v[i].cookie) {
			v[kept++] = v[i];
			continue;
		}
		for (int k = 0; k < NT_DROP_KINDS; k++)
			v[kept - 1].packets[k] += v[i].packets[k];
	}
	free(e->drops);
	e->drops = v;
	e->n_drops = kept;
	return (int)kept;
}

const struct nt_drop_counts *nt_drops_of(const struct nt_engine *e, uint64_t cookie)
{
	struct nt_drop_counts key = { .cookie = cookie };

	return e->n_drops ? bsearch(&key, e->drops, e->n_drops, sizeof(key), by_cookie) : NULL;
}

int nt_engine_drops(struct nt_engine *e, uint64_t cookie, struct nt_drop_counts *ret)
{
	pthread_mutex_lock(&e->lock);
	const struct nt_drop_counts *found = nt_drops_of(e, cookie);

	if (found)
		*ret = *found;
	else
		memset(ret, 0, sizeof(*ret));
	pthread_mutex_unlock(&e->lock);
	return found != NULL;
}
