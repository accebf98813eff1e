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

static void ask_events(struct nt_engine *e, const uint64_t *cookies, uint32_t n)
{
	static struct nt_event events[ROWS];
	static struct nt_closed closed[ROWS];
	static struct nt_drop drops[ROWS];
	static struct nt_reason reasons[ROWS];
	struct nt_events_head head;
	struct nt_event_memory memory;
	uint64_t at_ns, more[NT_EV_TYPES];
	char name[64];

	nt_events_last(e, &head, &at_ns);
	for (int filtered = 0; filtered < 2; filtered++) {
		int found = nt_events_recent(e, cookies, n, filtered, ~0U, 0, events, ROWS, more);

		for (int i = 0; i < found; i++)
			nt_events_reason_name(e, filtered, events[i].reason, name, sizeof(name));
		nt_events_closed(e, cookies, n, filtered, 0, closed, ROWS);
	}
	nt_events_memory(e, cookies, n, &memory);
	nt_events_drops(e, cookies, n, drops, ROWS);
	nt_events_reasons(e, reasons, ROWS);
}

static void ask_counter(struct nt_engine *e)
{
	static uint32_t groups[ROWS];
	struct nt_count_tick tick;
	struct nt_counter *c;

	if (nt_counter_new(~0U, &c))
		return;
	int group = nt_counter_group(c, (uint32_t)nt_counter_series(c));

	for (uint64_t at = 1; at <= 3; at++) {
		nt_count_begin(c, at * 1000000000);
		int n = nt_count_sockets(c, e, at > 1, at == 3);

		if (n < 0 || n > ROWS)
			break;
		for (int i = 0; i < n; i++)
			groups[i] = (uint32_t)group;
		if (nt_count_end(c, groups, &tick))
			break;
	}
	nt_counter_free(c);
}

static void ask_path(struct nt_engine *e)
{
	static uint64_t buckets[NT_FINE_BUCKETS];
	struct nt_path_counts counts;
	struct nt_dist dist;
	int hooks = nt_path_hooks(e);

	for (uint32_t hook = 0; hooks >> hook; hook++)
		nt_path_buckets(e, hook, hook & 1, buckets, &dist, &counts);
	nt_path_clear(e);
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
	static uint32_t octaves[ROWS][32];
	uint64_t cookies[ROWS];
	uint8_t there[ROWS];
	double values[ROWS];
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
	for (int by = NT_GROUP_PROCESS; by <= NT_GROUP_REMOTE_PORT; by++)
		nt_groups(e, by, groups, ROWS);
	if (n > 0)
		nt_sum(e, cookies, (uint32_t)n, groups);
	if (n > 0 && nt_values_of(e, cookies, (uint32_t)n, &key, 1, values, octaves[0], there) != n)
		abort();
	ask_events(e, cookies, (uint32_t)n);
	ask_events(e, NULL, 0);
	ask_path(e);
	ask_counter(e);
}

/* What the sockets look like in the end. */
static uint64_t went_on(struct nt_engine *e, const uint8_t *data, size_t size)
{
	static struct nt_row rows[ROWS];
	uint64_t digest = 14695981039346656037ULL;

	sweep(e, 4 * SECOND_NS, NT_PROTO_UDP, data, size);
	sweep(e, 5 * SECOND_NS, NT_PROTO_MPTCP, data, size);
	ask(e);
	int n = nt_window(e, 0, ROWS, rows);

	for (int i = 0; i < n; i++)
		for (size_t at = 0; at < sizeof(rows[i].rec); at++)
			digest = (digest ^ ((uint8_t *)&rows[i].rec)[at]) * 1099511628211ULL;
	sweep(e, 6 * SECOND_NS, NT_PROTO_TCP, data, 0);
	sweep(e, 7 * SECOND_NS, NT_PROTO_TCP, data, 0);
	ask(e);
	nt_take(e, data, size);
	ask(e);
	nt_engine_free(e);
	return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nt_config config;
	struct nt_engine *e, *twin;

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
	if (nt_engine_copy(e, &twin))
		abort();
	/* What became of one, its end included, is nothing to the other. */
	if (went_on(e, data, size) != went_on(twin, data, size))
		abort();
	return 0;
}
