/* SPDX-License-Identifier: GPL-2.0 */
/* What the stages programs and the helper share. */
#ifndef NT_STAGES_SHARED_H
#define NT_STAGES_SHARED_H

#include "nt_hist.h"

/* enum nt_stage without the one that needs a NIC's stamps: user space knows the NIC's clock. */
enum nt_tx_part {
	NT_PART_COPY,
	NT_PART_SNDBUF,
	NT_PART_TCP,
	NT_PART_QDISC,
	NT_PART_ACK,
	NT_PART_TOTAL,
	NT_PARTS
};

#define NT_TX_RING 4 /* sends under way that a socket's record holds; further ones go to a map */
#define NT_TX_PENDING 16384
#define NT_TX_WANTED 4096
#define NT_TX_SEGMENTED 64    /* a UDP socket's sends with segments that are under way */
#define NT_TX_FINE 64	      /* sockets with fine buckets: 49 kB each */
#define NT_TX_SPACES 4096     /* network namespaces */
#define NT_TX_NIC_BYTES 65536 /* of the ring with NICs' stamps: some 1600 of them */

enum nt_tx_flag {
	NT_TX_OURS = 1,	    /* nettop set SK_BPF_CB_FLAGS and will clear it */
	NT_TX_FOREIGN = 2,  /* it was set before: another tool's, left as it is */
	NT_TX_SEGMENTS = 4, /* a UDP socket that has sent in segments */
};

/* This host dropped it, so that a stage would span the time until it was sent again. */
enum nt_tx_dropped {
	NT_TX_DROPPED_TCP = 1,	 /* before a device's queue had it */
	NT_TX_DROPPED_QDISC = 2, /* before a driver had it */
};

/* What nettop did with a socket, and the send that is being copied, under the socket's lock. */
struct nt_tx_mark {
	__u64 cookie;
	__u64 call_ns;	 /* its call was entered; 0 between sends */
	__u64 step_ns;	 /* the last look at it */
	__u64 sndbuf_ns; /* waited for space in the send buffer */
	__u64 left;	 /* bytes not copied yet at that look */
	__u32 write_seq; /* and where they were to go */
	__u32 flags;	 /* enum nt_tx_flag */
	__u32 sends;	 /* all sends since it was selected */
	__u8 copied;	 /* some bytes of the call */
	__u8 had_room;	 /* in the send buffer, at the last look */
	__u16 pad;
};

struct nt_tx_stage {
	__u64 sum_ns;
	__u64 max_ns[2]; /* of the socket's epoch[] */
	__u32 count;
	__u16 octaves[NT_OCTAVES]; /* modulo 2^16: only differences count */
	__u32 pad;
};

/* A stamped send that no ACK has covered yet. */
struct nt_tx_pending {
	__u64 call_ns; /* 0: not known */
	__u64 sndbuf_ns;
	__u64 copied_ns; /* 0: nothing here */
	__u64 sched_ns;
	__u64 first_ns, last_ns; /* departures by software's clock */
	__u16 departures;
	__u16 dropped; /* enum nt_tx_dropped */
	__u32 tskey;   /* sequence number of the last byte; 0 is legal */
	__u32 nth;     /* stamped send of its socket, from 1; by tracepoints its first device */
	__u32 merged;  /* of those before it */
};

struct nt_tx_key {
	__u64 cookie;
	__u32 tskey;
	__u32 pad;
};

/* What user space reads of a socket. */
struct nt_tx_rec {
	__u64 cookie;
	__u64 born_ns; /* distinguishes a record from its predecessor of the same cookie */
	__u32 epoch[2];
	__u32 touched; /* in this epoch, last */
	__u32 sampled; /* sends that were stamped */
	__u32 done;    /* of these, acknowledged */
	__u32 merged;  /* of these, joined by a later send: one key for both */
	__u32 lost;    /* of these, acknowledged without a stamp */
	__u32 resent;  /* departures beyond the first, of those done */
	struct nt_tx_stage stages[NT_PARTS];
};

/* One socket with stamped sends: with what the kernel adds, one slab object of 1 kB. */
struct nt_tx_sock {
	struct nt_tx_rec rec;
	__u32 spilled; /* sends in the map */
	__u32 pad;
	struct nt_tx_pending ring[NT_TX_RING];
};

/* One UDP socket, found by its cookie. */
struct nt_tx_datagrams {
	struct nt_tx_rec rec;
	/* Its sends with segments, in the order of the queue: address of the buffer, 0: has left. */
	__u64 whole[NT_TX_SEGMENTED];
	__u32 left[NT_TX_SEGMENTED];  /* segments that have not left */
	__u32 skip[NT_TX_SEGMENTED];  /* segments behind it of sends that found no place */
	__u16 kept[NT_TX_SEGMENTED];  /* segments that no queue dropped */
	__u16 ip_id[NT_TX_SEGMENTED]; /* IPv4: of its first segment; each has the next */
	__u32 first, next;
};

/* One stage of all sends on this CPU. */
struct nt_tx_cpu {
	__u64 sum_ns;
	__u64 max_ns[2];
	__u64 epoch[2];
	__u64 buckets[NT_FINE];
};

struct nt_tx_fine {
	__u32 buckets[NT_PARTS][NT_FINE];
};

/* A NIC's stamp of a send, by the NIC's own clock. */
struct nt_tx_nic {
	__u64 cookie;
	__u64 left_ns; /* software's last departure */
	__u64 hw_ns;
	__u32 ifindex;
	__u32 netns; /* inode */
};

/* Counters on this CPU. */
struct nt_tx_counts {
	__u64 runs;
	__u64 sampled, done, merged, lost, resent;
	__u64 full;	  /* stamped sends that found no place */
	__u64 nic_lost;	  /* NICs' stamps that found none, or whose send was forgotten */
	__u64 own_stamps; /* sends left alone: their program stamps them itself */
	__u64 no_storage; /* sockets that could not be traced: memory, or optmem's limit */
};

#endif
