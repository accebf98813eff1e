/* SPDX-License-Identifier: GPL-2.0 */
/* What the wait programs and the helper share. */
#ifndef NT_WAIT_SHARED_H
#define NT_WAIT_SHARED_H

#include "nt_hist.h"

#define NT_RING 16U
#define NT_FOCUS_MAX 256
#define NT_FOCUS_BITS 8192U

#define NT_EARLY 0x8000U /* bit of nt_ws.merged: came before accept() */
#define NT_LISTENERS_MAX 1024
#define NT_WAIT_SPACES 4096 /* network namespaces */

#define NT_STANDING_NS 5000000 /* CoDel's target */

enum nt_ws_flag {
	NT_WS_UDP = 1,
	NT_WS_SEEDED = 2,  /* the oldest entry is older than it says */
	NT_WS_EARLY = 4,   /* some entries came before accept() */
	NT_WS_DRAINED = 8, /* UDP: all that is queued came later than the record */
};

/*
 * One socket: 440 bytes at most, which with the kernel's own parts take kmalloc-512
 * and kmalloc-192, 704 bytes of slab.
 */
struct nt_ws {
	__u64 cookie;
	__u64 sum_ns;
	__u64 max_ns[2]; /* of the epochs in epoch[] */
	union {
		__u64 last_ns;	/* UDP: the newest enqueue, noted or not */
		__u64 above_ns; /* TCP: as of UDP below */
	};
	__u32 flags;
	__u32 epoch[2];
	__u32 count;
	__u32 bounded;
	__u32 approx;
	__u32 newest;	 /* TCP: highest rcv_nxt that was noted; UDP: enqueues since it was empty */
	__u32 span_us;	 /* TCP: longest merged entry since the ring was empty */
	__u8 head, used; /* TCP */
	__u8 shift;	 /* UDP: one enqueue in 2^shift is noted */
	__u8 place; /* whether its namespace is traced: 2 × the round that asked, + 1: it is not */
	__u32 octaves[NT_OCTAVES];
	/* TCP: [head] … delivery times, the sequence after each, deliveries merged in each. */
	__u64 at_ns[NT_RING];
	union {
		__u32 seq[NT_RING];
		struct {		/* UDP */
			__u32 taken;	/* the datagrams before this number have been read */
			__u32 taken_at; /* when the last was, in 2^10 ns, modulo 2^32 */
			/* What the program moved, since the record was made. */
			__u64 rx_bytes, tx_bytes;
			__u32 rx_datagrams, tx_datagrams;
			/*
			 * Since then every datagram had waited for NT_STANDING_NS or longer when it
			 * was read, and the queue was never empty; 0: not so.
			 */
			__u64 udp_above_ns;
		};
	};
	__u16 merged[NT_RING];
	struct bpf_spin_lock lock; /* UDP only: readers and softirq meet; TCP has the socket's */
};

/* All but its lock, which a global function of BPF may not be given. */
struct nt_ws_rest {
	__u8 bytes[__builtin_offsetof(struct nt_ws, lock)];
};

_Static_assert(sizeof(struct nt_ws) <= 440, "a socket's record would take a larger slab");

/* One socket as the iterator reports it. */
struct nt_ws_out {
	__u64 cookie;
	__u64 sum_ns;
	__u64 max_ns;
	__u64 oldest_ns; /* when the oldest unread delivery came; 0 none */
	__u32 count;
	__u32 bounded;
	__u32 approx;
	__u32 oldest_bounded;
	__u32 octaves[NT_OCTAVES];
	/* Records of older recordings end here: NT_WS_OUT_BEFORE. */
	__u64 above_ns;		  /* since then all that was read had waited long; 0: not so */
	__u64 rx_bytes, tx_bytes; /* UDP */
	__u32 rx_datagrams, tx_datagrams;
	__u32 udp;
	__u32 pad;
};

#define NT_WS_OUT_BEFORE 176

/* Data that came before accept(), by the port that accepted it. */
struct nt_accept_key {
	__u32 netns; /* inode */
	__u16 port;
	__u16 family;
};

struct nt_accept {
	__u64 sum_ns;
	__u64 max_ns[2];
	__u32 epoch[2];
	__u32 octaves[NT_OCTAVES];
};

/* Everything on this CPU. */
struct nt_wait_cpu {
	__u64 runs;
	__u64 samples;
	__u64 sum_ns;
	__u64 max_ns[2];
	__u64 epoch[2];
	__u64 no_storage; /* sockets that could not be traced: memory, or optmem's limit */
	__u64 merges;	  /* deliveries that shared an entry: the ring was full */
	__u64 bounded;
	__u64 listeners_full; /* early data of ports that had no place */
	__u64 buckets[NT_FINE];
};

struct nt_wait_fine {
	__u32 buckets[NT_FINE];
};

#endif
