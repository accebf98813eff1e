/* SPDX-License-Identifier: GPL-2.0 */
/* What the events programs and the helper share; nt_plane_events.cdef.h, included before, has the records. */
#ifndef NT_EVENTS_SHARED_H
#define NT_EVENTS_SHARED_H

#define NT_EV_RING_BYTES (2U << 20)
#define NT_EV_PER_S 1000U /* records of each type, sustained and at once */
#define NT_EV_DROPS 4096U /* (socket, reason) pairs of one interval */
#define NT_EV_REASONS 512U
#define NT_EV_SPACES 4096U /* network namespaces */

/* A TCP socket from its birth, or from the first event that reported its end. */
struct nt_ev_sock {
	__u64 born_ns;
	__u32 pid;   /* of the process that last connected, listened, or closed */
	__u16 flags; /* enum nt_event_flag */
	__u16 pad;
	__u32 total_retrans; /* at the last look */
	char comm[16];
};

struct nt_ev_drop_key {
	__u64 cookie;
	__u32 reason;
	__u32 netns;
};

/* Counters on this CPU. */
struct nt_ev_cpu {
	__u64 seen[NT_EV_TYPES], suppressed[NT_EV_TYPES], lost[NT_EV_TYPES];
	__u64 segs_retrans, failed;
	__u64 unplaced, unreasoned, no_storage;
	__u64 runs;
};

_Static_assert(sizeof(struct nt_closed) <= 512, "a close record is at most 512 bytes");

#endif
