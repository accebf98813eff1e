/* SPDX-License-Identifier: MIT */
/* What the engine keeps of stamped sends from one interval to the next; no BPF is needed for it. */
#ifndef NT_STAGES_STATE_H
#define NT_STAGES_STATE_H

#include <linux/types.h>
#include <stdbool.h>

#include "nt_engine.h"
#include "nt_hist.h"

#include "../bpf/nt_stages.h"

/*
 * Body of NT_S_STAGES; fine buckets of each part follow it, of every stamped send. Its time is
 * before that of any record of the interval that was not there when the interval before ended.
 */
struct nt_stages_head {
	uint32_t read;	 /* of the plane, from 1 */
	uint32_t epoch;	 /* of the interval */
	uint32_t method; /* enum nt_stages_method */
	uint32_t pad;
	uint64_t sum_ns[NT_PARTS];
	uint64_t max_ns[NT_PARTS]; /* of the interval */
};

/* A record of NT_S_STAGES_FINE. */
struct nt_stages_fine {
	uint64_t cookie;
	struct nt_tx_fine now;
};

/* Records as they were last read, by cookie: open addressing. */
struct nt_send_bases {
	struct nt_tx_rec **v;
	uint32_t mask, live;
};

/* Of two reads: at is the last one's, the other the one's before. */
struct nt_send_fine {
	uint64_t cookie;
	uint32_t read; /* the last that it was in */
	uint32_t at;
	bool whole; /* it was in the one before too */
	struct nt_tx_fine two[2], start;
	uint64_t max_ns[NT_PARTS]; /* of the interval */
	uint32_t nic_now[NT_FINE], nic_last[NT_FINE], nic_start[NT_FINE];
	uint64_t nic_max_ns; /* of the interval */
};

struct nt_send_total {
	uint32_t at; /* as above */
	uint64_t two[2][NT_FINE], start[NT_FINE];
	uint64_t now_sum, last_sum, start_sum, max_ns, run_max_ns;
};

struct nt_sends {
	struct nt_send_bases bases;
	struct nt_send_fine *fine[NT_TX_FINE];
	uint32_t n_fine;
	struct nt_send_total totals[NT_TX_STAGES];
	struct nt_tx_rec *late; /* of sockets that the table does not know yet */
	uint32_t n_late, late_cap;
	uint64_t *wanted; /* selected sockets that it does not know yet */
	uint32_t n_wanted, wanted_cap;
	struct nt_stages_head head; /* of the last read */
	uint64_t since_ns; /* every read since was seen: what was born later has counted from 0 */
	bool on;	   /* something is selected */
	bool blind;	   /* the beginning of the last interval was not seen */
};

/* nt_stages_bases.c */
/* A table of n slots; with keep the records of sockets that it does not know are forgotten. */
int nt_send_bases_rehash(struct nt_send_bases *b, uint32_t n, const struct nt_engine *keep);
void nt_send_bases_clear(struct nt_send_bases *b);
/* The record of the read before; *fresh, and zeroed, if there is none. NULL: no memory. */
struct nt_tx_rec *nt_send_base(struct nt_send_bases *b, const struct nt_tx_rec *now, bool *fresh);

/* nt_stages_apply.c; the engine's lock is held. */
int nt_stages_apply(struct nt_engine *e, const struct nt_section *head, const uint8_t *body);
/* After a sweep: sockets that the table now knows. */
void nt_stages_late(struct nt_engine *e);
void nt_sends_free(struct nt_sends *s);

#endif
