/* SPDX-License-Identifier: MIT */
/* The engine's inside: records, index, order and the dumps that fill them. */
#ifndef NT_ENGINE_H
#define NT_ENGINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "nt_api.h"
#include "nt_filter.h"
#include "nt_parse.h"
#include "nt_rest.h"
#include "nt_wire.h"

#define NT_SLAB_BITS 10
#define NT_SLAB_CELLS (1U << NT_SLAB_BITS)
#define NT_NONE UINT32_MAX
/* As the kernel has it while nothing was measured. */
#define NT_MIN_RTT_UNKNOWN UINT32_MAX

/* States of linux/tcp_states.h; the kernel's header clashes with netinet/tcp.h. */
enum {
	NT_TCP_ESTABLISHED = 1,
	NT_TCP_SYN_SENT = 2,
	NT_TCP_SYN_RECV = 3,
	NT_TCP_FIN_WAIT1 = 4,
	NT_TCP_FIN_WAIT2 = 5,
	NT_TCP_TIME_WAIT = 6,
	NT_TCP_CLOSE = 7,
	NT_TCP_CLOSE_WAIT = 8,
	NT_TCP_LAST_ACK = 9,
	NT_TCP_LISTEN = 10,
	NT_TCP_CLOSING = 11,
	NT_TCP_NEW_SYN_RECV = 12,
	NT_TCP_BOUND_INACTIVE = 13, /* asked for; it is CLOSE where it is listed */
};

/* nt_rec.timer: what the kernel's timer is for. */
enum { NT_TIMER_RETRANSMIT = 1, NT_TIMER_KEEPALIVE = 2, NT_TIMER_PROBE = 4 };

/* nt_table.mark[]: what order and removal need without touching the records. */
enum {
	NT_M_LIVE = 1,
	NT_M_MATCH = 2,
	NT_M_ORDERED = 4,
	NT_M_V6 = 8,	 /* an AF_INET6 socket */
	NT_M_FINAL = 16, /* it closed: its rates hold what was moved, until the sweep divides it */
};

/* Room for things of one size, which begin with a cookie, in slabs that never move. */
struct nt_cells {
	uint8_t **slabs;
	uint32_t n_slabs, size;
	uint32_t high;	    /* cells ever handed out */
	uint32_t free_head; /* chain of freed cells through their first word; NT_NONE ends it */
};

/* nt_table.place[] of a socket at rest: | number of its nt_rest; else that of its nt_rec. */
#define NT_PLACE_REST 0x80000000U

/* Records, found by cookie through an open-addressing index; those at rest are kept small. */
struct nt_table {
	struct nt_cells records, rests;
	uint32_t *place; /* by record number; of a freed one the next free one, NT_NONE ends it */
	uint32_t *index; /* 1 + record number; 0 empty */
	uint32_t index_mask;
	uint32_t live;
	uint32_t high;	    /* records ever handed out */
	uint32_t free_head; /* chain of freed record numbers */
	uint32_t *seen;	    /* number of the sweep that last saw the record */
	uint8_t *mark;
	uint32_t side_cap; /* allocated entries of place, seen and mark */
};

/* One line of the order: a key that grows downwards, ties broken by the record number. */
struct nt_key {
	uint64_t high;
	uint32_t low;
	uint32_t rec;
};

struct nt_keys {
	struct nt_key *v;
	uint32_t n, cap;
};

struct nt_details {
	struct nt_detail *v;
	uint32_t n, cap;
};

/* What the BPF planes know; freed slots are chained through tx_sends. */
struct nt_planes {
	struct nt_plane *v;
	uint32_t n, cap;
	uint32_t free_head; /* 1 + slot; 0 none */
};

/* Who holds sockets (nt_holders.h): records as they came, found by inode. */
struct nt_holders {
	struct nt_holder *v;
	uint32_t n, cap;
	uint32_t *index; /* open addressing: 1 + record; 0 empty */
	uint32_t mask;
	uint32_t *sharers; /* of v and index, which then stay as they are; NULL: own ones */
};

/* Why a socket's packets were dropped in an interval, as far as the events plane saw it. */
enum nt_drop_cause {
	NT_D_REFUSED, /* a filter, TTL, flags: not wanted, so no fault */
	NT_D_FULL,
	NT_D_CHECKSUM,
	NT_D_MEMORY,
	NT_D_HERE, /* own firewall, qdisc, device */
	NT_D_OTHER,
	NT_D_COUNT,
};

struct nt_dropped {
	uint64_t cookie;
	uint32_t by[NT_D_COUNT];
	uint32_t segs_here; /* those of NT_D_HERE on the wire, where one packet may be many */
};

struct nt_ns {
	uint32_t netns;
	int diag_fd;
	int lookup_fd;
	bool no_legacy; /* type-18 requests are refused: two type-20 dumps instead */
	uint64_t ask_again_ns[NT_PROTO_MPTCP + 1]; /* the kernel has no module to list it */
};

/* One dump of a sweep. */
struct nt_job {
	uint32_t ns; /* index into nt_engine.ns */
	uint8_t proto;
	uint8_t family; /* 0: the legacy request that covers both */
	uint8_t tries;
	bool sent, overrun;
	bool instead; /* of a legacy request that failed */
	uint32_t losses, truncated;
	uint32_t seq;
};

#define NT_CPU_WAITS 32
#define NT_CAUSES 256
#define NT_LATE 32
#define NT_SLOW 8

struct nt_engine {
	pthread_mutex_t lock; /* guards all below but the descriptors and the job list */
	struct nt_procs *procs;
	struct nt_config config;
	struct nt_table table;
	uint64_t start_ns;
	uint64_t now_ns;  /* of the section that was applied last */
	uint32_t roll_ms; /* of the running sweep */
	uint32_t sweep;
	struct nt_totals totals; /* of the running sweep */
	struct nt_totals last;
	struct nt_cpu_wait cpu_waits[NT_CPU_WAITS];
	uint32_t n_cpu_waits;
	struct nt_cause causes[NT_CAUSES]; /* by cookie */
	uint32_t late[NT_LATE];		   /* pids */
	uint32_t n_causes, n_late;
	struct nt_peer_key slow[NT_SLOW];
	uint32_t n_slow;
	struct nt_peers *peers;		 /* NULL: none was called or listened yet */
	double sent_per_s, resent_per_s; /* of the matched, for their common share */
	/* Of the running sweep, then of the last: absence from these proves nothing. */
	struct nt_failure *failures;
	uint32_t n_failures, failures_cap;
	bool failures_lost; /* there was no memory to note one: absence proves nothing at all */

	struct nt_op *ops;
	uint32_t n_ops;
	uint8_t *data;
	uint32_t n_data;
	bool filter_needs_proc, filter_has_states;

	struct nt_term sort_key;
	bool sort_descending;
	struct nt_keys order; /* what the screen shows */
	struct nt_keys next;  /* gathered by the running sweep */
	bool next_stale;      /* the sort key or the filter changed while it was gathered */
	bool next_whole;      /* it holds every matched socket */
	uint32_t exact;	      /* lines of the order from the top that are sorted */

	struct nt_planes planes;
	struct nt_holders holders;   /* by a recording, or for it: what was said last */
	struct nt_sections *answers; /* records of holders that no section has yet */
	struct nt_waits *waits;	     /* NULL: no waits were taken */
	struct nt_sends *sends;	     /* NULL: no stages were taken */
	struct nt_event_log *events; /* NULL: no events were taken */
	struct nt_paths *paths;	     /* NULL: nothing of the path plane was */
	struct nt_dropped *dropped;  /* by cookie */
	uint32_t n_dropped;
	uint64_t waits_over_ns;	       /* of the wait plane's last interval; 0: it is not known */
	bool waits_whole;	       /* the wait plane knows of all that is readable */
	bool waits_held;	       /* at least in sockets that a process holds */
	struct nt_details front, back; /* of the last and of the running sweep */
	struct nt_proc *loaded;
	uint32_t n_loaded;

	char cong_names[256][16];
	uint32_t n_cong;

	struct nt_ns *ns;
	uint32_t n_ns;
	uint32_t mptcp_states; /* 1 << state, of the running sweep */
	struct nt_job *jobs;
	uint32_t n_jobs, job;
	uint32_t seq;
	uint8_t *buf;
	struct nt_sections *kept, *buffers[2]; /* what was applied; the other one is being read */
	bool keep, kept_lost;
	uint32_t kept_generation; /* of the process table, when owners were kept last */
	uint64_t begin_wall_ns, cpu_ns;
};

static inline uint64_t nt_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* A record's *_ms hold the low word, which goes round after 49 days: their differences count. */
static inline uint64_t nt_ms_of(const struct nt_engine *e, uint64_t now_ns)
{
	return (now_ns - e->start_ns) / 1000000;
}

/* nt_table.c */
int nt_table_init(struct nt_table *t);
void nt_table_deinit(struct nt_table *t);
uint32_t nt_table_find(const struct nt_table *t, uint64_t cookie); /* NT_NONE: not there */
/* Asks the caches for the index slot, and later for the record, of a cookie. */
void nt_table_prefetch_index(const struct nt_table *t, uint64_t cookie);
void nt_table_prefetch_record(const struct nt_table *t, uint64_t cookie);
/* The number of a cookie's record, made (zeroed, *fresh set) if new; NT_NONE when memory ends. */
uint32_t nt_table_upsert(struct nt_table *t, uint64_t cookie, bool *fresh);
bool nt_rec_rests(const struct nt_table *t, uint32_t i);
/* A live record to read: itself, or in *room if the socket is at rest. */
const struct nt_rec *nt_rec_read(const struct nt_table *t, uint32_t i, struct nt_rec *room);
/* A live record to change, then to put back: until then the table may have it as it was. */
struct nt_rec *nt_rec_take(const struct nt_table *t, uint32_t i, struct nt_rec *room);
/* Puts back what nt_rec_take() gave. -ENOMEM: it stays as it was before it was taken. */
int nt_rec_put(struct nt_table *t, uint32_t i, const struct nt_rec *rec);
/* ... and lets the socket rest if it does. */
int nt_rec_rest(struct nt_table *t, uint32_t i, const struct nt_rec *rec);
/* ... of which nt_still() was true. */
int nt_rec_put_still(struct nt_table *t, uint32_t i, const struct nt_rec *rec);
/* Members of a live record, wherever it is. */
uint32_t nt_rec_inode(const struct nt_table *t, uint32_t i);
uint8_t nt_rec_state(const struct nt_table *t, uint32_t i);
uint32_t *nt_rec_plane_slot(const struct nt_table *t, uint32_t i);
void nt_table_remove(struct nt_table *t, uint32_t i);

/* nt_apply.c */
/*
 * Takes one section; the lock is held. A read of a dump: 1 at its end, 0 if more follows, -errno as
 * the kernel said it. Others: 0, or -EPROTO for what no source makes.
 */
int nt_apply(struct nt_engine *e, const struct nt_section *head, const uint8_t *body);
/* Takes what a plane just read; nothing where it is empty. The lock is held. */
void nt_deliver(struct nt_engine *e, uint64_t at_ns, enum nt_section_kind kind, uint32_t arg,
		const void *body, uint32_t n);
/* Sockets of these dumps may be there though they were not listed; the lock is held. */
void nt_fail(struct nt_engine *e, uint32_t netns, uint8_t proto, uint8_t family, int error);

/* nt_update.c */
/* Takes one parsed message into the table; the lock is held. */
void nt_update(struct nt_engine *e, uint32_t netns, uint8_t proto, const struct nt_diag_view *view,
	       bool lookup);
uint8_t nt_cong_id(struct nt_engine *e, const struct nt_diag_view *view); /* 0: none */

/* nt_detail.c; the lock is held. */
/* The kept detail of a record or NULL. */
const struct nt_detail *nt_rec_detail(const struct nt_engine *e, const struct nt_rec *rec);
/* Room for one of the running sweep; NULL: enough are kept, or no memory, and it is unknown. */
struct nt_detail *nt_detail_new(struct nt_engine *e);
void nt_detail_fill(struct nt_detail *d, const struct nt_diag_view *v);

/* nt_absent.c; the lock is held. */
/* The last counters of a socket that closed, reported before the sweep that finds it gone. */
void nt_final(struct nt_engine *e, uint64_t cookie, uint64_t bytes_acked, uint64_t bytes_received,
	      uint32_t total_retrans);
/* What a socket without tcp_info moved since the sweep before: its last rates, or none. */
void nt_last_rates(struct nt_engine *e, uint32_t i, struct nt_rec *rec);
void nt_sweep_close(struct nt_engine *e);

/* nt_rows.c; the lock is held. */
void nt_owner_of(struct nt_engine *e, const struct nt_rec *rec, struct nt_proc *ret);
/* Who has to read it: its holder or, until it is accepted, that of its listener; false: not known. */
bool nt_reader_of(struct nt_engine *e, const struct nt_rec *rec, struct nt_proc *ret);
/* All holders of an inode; as nt_procs_owners. */
int nt_owners_of(struct nt_engine *e, uint32_t inode, struct nt_proc *ret, uint32_t max);
void nt_fill_row(struct nt_engine *e, uint32_t i, struct nt_row *ret);

/* nt_match.c */
/* What a filter may ask of a record; without a message, of its kept detail. *proc is room. */
struct nt_filter_view nt_view_of(struct nt_engine *e, const struct nt_rec *rec,
				 const struct nt_diag_view *v, struct nt_proc *proc);
bool nt_match(struct nt_engine *e, struct nt_rec *rec, const struct nt_filter_view *fv);
void nt_tally(struct nt_engine *e, struct nt_totals *t, const struct nt_rec *rec);
void nt_tally_close(struct nt_engine *e, struct nt_totals *t);
/* Whether an event belongs to what is listed: of its socket, or if that is not there, by its ends. */
bool nt_match_event(struct nt_engine *e, const struct nt_event *ev);
void nt_rematch(struct nt_engine *e); /* all records again, after the filter changed */
double nt_sent_per_s(const struct nt_rec *rec);

/* nt_verdict.c */
/* Facts of one interval that the record does not keep. */
struct nt_facts {
	bool rolled; /* a whole interval has passed: rates are new */
	float dt_s;
	uint32_t notsent_bytes, unacked, rto_us;
	uint32_t snd_wnd; /* UINT32_MAX: unknown */
	uint32_t last_data_recv_ms, last_ack_recv_ms;
	uint32_t new_drops, new_rto;
	uint32_t dropped[NT_D_COUNT]; /* of these, as far as it was seen why */
	bool events;		      /* the events of this host were read: drops are known */
	bool lost_here;		      /* most of what was resent was dropped on this host */
	bool queue_full;	      /* the receive queue takes most of its buffer */
	uint64_t new_retrans;
	uint32_t loss_retrans; /* segments resent in the loss window, less the spurious ones */
	float loss_pct;	       /* and their share of what was sent in it */
	bool thin;	       /* by segments: one at a time, so that each waits for a time-out */
	uint32_t reordered,
		holes; /* of the window: sent ones that were overtaken, come too early */
	float reordered_pct, holes_pct; /* of the segments with data */
	bool holes_steady;		/* some came in each of the last four intervals */
	uint8_t option;	     /* enum nt_because: what the program set holds data back now; 0 none */
	float rcvbuf_pct;    /* of our receive window filled in each round trip; 0 not known */
	bool acked;	     /* something was acknowledged in the interval: srtt is of now */
	uint32_t rtt_now_us; /* its round trips in the mean, as far as srtt shows it; else srtt */
	bool has_info;
	int readable; /* what poll() would say of the receive queue: 0 no, 1 yes, -1 unknown */
	bool grows;   /* MPTCP: for some seconds what it holds has grown by all that came */
	struct nt_plane *plane;	      /* NULL: no BPF plane knows the socket */
	struct nt_cpu_wait cpu;	      /* of its holder; pid 0: none is known */
	const struct nt_cause *cause; /* that was found for it; NULL: none */
	bool late_process;	      /* its holder reads many sockets late */
	bool slow_peer;		      /* its peer is slower than others of the same service */
};
/* Of the holder of a socket that is read late; under the engine's lock. */
void nt_take_cpu_wait(struct nt_engine *e, const struct nt_rec *rec, struct nt_facts *facts);
void nt_judge(const struct nt_config *c, struct nt_rec *rec, const struct nt_facts *facts,
	      uint64_t now_ms);

/* nt_loss.c */
/* The windows of loss; fresh: they begin now. */
void nt_roll_loss(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh, uint64_t time_ms,
		  struct nt_facts *facts);

/* nt_limits.c */
void nt_roll_limited(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh, uint32_t now_ms,
		     const struct nt_facts *facts);

/* nt_still.c */
/*
 * Whether a connection that rested did nothing since, by a message whose state and queues the
 * record has already: all that the rules could say of it is what they said before.
 */
bool nt_still(const struct nt_engine *e, const struct nt_rec *rec, const struct nt_diag_view *v);
/* ... then this alone changes, and the gauges; rolled: an interval ends. */
void nt_stay(struct nt_rec *rec, bool rolled, uint64_t now_ns, uint32_t now_ms);
/* The windows, of which nothing is in: as the functions above and below would leave them. */
void nt_stay_limited(struct nt_rec *rec, uint32_t now_ms); /* nt_limits.c */
void nt_stay_loss(struct nt_rec *rec, uint32_t now_ms);	   /* nt_loss.c */

/* What of the program's own settings holds data back at this moment. */
void nt_note_limits(const struct nt_rec *rec, const struct nt_diag_view *v, struct nt_facts *facts);
/* Nothing of it left this host, which refused each try to send. */
bool nt_refused_here(const struct nt_rec *rec, const struct nt_facts *facts);

/* nt_cause.c; the lock is held. */
/* That was found for a socket; NULL: none. */
const struct nt_cause *nt_cause_of(const struct nt_engine *e, uint64_t cookie);
void nt_take_cause(struct nt_engine *e, const struct nt_rec *rec, struct nt_facts *facts);

/* nt_peers.c; the lock is held. */
/* A socket whose round trip was measured in the interval. */
void nt_note_listener(struct nt_engine *e, const struct nt_rec *rec);
/* The one listener at its local port; 0: there is none, or there are several. */
uint64_t nt_listener_of(const struct nt_engine *e, const struct nt_rec *rec);
void nt_note_peer(struct nt_engine *e, const struct nt_rec *rec);
bool nt_is_slow(const struct nt_engine *e, const struct nt_rec *rec);

/* nt_unread.c */
void nt_bound_unread(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh, uint32_t now_ms,
		     const struct nt_facts *facts);
void nt_bound_mptcp(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh, uint32_t now_ms,
		    struct nt_facts *facts);
void nt_take_unread(struct nt_engine *e, struct nt_rec *rec, const struct nt_diag_view *v,
		    struct nt_facts *facts);

/* nt_order.c */
int nt_keys_add(struct nt_keys *keys, struct nt_key key);
struct nt_key nt_key_of(struct nt_engine *e, uint32_t i, const struct nt_filter_view *view);
void nt_order_drop_dead(struct nt_engine *e);

#endif
