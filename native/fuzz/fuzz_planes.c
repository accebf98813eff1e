/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what the planes' sections hold, in any order: bodies are longer than a fuzzer's
 * inputs, so that each is a few of these bytes over and over.
 */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nt_sections.h"
#include "nt_stages_state.h"
#include "nt_wait_state.h"

#define SECOND_NS 1000000000ULL
#define SOCKETS 3 /* that the table knows; their cookies are 1, 2, 3 */
#define STEPS 16  /* each takes a millisecond */
#define BODY 13	  /* no multiple of a field: neighbours differ */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	uint32_t kind;
	uint32_t record; /* bytes of one, or 0 */
	uint32_t bytes;	 /* of the body where there are no records */
	uint32_t read;	 /* where the body has the number of the read */
} steps[] = {
	{ NT_S_WAIT, 0, sizeof(struct nt_wait_head) + NT_FINE * 8,
	  offsetof(struct nt_wait_head, read) },
	{ NT_S_WAIT_FOCUS, sizeof(struct nt_wait_focused), 0, 0 },
	{ NT_S_WAIT_SOCKETS, sizeof(struct nt_ws_out), 0, 0 },
	{ NT_S_WAIT_PORTS, sizeof(struct nt_wait_port), 0, 0 },
	{ NT_S_WAIT_SPLITS, sizeof(struct nt_split_out), 0, 0 },
	{ NT_S_WAIT_OFF, 0, 0, 0 },
	{ NT_S_STAGES, 0, sizeof(struct nt_stages_head) + NT_PARTS *NT_FINE * 8,
	  offsetof(struct nt_stages_head, read) },
	{ NT_S_STAGES_WANTED, 8, 0, 0 },
	{ NT_S_STAGES_FINE, sizeof(struct nt_stages_fine), 0, 0 },
	{ NT_S_STAGES_SOCKETS, sizeof(struct nt_tx_rec), 0, 0 },
	{ NT_S_STAGES_NICS, sizeof(struct nt_stages_placed), 0, 0 },
	{ NT_S_STAGES_OFF, 0, 0, 0 },
	{ NT_S_SWEPT, 0, 0, 0 },
};
enum { N_STEPS = sizeof(steps) / sizeof(*steps) };

static void must(int holds)
{
	if (!holds)
		abort();
}

static void give(struct nt_engine *e, struct nt_section head, const void *body)
{
	struct nt_sections *s;

	must(!nt_sections_new(&s) && !nt_sections_add(s, &head, body));
	nt_take(e, s->v, s->n);
	nt_sections_free(s);
}

/* A sweep that finds them. */
static void sweep(struct nt_engine *e)
{
	struct nt_sweep_head begin = { .netns = 1 };
	struct {
		struct nlmsghdr head;
		struct inet_diag_msg msg;
	} v[SOCKETS];

	memset(v, 0, sizeof(v));
	for (uint32_t i = 0; i < SOCKETS; i++) {
		v[i].head.nlmsg_len = sizeof(v[i]);
		v[i].head.nlmsg_type = 20; /* SOCK_DIAG_BY_FAMILY */
		v[i].msg.idiag_family = AF_INET;
		v[i].msg.idiag_state = i ? NT_TCP_ESTABLISHED : NT_TCP_LISTEN;
		v[i].msg.id.idiag_cookie[0] = i + 1;
	}
	give(e,
	     (struct nt_section){ .at_ns = SECOND_NS, .kind = NT_S_SWEEP, .bytes = sizeof(begin) },
	     &begin);
	give(e,
	     (struct nt_section){ .at_ns = SECOND_NS,
				  .kind = NT_S_DIAG,
				  .bytes = sizeof(v),
				  .netns = 1,
				  .arg = NT_PROTO_TCP },
	     v);
	give(e, (struct nt_section){ .at_ns = SECOND_NS, .kind = NT_S_SWEPT }, NULL);
}

static void fill(uint8_t *to, size_t n, const uint8_t *from, size_t size)
{
	memcpy(to, from, size < n ? size : n);
	for (size_t at = size; at < n; at *= 2)
		memcpy(to + at, to, n - at < at ? n - at : at);
}

static void ask(struct nt_engine *e, uint64_t how)
{
	static uint64_t buckets[NT_FINE];
	struct nt_dist dists[NT_TX_STAGES];
	const uint64_t cookies[] = { 1, 4 };
	struct nt_row row;

	if (how & 0x40)
		nt_stages_interval(e, dists);
	nt_stages_buckets(e, cookies, how & 2, (int)(how >> 2) % NT_TX_STAGES, how & 1, buckets,
			  dists);
	nt_wait_buckets(e, cookies, how & 2, how & 1, buckets, dists);
	if (how & 0x20)
		nt_wait_matched(e, buckets, dists);
	for (uint64_t cookie = 1; cookie <= SOCKETS; cookie++)
		must(nt_find(e, cookie, &row));
	if (how & 0x80) {
		nt_wait_clear(e);
		nt_stages_clear(e);
	}
}

/* The same bytes as what a host says of its devices and qdiscs. */
static void parse_route(const uint8_t *data, uint32_t n)
{
	struct nt_link links[2];
	struct nt_qdisc qdiscs[2];
	struct nt_route routes[2];
	uint32_t count = 0, states[2];

	nt_links_parse(data, n, 0, links, 2, &count);
	must(count <= n / 16);
	count = 0;
	nt_qdiscs_parse(data, n, 0, qdiscs, 2, &count);
	must(count <= n / 16);
	count = 0;
	nt_routes_parse(data, n, 0, routes, 2, &count);
	must(count <= n / 16);
	count = 0;
	nt_neighbours_parse(data, n, 0, states, 2, &count);
	must(count <= n / 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t body[3 * sizeof(struct nt_stages_fine)];
	uint32_t reads[N_STEPS] = { 0 };
	struct nt_engine *e;

	parse_route(data, (uint32_t)size);
	if (nt_engine_new(NULL, &e))
		return 0;
	sweep(e);
	for (uint32_t step = 0; step < STEPS && size >= 2 + BODY; step++) {
		uint32_t what = data[0] % N_STEPS, how = data[1];
		struct nt_section head = { .at_ns = step * SECOND_NS, .kind = steps[what].kind };

		head.arg = steps[what].kind >= NT_S_RECORDS ? steps[what].record : 0;
		head.bytes = steps[what].record ? steps[what].record * (1 + how % 3) :
						  steps[what].bytes;
		fill(body, head.bytes, data + 2, BODY);
		for (uint32_t i = 0; steps[what].record && i <= how % 3; i++) {
			uint64_t cookie = 1 + (how / 3 + i) % (SOCKETS + 1); /* one is not known */

			memcpy(body + (size_t)i * steps[what].record, &cookie, sizeof(cookie));
		}
		/* Mostly the next one. */
		if (steps[what].bytes) {
			reads[what] = how > 240 ? how : reads[what] + 1;
			memcpy(body + steps[what].read, &reads[what], sizeof(reads[what]));
		}
		give(e, head, body);
		if (how & 0x40)
			ask(e, data[2]);
		if (how & 0x10) {
			struct nt_engine *twin;

			must(!nt_engine_copy(e, &twin));
			nt_engine_free(e);
			e = twin;
		}
		data += 2 + BODY;
		size -= 2 + BODY;
	}
	ask(e, 0x60);
	nt_engine_free(e);
	return 0;
}
