// SPDX-License-Identifier: MIT
/* The path plane's host: loads its hooks, keeps stamping on, and hands the engine what they counted. */
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

int nt_path_read(struct nt_path *p, struct nt_engine *e)
{
	(void)p, (void)e;
	return -ENOTSUP;
}

#else

#include <bpf/bpf.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "nt_bpf.h"
#include "nt_path_state.h"
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

struct nt_path {
	struct path_bpf *skel;
	struct bpf_link *links[N_PROGRAMS];
	int socket; /* whose wish for stamps keeps them on */
	int n_cpus;
	struct nt_path_cpu *cpus;
	uint32_t hooks; /* that loaded, as bits */
	uint32_t reads;
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
			snprintf(why, n_why, "fentry programs are refused here");
		else
			nt_bpf_reason(err, "the path plane (fentry, Linux 6.1)", why, n_why);
		nt_path_close(p);
		return err;
	}
	for (int i = 0; i < N_PROGRAMS; i++)
		if (good >> i & 1)
			p->hooks |= 1U << PROGRAMS[i].hook;
	*ret = p;
	return (int)p->hooks;
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

int nt_path_read(struct nt_path *p, struct nt_engine *e)
{
	uint32_t closing = p->skel->data->epoch, slot = closing & 1;
	struct {
		struct nt_path_head head;
		uint64_t buckets[NT_FINE];
	} sum;

	tell_offset(p);
	p->skel->data->epoch = closing + 1;
	p->reads++;
	for (uint32_t hook = 0; hook < NT_PATH_HOOKS; hook++) {
		struct nt_section s = { .at_ns = nt_clock_ns(CLOCK_MONOTONIC),
					.kind = NT_S_PATH,
					.bytes = sizeof(sum),
					.arg = hook };

		if (!(p->hooks >> hook & 1))
			continue;
		if (bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.hooks), &hook, p->cpus))
			return -errno;
		memset(&sum, 0, sizeof(sum));
		sum.head.read = p->reads;
		for (int i = 0; i < p->n_cpus; i++) {
			const struct nt_path_cpu *c = &p->cpus[i];

			for (int b = 0; b < (int)NT_FINE; b++)
				sum.buckets[b] += c->buckets[b];
			sum.head.sum_ns += c->sum_ns;
			sum.head.counts.unstamped += c->unstamped;
			sum.head.counts.foreign += c->foreign;
			sum.head.counts.impossible += c->impossible;
			sum.head.counts.head_of_line += c->head_of_line;
			if (c->epoch[slot] >= closing && c->max_ns[slot] > sum.head.max_ns)
				sum.head.max_ns = c->max_ns[slot];
		}
		pthread_mutex_lock(&e->lock);
		nt_apply(e, &s, (const uint8_t *)&sum);
		pthread_mutex_unlock(&e->lock);
	}
	return 0;
}

#endif
