// SPDX-License-Identifier: MIT
/* Reads the events plane: ends an interval and hands the engine what the kernel recorded. */
#ifdef NT_WITH_BPF

#include "nt_api.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "nt_bpf.h"
#include "nt_events_host.h"
#include "nt_events_state.h"

/* A reason with its name, which is noted the first time; NULL: there are too many. */
static struct nt_reason *reason_of(struct ev_seen *seen, const struct ev_names *names,
				   uint32_t reason)
{
	for (uint32_t i = 0; i < seen->n; i++)
		if (seen->v[i].reason == reason)
			return &seen->v[i];
	if (seen->n == NT_EV_REASONS)
		return NULL;
	struct nt_reason *r = &seen->v[seen->n++];

	r->reason = reason;
	nt_ev_name(names, reason, r->name, sizeof(r->name));
	return r;
}

static struct nt_reason *name_drop(struct nt_events *s, uint32_t reason)
{
	return reason_of(&s->dropped, &s->kernel.drops, reason);
}

/* The ring's memory is read-only. */
int nt_ev_take(void *ctx, void *data, size_t size)
{
	const struct nt_event *e = data;
	struct nt_events *s = ctx;

	if (size < sizeof(*e) || e->type >= NT_EV_TYPES)
		return 0;
	size_t n = e->type == NT_EV_CLOSED ? sizeof(struct nt_closed) : sizeof(*e);
	uint8_t *to;

	if (size < n)
		return 0;
	to = nt_sections_room(&s->records, n);
	if (!to)
		return -ENOMEM;
	memcpy(to, data, n);
	((struct nt_event *)to)->at_ns += (uint64_t)nt_timens_ns();
	if (e->type == NT_EV_CLOSED && ((struct nt_closed *)to)->born_ns)
		((struct nt_closed *)to)->born_ns += (uint64_t)nt_timens_ns();
	if (e->type == NT_EV_DROP)
		name_drop(s, e->reason);
	if (e->type == NT_EV_RESET_SENT)
		reason_of(&s->reset, &s->kernel.resets, e->reason);
	s->records.n += n;
	s->seq++;
	return 0;
}

/* Empties the map that the programs have just left. */
static int read_drops(struct nt_events *s, uint32_t epoch)
{
	struct bpf_map *map = epoch & 1 ? s->skel->maps.drops_odd : s->skel->maps.drops_even;
	uint32_t count = NT_EV_DROPS, batch = 0;

	s->n_drops = 0;
	if (bpf_map_lookup_and_delete_batch(bpf_map__fd(map), NULL, &batch, s->drop_keys, s->drops,
					    &count, NULL) &&
	    errno != ENOENT)
		return -errno;
	s->n_drops = count;
	for (uint32_t i = 0; i < count; i++) {
		s->drops[i].last_ns += (uint64_t)nt_timens_ns();
		name_drop(s, s->drops[i].reason);
	}
	return 0;
}

static void read_reasons(struct nt_events *s)
{
	int map = bpf_map__fd(s->skel->maps.reasons);
	uint32_t key, *before = NULL;

	while (!bpf_map_get_next_key(map, before, &key)) {
		struct nt_reason *r = name_drop(s, key);
		uint64_t sum = 0;

		before = &key;
		if (!r || bpf_map_lookup_elem(map, &key, s->per_cpu))
			continue;
		for (int i = 0; i < s->n_cpus; i++)
			sum += s->per_cpu[i];
		r->interval = sum - r->count;
		r->count = sum;
	}
}

static int read_counters(struct nt_events *s, struct nt_events_totals *t)
{
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.cpus), &zero, s->cpus))
		return -errno;
	for (int i = 0; i < s->n_cpus; i++) {
		const struct nt_ev_cpu *c = &s->cpus[i];

		for (int k = 0; k < NT_EV_TYPES; k++) {
			t->seen[k] += c->seen[k];
			t->suppressed[k] += c->suppressed[k];
			t->lost[k] += c->lost[k];
		}
		t->segs_retrans += c->segs_retrans;
		t->failed += c->failed;
		t->unplaced += c->unplaced;
		t->unreasoned += c->unreasoned;
		t->no_storage += c->no_storage;
		t->runs += c->runs;
	}
	/* The kernel skips a program that its CPU is already inside of, and counts that. */
	for (int i = 0; i < EV_PROGRAMS; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		/* Kernels before 5.12 do not count it; asking about a program that is held cannot fail. */
		if (!s->programs[i] ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(s->programs[i]), &info, &size))
			continue;
		for (int k = 0; k < NT_EV_TYPES; k++)
			if (nt_ev_programs[i].types >> k & 1)
				t->missed[k] += info.recursion_misses;
	}
	return 0;
}

static void deliver_all(struct nt_events *s, struct nt_engine *e, uint64_t at_ns,
			struct nt_events_totals *t)
{
	struct nt_events_head head = {
		.begun_ns = s->begun_ns, .read = ++s->reads, .before = s->totals, .now = *t
	};
	const uint32_t event = sizeof(struct nt_event), closed = sizeof(struct nt_closed);
	const uint32_t reason = sizeof(struct nt_reason), drop = sizeof(struct nt_drop);

	s->begun_ns = at_ns;
	s->totals = *t;
	pthread_mutex_lock(&e->lock);
	nt_deliver(e, at_ns, NT_S_EVENTS, 0, &head, sizeof(head));
	/* Whose a packet was is asked of some reasons alone: by their names. */
	nt_deliver(e, at_ns, NT_S_DROP_REASONS, reason, s->dropped.v, s->dropped.n * reason);
	nt_deliver(e, at_ns, NT_S_RESET_REASONS, reason, s->reset.v, s->reset.n * reason);
	nt_deliver(e, at_ns, NT_S_EVENT_RECORDS, event | closed << 16, s->records.v, s->records.n);
	nt_deliver(e, at_ns, NT_S_DROPS, drop, s->drops, s->n_drops * drop);
	if (e->events)
		memcpy(t->overrun, e->events->head.now.overrun, sizeof(t->overrun));
	pthread_mutex_unlock(&e->lock);
}

int nt_events_read(struct nt_events *s, struct nt_engine *e, struct nt_events_totals *ret)
{
	uint64_t cpu = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int err;

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&s->lock);
	uint32_t epoch = s->skel->bss->epoch;

	s->skel->bss->epoch = epoch + 1;
	ret->first_seq = s->seq + 1;
	s->records.n = 0;
	err = ring_buffer__consume(s->ring);
	ret->next_seq = s->seq + 1;
	err = err < 0 ? err : read_counters(s, ret);
	uint64_t at_ns = nt_clock_ns(CLOCK_MONOTONIC);

	if (!err)
		err = read_drops(s, epoch);
	if (!err) {
		read_reasons(s);
		deliver_all(s, e, at_ns, ret);
	}
	pthread_mutex_unlock(&s->lock);
	ret->cpu_ns = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return err;
}

#endif
