/* SPDX-License-Identifier: MIT */
/* The wait plane's host; only built with NT_WITH_BPF. */
#ifndef NT_WAIT_HOST_H
#define NT_WAIT_HOST_H

#include <stdbool.h>

#include "nt_hist.h"
#include "nt_planes.h"
#include "nt_wait_state.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "wait.skel.h"

#define SAMPLE_SHIFT_MAX 16

struct buffer {
	uint8_t *v;
	uint32_t n, cap;
};

struct nt_wait {
	pthread_mutex_t lock;
	struct wait_bpf *skel;
	int n_cpus;
	struct nt_wait_cpu *cpus; /* one per possible CPU */
	uint64_t focus[NT_FOCUS_MAX];
	uint32_t n_focus, focus_full;
	struct buffer focused, ports; /* of the last read */
	struct nt_accept_key key;
	uint8_t *buf;
	uint32_t n_buf, buf_cap;
	bool probe, exact; /* the method */
	bool by_files;	   /* how the records are read */
	bool partial;	   /* it did not trace every socket all the time */
	uint32_t reads;
	int split_err; /* why waits cannot be split; 0: they can */
	bool splitting;
	struct {
		uint64_t cookie;
		uint32_t reads;
		uint32_t pid;	    /* of its holder; 0: not known */
		uint32_t stands_in; /* the thread that it begins with, for all of these; 0: none */
	} chosen[NT_SPLIT_MOST];
	uint32_t n_chosen;
};

static inline uint64_t nt_wait_mix(uint64_t cookie)
{
	return cookie * 0x9e3779b97f4a7c15ULL;
}

#endif
