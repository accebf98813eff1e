/* SPDX-License-Identifier: MIT */
/* A socket at rest: it moved nothing for a while, and nothing is wrong with it. */
#ifndef NT_REST_H
#define NT_REST_H

#include <stdbool.h>
#include <stdint.h>

#include "nt_wire.h"

/*
 * What of struct nt_rec is not 0, or given by the rest, while a socket rests. Members mean what
 * they mean there; the narrow ones hold what fits them, and a socket with more is not at rest.
 */
struct nt_rest {
	uint64_t cookie;
	uint64_t base_ns;
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint8_t src[16], dst[16];
	uint32_t netns, uid, inode;
	uint32_t cgroup_id;
	uint32_t rtt_us, rttvar_us, min_rtt_us;
	uint32_t bytes_retrans;
	uint32_t busy_ms;
	uint32_t segs_out, segs_in;
	uint32_t first_seen_s, state_since_s;
	uint32_t detail, plane;
	uint32_t taken_at_ms;
	uint16_t lim_age_ms, loss_age_ms; /* *_at_ms before taken_at_ms */
	uint16_t sport, dport, ifindex, wqueue, snd_cwnd, flags;
	uint16_t rwnd_limited_ms, sndbuf_limited_ms, total_retrans;
	uint8_t proto : 2, v6 : 1, state : 5;
	uint8_t timer : 4, ca_state : 4;
	uint8_t cong_id;
	int8_t acked_more; /* bytes_acked less bytes_sent: SYN and FIN count as bytes */
	uint8_t dsack_dups, reordered, out_of_order, total_rto, drops;
};

_Static_assert(sizeof(struct nt_rest) <= 160, "what one more socket at rest costs");

/* Forgets what no rule asks for any more: it has ended, or is too old. */
void nt_rest_forget(struct nt_rec *rec, uint64_t now_ms);
/* False: the socket is not at rest, and *ret stays as it is. */
bool nt_rest_fold(const struct nt_rec *rec, struct nt_rest *ret);
/* The same where only what nt_still() leaves open may have changed since it was unfolded. */
bool nt_rest_touch(const struct nt_rec *rec, struct nt_rest *ret);
void nt_rest_unfold(const struct nt_rest *rest, struct nt_rec *ret);

#endif
