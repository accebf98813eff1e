/* SPDX-License-Identifier: MIT */
/* What is remembered from tick to tick to count what sockets did. */
#ifndef NT_COUNT_H
#define NT_COUNT_H

#include "nt_engine.h"

#define NT_COUNT_OTHER 0U /* the series of what has none of its own */

/* A socket, as it was counted last. */
struct nt_member {
	uint64_t cookie;
	uint64_t bytes_sent, bytes_acked, bytes_received, bytes_retrans;
	uint32_t total_retrans, drops, busy_ms, rwnd_ms, sndbuf_ms;
	uint32_t lim_at_ms;
	uint32_t group; /* NT_NONE: it is not counted yet */
	uint32_t seq;	/* of the last tick that had it; 0: it ended */
	uint32_t pid;
	uint32_t owner; /* enum nt_owner */
	char comm[16];
	uint32_t waits;	  /* 1 + slot of its nt_member_waits; 0 none */
	uint8_t ended;	  /* in this tick: what comes next of it is another connection */
	uint8_t met_late; /* what it waited before it was met is not known */
};

/* All waits of a socket that were added. */
struct nt_member_waits {
	uint64_t sum_ns;
	uint32_t octaves[NT_OCTAVE_BUCKETS];
	uint32_t next_free; /* 1 + slot */
};

struct nt_members {
	struct nt_member *v;
	uint32_t n, cap;
	uint32_t *index, mask; /* open addressing: 1 + number; 0 empty */
	struct nt_member_waits *waits;
	uint32_t n_waits, waits_cap, free_waits; /* 1 + slot */
};

/* A key with its group. */
struct nt_named {
	struct nt_count_key key;
	uint32_t group, generation; /* NT_NONE: it has none yet */
	uint32_t asked;		    /* the tick that has it among the new ones */
};

struct nt_names {
	struct nt_named *v;
	uint32_t n, cap;
	uint32_t *index, mask;
};

/* A port that is listened at. */
struct nt_serving {
	uint64_t at; /* netns << 32 | port */
	uint64_t seen_ns;
};

struct nt_places {
	struct nt_serving *v; /* by `at` */
	uint32_t n, cap;
};

struct nt_counter_group {
	uint32_t generation, series;
	uint32_t ended_seq;  /* 0: there is one of this number */
	uint32_t next_ended; /* 1 + number */
};

/* A socket that waits for its key to be named. */
struct nt_pending {
	uint32_t at;	/* record of the engine */
	uint32_t named; /* number in nt_names */
};

struct nt_pendings {
	struct nt_pending *v;
	uint32_t n, cap;
};

/* What a series said of the tick before. */
struct nt_sums_before {
	uint64_t unread_ns;
	float accept_share;
	uint32_t sockets;
	uint8_t free; /* the number is no series' */
};

struct nt_counter {
	uint32_t by, seq;
	uint64_t now_ns;
	struct nt_engine *engine; /* of this tick */
	struct nt_members members;
	struct nt_names names;
	struct nt_places serving;
	bool new_service;
	struct nt_pendings sockets;
	struct nt_member *replaced; /* connections of which the tick has the next of the socket */
	uint32_t n_replaced, replaced_cap;

	struct nt_closed *closed;
	uint32_t *closed_named; /* number in nt_names; NT_NONE: it needs none */
	uint32_t n_closed, closed_cap, closed_named_cap;

	struct nt_count_key *new_keys;
	uint32_t *new_named; /* their numbers in nt_names */
	uint32_t n_new, new_cap, new_named_cap;

	struct nt_counter_group *known; /* beside groups */
	struct nt_count_group *groups;
	uint32_t n_groups, groups_cap, known_cap;
	uint32_t ended_first, ended_last; /* 1 + number: those that wait to be another's */
	struct nt_sums *sums;
	struct nt_sums_before *before; /* beside sums */
	uint32_t n_sums, sums_cap, before_cap, n_free;

	struct nt_count_sick *sick;
	uint32_t n_sick, sick_cap;
	struct nt_count_tick tick;
	int err;
};

/* Makes room for one more of *v; -ENOMEM: there is none, and all stays as it was. */
int nt_room_for_one(void **v, uint32_t n, uint32_t *cap, size_t size);

/* nt_count_one.c */
void nt_count_grow(struct nt_sums *s, enum nt_count which, uint64_t by);
uint64_t nt_risen(uint64_t now, uint64_t before); /* what falls was not sent by the kernel: 0 */
/* Whether counters say that a socket connected once more. */
bool nt_count_anew(const struct nt_member *m, const struct nt_rec *r);
/* Counters of a socket, since they were remembered. */
void nt_count_numbers(struct nt_count_group *g, struct nt_sums *s, struct nt_member *m,
		      const struct nt_rec *r);
/* What it did until now was counted, or is not to be. */
void nt_count_remember(struct nt_member *m, const struct nt_rec *r);
/* All that a tick has of a socket; the lock of the engine is held. */
void nt_count_one(struct nt_counter *c, struct nt_member *m, const struct nt_rec *r);

/* nt_count_names.c */
/* Of a socket whose holder is known. */
void nt_count_key_of(const struct nt_counter *c, const struct nt_rec *rec,
		     const struct nt_proc *proc, struct nt_count_key *ret);
/* Of a close, by what its event says. */
void nt_count_key_of_event(const struct nt_counter *c, const struct nt_event *ev,
			   struct nt_count_key *ret);
/* The number of a key, made if it is not there; NT_NONE: no memory. */
uint32_t nt_names_find(struct nt_names *n, const struct nt_count_key *key);
void nt_names_clear(struct nt_names *n);
void nt_names_free(struct nt_names *n);
/* Takes the listeners among the matched sockets of an engine; whether there are new ones. */
int nt_places_look(struct nt_places *p, const struct nt_engine *e, uint64_t now_ns, bool *new);

/* nt_count_members.c */
/* What was counted of a socket in this tick or the one before, or NULL. */
struct nt_member *nt_members_find(const struct nt_members *m, uint64_t cookie, uint32_t seq);
/* The same, made (zeroed but for cookie and seq) if it is not there; NULL: no memory. */
struct nt_member *nt_members_meet(struct nt_members *m, uint64_t cookie, uint32_t seq);
/* Room for a member's waits, made if it has none; NULL: no memory. */
struct nt_member_waits *nt_members_waits(struct nt_members *m, struct nt_member *of);
void nt_members_free(struct nt_members *m);

#endif
