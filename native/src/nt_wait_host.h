/* SPDX-License-Identifier: MIT */
/* The wait plane's host; only built with NT_WITH_BPF. */
#ifndef NT_WAIT_HOST_H
#define NT_WAIT_HOST_H

#include <stdbool.h>

#include "nt_hist.h"
#include "nt_planes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../bpf/nt_wait.h"
#include "wait.skel.h"

#define SAMPLE_SHIFT_MAX 16

/* Counters of a socket at the end of the interval before. */
struct base {
	uint64_t cookie; /* 0: empty */
	uint64_t sum_ns;
	uint32_t count, bounded, approx;
	uint32_t octaves[NT_OCTAVES];
};

/* Open addressing by cookie. */
struct bases {
	struct base *v;
	uint32_t mask, live;
};

struct focus {
	uint64_t cookie;
	bool read;	 /* ... at least once */
	bool whole;	 /* it was here all through the interval */
	uint64_t max_ns; /* of the interval */
	uint32_t now[NT_FINE], last[NT_FINE], start[NT_FINE];
};

/* Early data of one port at the end of the interval before. */
struct port {
	struct nt_accept_key key;
	struct nt_accept now, last;
	struct nt_dist dist; /* of the interval */
	uint32_t octaves[NT_OCTAVES];
};

struct nt_wait {
	pthread_mutex_t lock;
	struct port *ports;
	uint32_t n_ports, active_ports;
	struct wait_bpf *skel;
	int n_cpus;
	struct bases bases;
	struct focus *focus[NT_FOCUS_MAX];
	uint32_t n_focus, focus_full;
	struct nt_wait_cpu *cpus; /* one per possible CPU */
	uint64_t now[NT_FINE], last[NT_FINE], start[NT_FINE];
	uint64_t now_sum, last_sum, start_sum, max_ns, run_max_ns;
	uint8_t *buf;
	uint32_t n_buf, buf_cap;
	bool probe, exact; /* the method */
	bool partial;	   /* it did not trace every socket all the time */
	uint32_t reads;
	uint64_t read_ns; /* CLOCK_MONOTONIC of the last read */
};

static inline uint64_t nt_wait_mix(uint64_t cookie)
{
	return cookie * 0x9e3779b97f4a7c15ULL;
}

/* nt_wait_read.c: a table of n slots with the bases of sockets that the engine knows; NULL: all. */
int nt_wait_rehash(struct bases *b, uint32_t n, const struct nt_engine *keep);

#endif
