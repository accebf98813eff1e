/* SPDX-License-Identifier: MIT */
/* What the engine keeps of RX queue waits from one interval to the next; no BPF is needed for it. */
#ifndef NT_WAIT_STATE_H
#define NT_WAIT_STATE_H

#include <linux/bpf.h>
#include <stdbool.h>

#include "nt_engine.h"
#include "nt_hist.h"

#include "../bpf/nt_wait.h"

#include "../bpf/nt_split.h"

/* Which sockets were traced exactly, from the start. */
enum nt_wait_whole {
	NT_WAIT_NONE = 0,
	NT_WAIT_ALL = 1,
	NT_WAIT_HELD = 2 /* that a process holds */
};

/* Body of NT_S_WAIT; the fine buckets of all traced sockets follow it. Its time is the records'. */
struct nt_wait_head {
	uint64_t sum_ns;
	uint64_t max_ns;    /* of the interval */
	uint32_t read;	    /* of the plane, from 1 */
	uint32_t epoch;	    /* of the interval */
	uint32_t probe;	    /* by tcp_probe, which is approximate */
	uint32_t shift;	    /* 1 socket in 2^shift is traced */
	uint32_t complete;  /* enum nt_wait_whole */
	uint32_t datagrams; /* what UDP sockets moved is counted, both ways */
};

/* A record of NT_S_WAIT_FOCUS. */
struct nt_wait_focused {
	uint64_t cookie;
	uint32_t buckets[NT_FINE];
};

/* A record of NT_S_WAIT_PORTS. */
struct nt_wait_port {
	struct nt_accept_key key;
	struct nt_accept now;
};

/* A record of NT_S_WAIT_SPLITS: sums since the socket was chosen. */
struct nt_split_out {
	uint64_t cookie;
	uint64_t waiting_ns;
	uint64_t part_ns[NT_SPLIT_PARTS];
	uint32_t takes, others;
	uint32_t read; /* of the socket, from 1 */
	uint32_t tid;  /* of its holder, the thread that most of it waits for; 0: not known */
};

/* Counters of a socket at the end of the interval before. */
struct nt_wait_base {
	uint64_t cookie; /* 0: empty */
	uint64_t sum_ns;
	uint32_t count, bounded, approx;
	uint32_t rx_datagrams, tx_datagrams;
	uint64_t rx_bytes, tx_bytes;
	uint32_t octaves[NT_OCTAVES];
};

/* Open addressing by cookie. */
struct nt_wait_bases {
	struct nt_wait_base *v;
	uint32_t mask, live;
};

struct nt_wait_focus {
	uint64_t cookie;
	uint32_t read;	 /* the last that it was in */
	bool whole;	 /* it was in the one before too */
	uint64_t max_ns; /* of the interval */
	uint32_t now[NT_FINE], last[NT_FINE], start[NT_FINE];
};

/* Early data of one port at the end of the interval before. */
struct nt_wait_early {
	struct nt_accept_key key;
	struct nt_accept last;
	struct nt_dist dist; /* of the interval */
	uint32_t octaves[NT_OCTAVES];
	uint32_t listeners; /* at it */
};

struct nt_waits {
	struct nt_wait_bases bases;
	struct nt_wait_focus *focus[NT_FOCUS_MAX];
	uint32_t n_focus;
	struct nt_wait_early *ports;
	uint32_t n_ports, active_ports;
	uint64_t now[NT_FINE], last[NT_FINE], start[NT_FINE];
	uint64_t now_sum, last_sum, start_sum, max_ns, run_max_ns;
	struct nt_ws_out *late; /* of sockets that the table does not know yet */
	uint32_t n_late, late_cap;
	struct nt_split_out splits[NT_SPLIT_MOST]; /* of the last read that had any */
	uint32_t n_splits;
	struct nt_wait_head head; /* of the last read */
	uint64_t read_ns;
	bool marked; /* some records as not traced */
	bool whole;  /* every read of the plane was seen: what has no base begins at 0 */
};

/* nt_wait_apply.c; the engine's lock is held. */
int nt_wait_apply(struct nt_engine *e, const struct nt_section *head, const uint8_t *body);
/* nt_split_apply.c; the same. */
int nt_split_apply(struct nt_engine *e, const struct nt_section *head, const uint8_t *body);
/* After a sweep: sockets that the table now knows. */
void nt_wait_late(struct nt_engine *e);
void nt_waits_free(struct nt_waits *w);

#endif
