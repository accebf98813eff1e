/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a dump, and as sections: into the table, through every question that can be asked
 * of it.
 */
#include <stddef.h>
#include <stdlib.h>

#include "nt_sections.h"

#define SECOND_NS 1000000000ULL
#define ROWS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(struct nt_sections *s, struct nt_section head, const void *body)
{
	if (nt_sections_add(s, &head, body))
		abort();
}

static void sweep(struct nt_engine *e, uint64_t now_ns, int proto, const uint8_t *data, size_t size)
{
	struct nt_sections *s;
	struct nt_sweep_head begin = { .netns = 1 };
	struct nt_dump_end end = { 0 };

	if (nt_sections_new(&s))
		abort();
	add(s, (struct nt_section){ .at_ns = now_ns, .kind = NT_S_SWEEP, .bytes = sizeof(begin) },
	    &begin);
	add(s,
	    (struct nt_section){ .at_ns = now_ns,
				 .kind = NT_S_DIAG,
				 .bytes = (uint32_t)size,
				 .netns = 1,
				 .arg = (uint32_t)proto },
	    data);
	add(s,
	    (struct nt_section){ .at_ns = now_ns,
				 .kind = NT_S_DUMP,
				 .bytes = sizeof(end),
				 .netns = 1,
				 .arg = (uint32_t)proto },
	    &end);
	add(s, (struct nt_section){ .at_ns = now_ns + 1000, .kind = NT_S_SWEPT }, NULL);
	if (nt_take(e, s->v, s->n))
		abort();
	nt_sections_free(s);
}

static void ask(struct nt_engine *e)
{
	static struct nt_row rows[ROWS];
	static struct nt_group groups[ROWS];
	struct nt_operand resent = { .base = NT_BASE_REC,
				     .type = NT_F32,
				     .offset = offsetof(struct nt_rec, retr_pct),
				     .need_flags = NT_F_RETR_PCT,
				     .protos = ~0U,
				     .states = ~0U,
				     .scale = 1 };
	struct nt_term key = { .a = resent, .b = resent, .how = NT_HOW_RATIO };
	uint64_t cookies[ROWS];
	struct nt_detail detail;
	struct nt_row row;

	for (uint16_t text = 0; text <= NT_KEY_WHO; text++) {
		struct nt_term by_text = { .a = { .base = text ? NT_BASE_TEXT : 0,
						  .offset = text } };

		nt_order(e, &by_text, text & 1, ROWS, text == 2);
	}
	nt_order(e, &key, 1, 8, 0);
	int n = nt_window(e, 0, ROWS, rows);

	for (int i = 0; i < n; i++) {
		cookies[i] = rows[i].rec.cookie;
		if (nt_position(e, cookies[i]) != i || !nt_find(e, cookies[i], &row))
			abort();
		nt_detail_of(e, cookies[i], &detail);
		nt_cong_name(e, rows[i].rec.cong_id);
	}
	for (int by = NT_GROUP_PROCESS; by <= NT_GROUP_NETNS; by++)
		nt_groups(e, by, groups, ROWS);
	if (n > 0)
		nt_sum(e, cookies, (uint32_t)n, groups);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nt_config config;
	struct nt_engine *e;

	if (nt_engine_new(NULL, &e))
		return 0;
	nt_config_default(&config);
	config.udp = config.mptcp = config.rows_all = 1;
	config.detail_max = ~0U;
	nt_engine_configure(e, &config);

	/* Seen, seen again with rates, seen as another protocol, then gone. */
	sweep(e, SECOND_NS, NT_PROTO_TCP, data, size);
	sweep(e, 2 * SECOND_NS, NT_PROTO_TCP, data, size / 2);
	ask(e);
	sweep(e, 4 * SECOND_NS, NT_PROTO_UDP, data, size);
	sweep(e, 5 * SECOND_NS, NT_PROTO_MPTCP, data, size);
	ask(e);
	sweep(e, 6 * SECOND_NS, NT_PROTO_TCP, data, 0);
	sweep(e, 7 * SECOND_NS, NT_PROTO_TCP, data, 0);
	ask(e);
	nt_take(e, data, size);
	ask(e);
	nt_engine_free(e);
	return 0;
}
