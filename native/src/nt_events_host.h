/* SPDX-License-Identifier: MIT */
/* The events plane's host; only built with NT_WITH_BPF. */
#ifndef NT_EVENTS_HOST_H
#define NT_EVENTS_HOST_H

#include <pthread.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "../bpf/nt_events.h"
#include "events.skel.h"
#include "nt_engine.h"

#define KEPT 1024U /* a power of two */
#define KEPT_CLOSED 4096U
#define EV_PROGRAMS 12

/* Values of the kernel's enums and their names. */
struct ev_names {
	struct ev_name {
		uint32_t value;
		char *name;
	} * v;
	uint32_t n;
};

/* What the kernel's own description says that the programs need. */
struct ev_kernel {
	int args[EV_PROGRAMS]; /* of the program's tracepoint, -1: not there */
	struct ev_names drops, resets;
};

struct ev_reason {
	struct nt_drop_reason out;
	enum nt_drop_cause cause;
	uint64_t now;
};

struct nt_events {
	pthread_mutex_t lock;
	struct events_bpf *skel;
	struct ring_buffer *ring;
	struct ev_kernel kernel;
	struct bpf_program *programs[EV_PROGRAMS]; /* NULL: not loaded */
	struct bpf_link *links[EV_PROGRAMS];
	int n_cpus;
	struct nt_ev_cpu *cpus;
	uint64_t *per_cpu;
	int waits_fd, sends_fd;		    /* maps of the other planes; -1: none */
	struct nt_engine *engine;	    /* while records are taken */
	uint64_t seq;			    /* of the newest event */
	struct nt_event *kept[NT_EV_TYPES]; /* by arrival, KEPT of each; of CLOSED none */
	struct nt_closed *closed;
	uint64_t count[NT_EV_TYPES]; /* ever kept */
	struct nt_ev_drop_key *drop_keys;
	struct nt_drop *drops; /* of the interval, most first */
	uint32_t n_drops;
	struct ev_reason reasons[NT_EV_REASONS];
	uint32_t n_reasons;
};

struct ev_program {
	const char *name, *tracepoint;
	int args; /* that it reads */
	uint32_t types;
};

/* nt_events.c */
extern const struct ev_program nt_ev_programs[EV_PROGRAMS];
/* nt_events_names.c: reads the kernel's BTF. */
int nt_ev_kernel(struct ev_kernel *ret);
void nt_ev_kernel_free(struct ev_kernel *k);

#endif
