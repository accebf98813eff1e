// SPDX-License-Identifier: MIT
/* Sockets of packets that were dropped before one was looked for, by the ends of their connection. */
#include <stdlib.h>
#include <string.h>

#include "nt_events_state.h"

/* Of more nothing is looked for each interval. */
#define SOCKETS_MOST 65536U

/* A connection, whichever of its ends is here. */
struct ends {
	uint8_t low[18], high[18]; /* address and port, in the order of their bytes */
	uint32_t netns;
};

/* One that is looked for, and where its cookie belongs. */
struct wanted {
	struct ends ends;
	uint64_t *cookie;
};

static struct ends ends_of(uint32_t netns, const uint8_t src[16], uint16_t sport,
			   const uint8_t dst[16], uint16_t dport)
{
	struct ends ret = { .netns = netns };
	uint8_t *src_at = ret.low, *dst_at = ret.high;

	if (memcmp(src, dst, 16) > 0 || (!memcmp(src, dst, 16) && sport > dport)) {
		src_at = ret.high;
		dst_at = ret.low;
	}
	memcpy(src_at, src, 16);
	memcpy(src_at + 16, &sport, 2);
	memcpy(dst_at, dst, 16);
	memcpy(dst_at + 16, &dport, 2);
	return ret;
}

/* The same of both directions: most sockets differ in it from all that are looked for. */
static uint32_t bit_of(uint16_t sport, uint16_t dport)
{
	return (uint32_t)(sport ^ dport) % 4096;
}

static int by_ends(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ends));
}

void nt_ev_find_sockets(const struct nt_engine *e, const struct nt_event *const *packets,
			uint32_t n, uint64_t *cookies)
{
	struct wanted v[NT_EV_ENDS];
	uint64_t some[4096 / 64] = { 0 };
	struct nt_rec room;

	memset(cookies, 0, n * sizeof(*cookies));
	if (!n || e->table.high > SOCKETS_MOST)
		return;
	for (uint32_t i = 0; i < n; i++) {
		const struct nt_event *p = packets[i];

		v[i].ends = ends_of(p->netns, p->src, p->sport, p->dst, p->dport);
		v[i].cookie = &cookies[i];
		some[bit_of(p->sport, p->dport) / 64] |= 1ULL << bit_of(p->sport, p->dport) % 64;
	}
	qsort(v, n, sizeof(*v), by_ends);
	for (uint32_t i = 0; i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		const struct nt_rec *r = nt_rec_read(&e->table, i, &room);

		uint32_t bit = bit_of(r->sport, r->dport);

		if (r->proto != NT_PROTO_TCP || !r->dport || !(some[bit / 64] >> bit % 64 & 1))
			continue;
		struct ends key = ends_of(r->netns, r->src, r->sport, r->dst, r->dport);
		struct wanted *w = bsearch(&key, v, n, sizeof(*v), by_ends);

		while (w && w > v && !by_ends(w - 1, &key))
			w--;
		for (; w && w < v + n && !by_ends(w, &key); w++)
			*w->cookie = r->cookie;
	}
}
