// SPDX-License-Identifier: MIT
/* The path plane's host: loads its hooks, keeps stamping on, and reads the histograms. */
#include "nt_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef NT_WITH_BPF

int nt_path_open(int stamp, struct nt_path **ret, char *why, uint32_t n_why)
{
	(void)stamp;
	*ret = NULL;
	snprintf(why, n_why, "nettop was built without BPF");
	return -ENOTSUP;
}

void nt_path_close(struct nt_path *p)
{
	(void)p;
}

int nt_path_read(struct nt_path *p)
{
	(void)p;
	return -ENOTSUP;
}

int nt_path_buckets(struct nt_path *p, uint32_t hook, int run, uint64_t *buckets,
		    struct nt_dist *dist)
{
	(void)p, (void)hook, (void)run, (void)buckets, (void)dist;
	return -ENOTSUP;
}

int nt_path_counts(struct nt_path *p, uint32_t hook, struct nt_path_counts *ret)
{
	(void)p, (void)hook, (void)ret;
	return -ENOTSUP;
}

void nt_path_clear(struct nt_path *p)
{
	(void)p;
}

#else

#include <bpf/bpf.h>
#include <linux/types.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/nt_path.h"
#include "nt_bpf.h"
#include "nt_stamps.h"
#include "path.skel.h"

enum { RX_SOFTWARE = 8, SOFTWARE = 16 }; /* SOF_TIMESTAMPING_* */

static const struct {
	const char *program;
	enum nt_path_hook hook;
} PROGRAMS[] = {
	{ "path_ip", NT_PATH_IP },
	{ "path_ip6", NT_PATH_IP },
	{ "path_tcp", NT_PATH_TCP },
	{ "path_tcp6", NT_PATH_TCP },
	{ "path_udp", NT_PATH_UDP },
	{ "path_udp6", NT_PATH_UDP },
	{ "path_tcp_queue", NT_PATH_TCP_QUEUED },
	{ "path_udp_queue", NT_PATH_UDP_QUEUED },
	{ "path_tcp_read", NT_PATH_TCP_READ },
	{ "path_udp_read", NT_PATH_UDP_READ },
};

enum { N_PROGRAMS = sizeof(PROGRAMS) / sizeof(PROGRAMS[0]) };

/* One hook over all CPUs: what the kernel has, what it had at the last read and when the run began. */
struct sums {
	uint64_t now[NT_FINE], last[NT_FINE], start[NT_FINE];
	uint64_t now_sum, last_sum, start_sum;
	uint64_t max_ns, run_max_ns;
	struct nt_path_counts counts;
};

struct nt_path {
	struct path_bpf *skel;
	struct bpf_link *links[N_PROGRAMS];
	int socket; /* whose wish for stamps keeps them on */
	int n_cpus;
	struct nt_path_cpu *cpus;
	struct sums hooks[NT_PATH_HOOKS];
};

static void unload(struct nt_path *p)
{
	for (int i = 0; i < N_PROGRAMS; i++) {
		bpf_link__destroy(p->links[i]);
		p->links[i] = NULL;
	}
	path_bpf__destroy(p->skel);
	p->skel = NULL;
}

/* Loads and attaches these programs (bits); all or none. */
static int load(struct nt_path *p, uint32_t wanted)
{
	struct bpf_program *programs[N_PROGRAMS];
	int err;

	p->skel = path_bpf__open();
	if (!p->skel)
		return -errno;
	for (int i = 0; i < N_PROGRAMS; i++) {
		programs[i] = bpf_object__find_program_by_name(p->skel->obj, PROGRAMS[i].program);
		bpf_program__set_autoload(programs[i], wanted >> i & 1);
	}
	err = path_bpf__load(p->skel);
	for (int i = 0; i < N_PROGRAMS && !err; i++) {
		if (!(wanted >> i & 1))
			continue;
		p->links[i] = bpf_program__attach(programs[i]);
		if (!p->links[i])
			err = -errno;
	}
	if (err)
		unload(p);
	return err;
}

/* All programs, or those that load one by one. Returns them as bits, or -errno. */
static int load_most(struct nt_path *p)
{
	const uint32_t all = (1U << N_PROGRAMS) - 1;
	uint32_t good = 0;
	int err = load(p, all), one;

	if (!err)
		return (int)all;
	for (int i = 0; i < N_PROGRAMS; i++) {
		one = load(p, 1U << i);
		if (one)
			continue;
		unload(p);
		good |= 1U << i;
	}
	if (!good)
		return err;
	err = load(p, good);
	return err ? err : (int)good;
}

static void tell_offset(struct nt_path *p)
{
	struct timespec tai, real;

	clock_gettime(CLOCK_TAI, &tai);
	clock_gettime(CLOCK_REALTIME, &real);
	/* Whole seconds: the two calls are some ns apart. */
	int64_t ns = (tai.tv_sec - real.tv_sec) * 1000000000LL + tai.tv_nsec - real.tv_nsec;

	p->skel->bss->tai_minus_realtime_ns = (ns + 500000000LL) / 1000000000LL * 1000000000LL;
}

static int stamp_all(struct nt_path *p)
{
	int flags = RX_SOFTWARE | SOFTWARE;

	p->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p->socket < 0 ||
	    setsockopt(p->socket, SOL_SOCKET, NT_SO_TIMESTAMPING_OLD, &flags, sizeof(flags)))
		return -errno;
	return 0;
}

int nt_path_open(int stamp, struct nt_path **ret, char *why, uint32_t n_why)
{
	struct nt_path *p = calloc(1, sizeof(*p));
	int err = -ENOMEM, good;
	uint32_t hooks = 0;

	*ret = NULL;
	if (!p)
		return err;
	p->socket = -1;
	p->n_cpus = nt_bpf_cpus();
	nt_bpf_quiet();
	if (p->n_cpus > 0)
		p->cpus = calloc((size_t)p->n_cpus, sizeof(*p->cpus));
	good = p->cpus ? load_most(p) : err;
	if (good > 0) {
		tell_offset(p);
		err = stamp ? stamp_all(p) : 0;
	} else {
		err = good;
	}
	if (err) {
		if (err == -EPERM && !geteuid())
			snprintf(why, n_why, "this kernel refuses fentry programs (lockdown)");
		else
			nt_bpf_reason(err, "the path plane (fentry, Linux 6.1)", why, n_why);
		nt_path_close(p);
		return err;
	}
	for (int i = 0; i < N_PROGRAMS; i++)
		if (good >> i & 1)
			hooks |= 1U << PROGRAMS[i].hook;
	*ret = p;
	return (int)hooks;
}

void nt_path_close(struct nt_path *p)
{
	if (!p)
		return;
	unload(p);
	if (p->socket >= 0)
		close(p->socket);
	free(p->cpus);
	free(p);
}

int nt_path_read(struct nt_path *p)
{
	uint32_t closing = p->skel->data->epoch, slot = closing & 1;

	tell_offset(p);
	p->skel->data->epoch = closing + 1;
	for (uint32_t hook = 0; hook < NT_PATH_HOOKS; hook++) {
		struct sums *s = &p->hooks[hook];

		if (bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.hooks), &hook, p->cpus))
			return -errno;
		memcpy(s->last, s->now, sizeof(s->last));
		s->last_sum = s->now_sum;
		memset(s->now, 0, sizeof(s->now));
		s->now_sum = s->max_ns = 0;
		s->counts = (struct nt_path_counts){ 0 };
		for (int i = 0; i < p->n_cpus; i++) {
			const struct nt_path_cpu *c = &p->cpus[i];

			for (int b = 0; b < (int)NT_FINE; b++)
				s->now[b] += c->buckets[b];
			s->now_sum += c->sum_ns;
			s->counts.unstamped += c->unstamped;
			s->counts.foreign += c->foreign;
			s->counts.impossible += c->impossible;
			s->counts.head_of_line += c->head_of_line;
			if (c->epoch[slot] >= closing && c->max_ns[slot] > s->max_ns)
				s->max_ns = c->max_ns[slot];
		}
		if (s->max_ns > s->run_max_ns)
			s->run_max_ns = s->max_ns;
	}
	return 0;
}

int nt_path_buckets(struct nt_path *p, uint32_t hook, int run, uint64_t *buckets,
		    struct nt_dist *dist)
{
	if (hook >= NT_PATH_HOOKS)
		return -EINVAL;
	const struct sums *s = &p->hooks[hook];
	const uint64_t *base = run ? s->start : s->last;

	for (int b = 0; b < (int)NT_FINE; b++)
		buckets[b] = s->now[b] - base[b];
	memset(dist, 0, sizeof(*dist));
	dist->sum_ns = s->now_sum - (run ? s->start_sum : s->last_sum);
	dist->max_ns = run ? s->run_max_ns : s->max_ns;
	return nt_dist_of(buckets, NT_FINE, 1, dist);
}

int nt_path_counts(struct nt_path *p, uint32_t hook, struct nt_path_counts *ret)
{
	if (hook >= NT_PATH_HOOKS)
		return -EINVAL;
	*ret = p->hooks[hook].counts;
	return 0;
}

void nt_path_clear(struct nt_path *p)
{
	for (int hook = 0; hook < NT_PATH_HOOKS; hook++) {
		struct sums *s = &p->hooks[hook];

		memcpy(s->start, s->now, sizeof(s->start));
		s->start_sum = s->now_sum;
		s->run_max_ns = 0;
	}
}

#endif
