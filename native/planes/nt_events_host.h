/* SPDX-License-Identifier: MIT */
/* The events plane's host; only built with NT_WITH_BPF. */
#ifndef NT_EVENTS_HOST_H
#define NT_EVENTS_HOST_H

#include <pthread.h>
#include <stdbool.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "../bpf/nt_events.h"
#include "events.skel.h"
#include "nt_engine.h"
#include "nt_sections.h"

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

/* Reasons that were seen so far. */
struct ev_seen {
	struct nt_reason v[NT_EV_REASONS];
	uint32_t n;
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
	int waits_fd, sends_fd;	    /* maps of the other planes; -1: none */
	bool confined;		    /* from the start: of no namespace */
	uint64_t begun_ns;	    /* the interval that runs */
	struct nt_sections records; /* taken by the read, as they are handed over */
	uint64_t seq;		    /* of the newest record */
	uint32_t reads;
	struct nt_events_totals totals; /* at the last read */
	struct nt_ev_drop_key *drop_keys;
	struct nt_drop *drops; /* of the interval */
	uint32_t n_drops;
	struct ev_seen dropped, reset;
};

struct ev_program {
	const char *name, *tracepoint;
	int args; /* that it reads */
	uint32_t types;
};

/* nt_events.c */
extern const struct ev_program nt_ev_programs[EV_PROGRAMS];
/* nt_events_read.c: takes one record of the ring. */
int nt_ev_take(void *ctx, void *data, size_t size);
/* nt_events_names.c: reads the kernel's BTF. */
int nt_ev_kernel(struct ev_kernel *ret);
void nt_ev_kernel_free(struct ev_kernel *k);
/* The kernel's name; of what has none ret stays as it is. */
void nt_ev_name(const struct ev_names *names, uint32_t value, char *ret, size_t n);

#endif
