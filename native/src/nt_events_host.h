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

#define KEPT 4096U     /* a power of two; the kernel records 1000 a second of a type */
#define NT_EV_EACH 32U /* events that are remembered of a socket */
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

struct memory; /* nt_events_memory.c */

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
	bool confined;			    /* from the start: of no namespace */
	struct nt_engine *engine;	    /* while records are taken */
	uint64_t seq;			    /* of the newest event */
	struct nt_event *kept[NT_EV_TYPES]; /* by arrival, KEPT of each; of CLOSED none */
	struct nt_closed *closed;
	uint64_t count[NT_EV_TYPES];   /* ever kept */
	uint64_t begun[NT_EV_TYPES];   /* of these, before this interval */
	uint64_t overrun[NT_EV_TYPES]; /* gave way to others of their interval, so far */
	struct memory *memory;
	uint64_t missing; /* records that the kernel left out or lost, so far */
	uint64_t gap_ns;  /* when that last grew */
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
/* nt_events_memory.c; under the lock */
int nt_ev_memory_open(struct nt_events *s);
void nt_ev_remember(struct nt_events *s, const struct nt_event *e);
/* Events of a socket, oldest first, those of a type that came before upto[type]; how many. */
uint32_t nt_ev_recall(const struct nt_events *s, uint64_t cookie, const uint64_t *upto,
		      uint32_t types, uint64_t after, struct nt_event *ret, uint32_t max);
/* nt_events_names.c: reads the kernel's BTF. */
int nt_ev_kernel(struct ev_kernel *ret);
void nt_ev_kernel_free(struct ev_kernel *k);

#endif
