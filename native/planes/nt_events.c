// SPDX-License-Identifier: MIT
/* The events plane's host: loads the programs that fit this kernel. */
#include "nt_api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifndef NT_WITH_BPF

int nt_events_open(struct nt_wait *waits, struct nt_stages *stages, int confined,
		   struct nt_events **ret, char *why, uint32_t n_why)
{
	(void)waits, (void)stages, (void)confined;
	*ret = NULL;
	snprintf(why, n_why, "nettop was built without BPF");
	return -ENOTSUP;
}

int nt_events_programs(struct nt_events *s, struct nt_prog *ret, uint32_t max)
{
	(void)s, (void)ret, (void)max;
	return -ENOTSUP;
}

void nt_events_close(struct nt_events *s)
{
	(void)s;
}

int nt_events_limit(struct nt_events *s, uint32_t per_s)
{
	(void)s, (void)per_s;
	return -ENOTSUP;
}

int nt_events_spaces(struct nt_events *s, const uint32_t *netns, uint32_t n)
{
	(void)s, (void)netns, (void)n;
	return -ENOTSUP;
}

int nt_events_read(struct nt_events *s, struct nt_engine *e, struct nt_events_totals *ret)
{
	(void)s, (void)e, (void)ret;
	return -ENOTSUP;
}

#else

#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "nt_bpf.h"
#include "nt_engine.h"
#include "nt_events_host.h"

#define BIT(type) (1U << NT_EV_##type)
#define FIRST_PIDNS 0xEFFFFFFCU /* the inode of the namespace that everything began in */

const struct ev_program nt_ev_programs[EV_PROGRAMS] = {
	/* Of one tracepoint's alternatives the one that reads most goes first. */
	{ "retransmit_err", "tcp_retransmit_skb", 3, BIT(RETRANSMIT) },
	{ "retransmit", "tcp_retransmit_skb", 2, BIT(RETRANSMIT) },
	{ "retransmit_synack", "tcp_retransmit_synack", 2, BIT(RETRANSMIT) },
	{ "drop_rx", "kfree_skb", 4, BIT(DROP) },
	{ "drop_reason", "kfree_skb", 3, BIT(DROP) },
	{ "drop", "kfree_skb", 2, BIT(DROP) },
	{ "reset_sent_reason", "tcp_send_reset", 3, BIT(RESET_SENT) },
	{ "reset_sent_plain", "tcp_send_reset", 2, BIT(RESET_SENT) },
	{ "reset_received", "tcp_receive_reset", 1, BIT(RESET_RECEIVED) },
	{ "error_report", "inet_sk_error_report", 1, BIT(ERROR) },
	{ "cong_state", "tcp_cong_state_set", 2, BIT(CONG) },
	{ "state", "inet_sock_set_state", 3, BIT(STATE) | BIT(CLOSED) },
};

static const char *const type_words[NT_EV_TYPES] = {
	"retransmissions", "drops",	    "resets sent",	 "resets received",
	"errors",	   "state changes", "congestion states", "closes",
};

/* Whether the kernel has the tracepoint, and no alternative before this one fits. */
static bool fits(const struct ev_kernel *k, int i)
{
	if (k->args[i] < nt_ev_programs[i].args)
		return false;
	for (int j = 0; j < i; j++)
		if (!strcmp(nt_ev_programs[j].tracepoint, nt_ev_programs[i].tracepoint) &&
		    k->args[j] >= nt_ev_programs[j].args)
			return false;
	return true;
}

static void name_pidns(struct events_bpf *skel)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) || st.st_ino == FIRST_PIDNS)
		return;
	/* The kernel's own dev_t, not the one of stat. */
	skel->rodata->pidns_dev = (uint64_t)major(st.st_dev) << 20 | minor(st.st_dev);
	skel->rodata->pidns_ino = st.st_ino;
}

static void unload(struct nt_events *s)
{
	for (int i = 0; i < EV_PROGRAMS; i++) {
		bpf_link__destroy(s->links[i]);
		s->links[i] = NULL;
		s->programs[i] = NULL;
	}
	events_bpf__destroy(s->skel);
	s->skel = NULL;
}

/* The programs of these types, loaded and attached. */
/* The map of another plane in place of an own one; fd -1: that plane is off. */
static int share(struct bpf_map *map, int fd)
{
	return fd < 0 ? 0 : bpf_map__reuse_fd(map, fd);
}

static int load(struct nt_events *s, uint32_t types)
{
	int err;

	s->skel = events_bpf__open();
	if (!s->skel)
		return -errno;
	name_pidns(s->skel);
	s->skel->bss->some_spaces = s->confined;
	err = share(s->skel->maps.waits, s->waits_fd);
	if (!err)
		err = share(s->skel->maps.sends, s->sends_fd);
	if (err) {
		unload(s);
		return err;
	}
	for (int i = 0; i < EV_PROGRAMS; i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(s->skel->obj, nt_ev_programs[i].name);
		bool wanted = nt_ev_programs[i].types & types && fits(&s->kernel, i);

		bpf_program__set_autoload(program, wanted);
		if (wanted)
			s->programs[i] = program;
	}
	err = events_bpf__load(s->skel);
	for (int i = 0; i < EV_PROGRAMS && !err; i++) {
		if (!s->programs[i])
			continue;
		s->links[i] = bpf_program__attach(s->programs[i]);
		if (!s->links[i])
			err = -errno;
	}
	if (err)
		unload(s);
	return err;
}

/* All types that this kernel has; where one is refused, those that are not. Returns them. */
static int load_most(struct nt_events *s)
{
	uint32_t all = 0, good = 0;
	int err;

	for (int i = 0; i < EV_PROGRAMS; i++)
		if (fits(&s->kernel, i))
			all |= nt_ev_programs[i].types;
	if (!all)
		return -ENOENT;
	err = load(s, all);
	if (!err)
		return (int)all;
	if (err == -EPERM)
		return err;
	for (int i = 0; i < EV_PROGRAMS; i++) {
		uint32_t types = nt_ev_programs[i].types;

		if (types & good || !fits(&s->kernel, i) || load(s, types))
			continue;
		good |= types;
		unload(s);
	}
	if (!good)
		return err;
	err = load(s, good);
	return err ? err : (int)good;
}

static int make_room(struct nt_events *s)
{
	s->n_cpus = nt_bpf_cpus();
	if (s->n_cpus <= 0)
		return -EIO;
	s->cpus = calloc((size_t)s->n_cpus, sizeof(*s->cpus));
	s->per_cpu = calloc((size_t)s->n_cpus, sizeof(*s->per_cpu));
	s->drop_keys = calloc(NT_EV_DROPS, sizeof(*s->drop_keys));
	s->drops = calloc(NT_EV_DROPS, sizeof(*s->drops));
	return s->cpus && s->per_cpu && s->drop_keys && s->drops ? 0 : -ENOMEM;
}

/* Names the types that are missing. */
static void say_missing(int types, char *why, uint32_t n)
{
	uint32_t used = 0;

	*why = 0;
	for (int i = 0; i < NT_EV_TYPES; i++)
		if (!(types >> i & 1) && used < n)
			used += (uint32_t)snprintf(
				why + used, n - used, "%s%s",
				used ? ", " : "this kernel does not report: ", type_words[i]);
}

int nt_events_open(struct nt_wait *waits, struct nt_stages *stages, int confined,
		   struct nt_events **ret, char *why, uint32_t n_why)
{
	struct nt_events *s = calloc(1, sizeof(*s));
	int err;

	*ret = NULL;
	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	nt_bpf_quiet();
	s->confined = confined != 0;
	s->waits_fd = waits ? nt_wait_records_fd(waits) : -1;
	s->sends_fd = stages ? nt_stages_records_fd(stages) : -1;
	err = make_room(s);
	if (!err)
		err = nt_ev_kernel(&s->kernel);
	if (!err)
		err = load_most(s);
	if (err > 0) {
		s->ring = ring_buffer__new(bpf_map__fd(s->skel->maps.records), nt_ev_take, s, NULL);
		if (!s->ring)
			err = -errno;
	}
	if (err < 0) {
		nt_bpf_reason(err, "the events plane (BTF tracepoints)", why, n_why);
		nt_events_close(s);
		return err;
	}
	say_missing(err, why, n_why);
	s->begun_ns = nt_clock_ns(CLOCK_MONOTONIC);
	*ret = s;
	return err;
}

int nt_events_programs(struct nt_events *s, struct nt_prog *ret, uint32_t max)
{
	return nt_bpf_programs(s->skel->obj, ret, max);
}

void nt_events_close(struct nt_events *s)
{
	if (!s)
		return;
	ring_buffer__free(s->ring);
	unload(s);
	nt_ev_kernel_free(&s->kernel);
	free(s->records.v);
	free(s->drops);
	free(s->drop_keys);
	free(s->per_cpu);
	free(s->cpus);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int nt_events_limit(struct nt_events *s, uint32_t per_s)
{
	if (!per_s)
		return -EINVAL;
	s->skel->data->gap_ns = 1000000000ULL / per_s;
	return 0;
}

int nt_events_spaces(struct nt_events *s, const uint32_t *netns, uint32_t n)
{
	pthread_mutex_lock(&s->lock);
	int err = nt_bpf_spaces(bpf_map__fd(s->skel->maps.spaces), netns, n);

	if (!err)
		s->skel->bss->some_spaces = n > 0;
	pthread_mutex_unlock(&s->lock);
	return err;
}

#endif
