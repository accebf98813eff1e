/* SPDX-License-Identifier: MIT */
/* What the rules of nt_verdict.c find in an interval, and what becomes of it (nt_settle.c). */
#ifndef NT_RULES_H
#define NT_RULES_H

#include "nt_engine.h"

/* A network that duplicated so long ago may do so still. */
#define NT_NETWORK_DUPLICATES_S 300
/* A route that changed is no news for the 300 s of min_rtt's window: the least of two steps is. */
#define NT_RTT_STEP_MS 20000U
#define NT_RTT_KEPT_MS (2 * NT_RTT_STEP_MS)
/* What this host dropped is remembered for 10 s, and for as long as the kernel backs off. */
#define NT_LOST_HERE_S 10
#define NT_LOST_HERE_BACKOFF 7
#define NT_LOST_HERE_MOST_S (NT_LOST_HERE_S + (1U << NT_LOST_HERE_BACKOFF))
/* Over what is usual: a wait of less is not unusual. */
#define NT_UNUSUAL_WAIT_NS 5000000ULL

/* The conditions of one interval: value and threshold of each that holds. */
struct nt_held {
	uint16_t mask;
	uint16_t spanning; /* the value itself covers more than two intervals */
	uint16_t unwell;
	float value[NT_V_COUNT];
	float over[NT_V_COUNT]; /* value / threshold */
	uint8_t who[NT_V_COUNT], because[NT_V_COUNT];
};

void nt_hold(struct nt_held *h, enum nt_verdict v, float value, float threshold, bool unwell);
/* A round trip of the last seconds that is far over its minimum, and no verdict, as a delayed ACK. */
bool nt_late_ack(const struct nt_config *c, const struct nt_rec *r, uint64_t now_ms);
/* nt_usual.c: what is far above the flow's own intervals before; it enters this one. */
/* delayable: the peer's delayed ACK may be all of it. */
void nt_hold_unusual_rtt(const struct nt_config *c, struct nt_rec *r, const struct nt_facts *f,
			 uint32_t now_ms, bool delayable, struct nt_held *h);
void nt_hold_unusual_times(struct nt_plane *p, struct nt_held *h);
/* There is no path then, and the other end says what it waits for. */
bool nt_within_host(const struct nt_rec *r);
/* Logarithms, 1024 to the octave; 0 of 0. */
uint32_t nt_log_of(uint64_t v);
uint64_t nt_unlog(uint32_t log);
/* nt_blame.c */
/* The program was ready, and waited for a CPU for half of waited_ns or more: then it is the CPU's. */
void nt_blame_cpu(const struct nt_rec *rec, const struct nt_facts *f, struct nt_held *h,
		  enum nt_verdict v, uint64_t waited_ns, uint32_t now_s);
/* ... of a queue that was full, which stood for all of the time. */
void nt_blame_cpu_full(const struct nt_rec *rec, const struct nt_facts *f, struct nt_held *h,
		       uint32_t now_s);
/* nt_peers.c: of a socket whose peer is slower than others of the same service. */
void nt_hold_slow(const struct nt_rec *r, const struct nt_facts *f, struct nt_held *h);
/* nt_cause.c */
/* Of a process that reads many sockets late, however few deliveries this one had. */
void nt_hold_late(const struct nt_config *c, const struct nt_plane *p, struct nt_held *h);
/*
 * What a cause explains is not held beside it: the verdict that names the cause takes its place, as
 * loud as it was, and as if it had held before.
 */
void nt_put_cause(struct nt_rec *rec, const struct nt_cause *c, struct nt_held *h);
/* Which of the conditions of the last intervals are verdicts of the socket, and how loud it is. */
void nt_choose(struct nt_rec *rec, struct nt_held *h, uint32_t now_s);

#endif
