/* SPDX-License-Identifier: MIT */
/* What the engine keeps of events from one interval to the next; no BPF is needed for it. */
#ifndef NT_EVENTS_STATE_H
#define NT_EVENTS_STATE_H

#include "nt_engine.h"

#define NT_EV_KEPT 4096U  /* of a type; a power of two, the kernel records 1000 a second of it */
#define NT_EV_EACH 32U	  /* events that are remembered of a socket */
#define NT_EV_ENDS 1024U  /* packets of an interval whose socket is looked for: a scan has no end */
#define NT_EV_NAMES 1024U /* reasons whose names are known */
#define NT_EV_PLACES 65536U /* drops of an interval; the kernel has fewer places for them */

/* Reasons with their names as the kernel that ran then calls them. */
struct nt_ev_names {
	struct nt_reason v[NT_EV_NAMES];
	uint32_t n;
};

struct nt_ev_memory; /* nt_events_memory.c */

struct nt_event_log {
	struct nt_events_head head; /* of the last read; overrun is counted here */
	uint64_t at_ns;
	uint64_t seq;			    /* of the newest event */
	struct nt_event *kept[NT_EV_TYPES]; /* by arrival, NT_EV_KEPT of each; of CLOSED none */
	struct nt_closed *closed;
	uint64_t count[NT_EV_TYPES]; /* ever kept */
	uint64_t begun[NT_EV_TYPES]; /* of these, before this interval */
	struct nt_ev_memory *memory;
	uint64_t gap_ns;       /* when the kernel last left records out; 0: never */
	struct nt_drop *drops; /* of the interval, most first */
	uint32_t n_drops;
	/* Of packets that were dropped before their socket was looked for, in the interval. */
	struct nt_dropped early[NT_EV_ENDS];
	uint32_t n_early;
	struct nt_ev_names drop_reasons, reset_reasons;
};

/* nt_events_apply.c; the engine's lock is held. */
int nt_events_apply(struct nt_engine *e, const struct nt_section *head, const uint8_t *body);
void nt_events_free(struct nt_event_log *log);

/* nt_events_ends.c: the cookie of the TCP socket that has the ends of each packet; 0: none. */
void nt_ev_find_sockets(const struct nt_engine *e, const struct nt_event *const *packets,
			uint32_t n, uint64_t *cookies);

/* nt_events_memory.c; the engine's lock is held. */
struct nt_ev_memory *nt_ev_memory_new(uint64_t since_ns);
struct nt_ev_memory *nt_ev_memory_copy(const struct nt_ev_memory *m);
void nt_ev_memory_free(struct nt_ev_memory *m);
void nt_ev_remember(struct nt_ev_memory *m, const struct nt_event *e);
/* Events of a socket, oldest first, those of a type that came before upto[type]; how many. */
uint32_t nt_ev_recall(struct nt_ev_memory *m, uint64_t cookie, const uint64_t *upto, uint32_t types,
		      uint64_t after, struct nt_event *ret, uint32_t max);

#endif
