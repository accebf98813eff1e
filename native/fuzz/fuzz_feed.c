/* SPDX-License-Identifier: MIT */
/* Any bytes as a dump: into the table, through every question that can be asked of it. */
#include <stddef.h>
#include <stdlib.h>

#include "nt_api.h"

#define SECOND_NS 1000000000ULL
#define ROWS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sweep(struct nt_engine *e, uint64_t now_ns, int proto, const uint8_t *data, size_t size)
{
	struct nt_totals totals;

	nt_feed_begin(e, now_ns);
	nt_feed(e, 1, proto, data, (uint32_t)size);
	nt_feed_end(e, now_ns + 1000, &totals);
}

static void ask(struct nt_engine *e)
{
	static struct nt_row rows[ROWS];
	static struct nt_group groups[ROWS];
	struct nt_operand key = { .base = NT_BASE_REC,
				  .type = NT_F32,
				  .offset = offsetof(struct nt_rec, retr_pct),
				  .need_flags = NT_F_RETR_PCT,
				  .protos = ~0U,
				  .states = ~0U,
				  .scale = 1 };
	uint64_t cookies[ROWS];
	struct nt_detail detail;
	struct nt_row row;

	for (uint16_t text = 0; text <= NT_KEY_WHO; text++) {
		struct nt_operand by_text = { .base = text ? NT_BASE_TEXT : 0, .offset = text };

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
	config.roll_ms = 0;
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
	nt_engine_free(e);
	return 0;
}
