/*
 * The helper's functions. All return 0 (or a count) and -errno on failure; no
 * function prints, calls back or keeps global state. Every function of an
 * engine or a process table may be called from any thread.
 */
struct nt_engine;
struct nt_procs;

/* A hash of these headers, so that a helper built from others is noticed. */
int nt_abi_version(void);
int nt_bpf_built(void); /* 1: the BPF programs are inside */
/* From now on large blocks go back to the system when they are freed, where the C library can. */
void nt_memory_give_back(void);

/* --- process table: socket inode -> processes (nt_procs.c) --- */
int nt_procs_new(const char *proc_root, struct nt_procs **ret);
void nt_procs_free(struct nt_procs *p);
/* Re-reads the descriptors of the processes that changed since the scan before. */
int nt_procs_scan(struct nt_procs *p, struct nt_procs_stats *ret);
/*
 * 1 and the first owner (lowest pid), or 0 if no known process holds the inode; then ret->owner is
 * NOT_FOUND once every process was searched since the first question, HIDDEN if some of them
 * cannot be, else UNKNOWN, and the next scan looks harder.
 */
int nt_procs_find(struct nt_procs *p, uint32_t inode, struct nt_proc *ret);
/*
 * 1 and the process that held the inode until the last scan or the one before, else 0: of a socket
 * that ended, which is shown as it last was.
 */
int nt_procs_former(struct nt_procs *p, uint32_t inode, struct nt_proc *ret);
/* 1 if the last scan could read every process, so that an unknown inode has no owner. */
int nt_procs_complete(struct nt_procs *p);
/* Grows when any owner changed. */
uint32_t nt_procs_generation(struct nt_procs *p);
/* Reports that owners are missing: the next scan re-reads more, recently active processes first. */
int nt_procs_hint(struct nt_procs *p);
/*
 * Reports that a socket's inode left the kernel's tables: the next scan looks at its descriptors
 * again, where another socket may be by now. Returns how many descriptors those are.
 */
int nt_procs_gone(struct nt_procs *p, uint32_t inode);
/* The sockets known to be the kernel's own, in place of those reported before. */
int nt_procs_kernel(struct nt_procs *p, const uint32_t *inodes, uint32_t n);
/* All owners of an inode, by pid; returns how many there are, fills at most max. */
int nt_procs_owners(struct nt_procs *p, uint32_t inode, struct nt_proc *ret, uint32_t max);
/* Distinct network namespaces: fills inode and one pid inside it; returns how many there are. */
int nt_procs_netns(struct nt_procs *p, uint32_t *inodes, uint32_t *pids, uint32_t max);

/* --- namespaces and capabilities (nt_netns.c, nt_caps.c) --- */
/* Opens the descriptors inside the namespace that ns_fd names; -1: the caller's own. */
int nt_netns_open(int ns_fd, struct nt_netns_fds *ret);
/* Keeps exactly these capabilities (bit masks of CAP_*) in the calling thread and sets no_new_privs. */
int nt_caps_keep(uint64_t keep);
int nt_caps_get(uint64_t *effective, uint64_t *permitted);

/* --- engine: dumps, table, order (nt_engine.c and beside it) --- */
int nt_engine_new(struct nt_procs *procs, struct nt_engine **ret); /* procs may be NULL */
void nt_engine_free(struct nt_engine *e);
/*
 * Another one at the same tick (nt_copy.c), which gets the room that taking the next one needs;
 * -EINVAL of one that polls.
 */
int nt_engine_copy(struct nt_engine *e, struct nt_engine **ret);
/* Takes over the descriptors: one for dumps, one for exact look-ups (-1: none). */
int nt_engine_add_netns(struct nt_engine *e, uint32_t netns, int diag_fd, int lookup_fd);
int nt_engine_del_netns(struct nt_engine *e, uint32_t netns);
void nt_config_default(struct nt_config *ret);
/* enum nt_who that a verdict blames where no finding says otherwise. */
int nt_who_of(uint32_t verdict);
int nt_engine_configure(struct nt_engine *e, const struct nt_config *config);
/* Replaces the filter and matches all known sockets again; n_ops 0: no filter. */
int nt_engine_set_filter(struct nt_engine *e, const struct nt_op *ops, uint32_t n_ops,
			 const uint8_t *data, uint32_t n_data);
/*
 * The sockets that another filter lets through (n_ops 0: the one in force), by cookie, in no order.
 * Of one that is not in force, numbers of tcp_info alone are known where the detail was kept.
 * Returns how many there are; at most max are filled.
 */
int nt_matching(struct nt_engine *e, const struct nt_op *ops, uint32_t n_ops, const uint8_t *data,
		uint32_t n_data, uint64_t *ret, uint32_t max);
/*
 * The values that a number has now in the sockets that would be rows under a filter (n_ops 0: under
 * none), where it is known, in no order; of tcp_info as with nt_matching. rows: how many sockets
 * those are. Returns how many values there are; at most max are filled.
 */
int nt_values(struct nt_engine *e, const struct nt_term *of, const struct nt_op *ops,
	      uint32_t n_ops, const uint8_t *data, uint32_t n_data, double *ret, uint32_t max,
	      uint32_t *rows);
/*
 * Numbers of some sockets (n_of each, of one socket after the other): NaN where one is not known. Of
 * its holder (NT_BASE_PROC) none is; of tcp_info where the detail was kept. octaves: 32 each of the
 * RX queue waits of the interval. there: 1, or 0 of a socket that is gone. Returns how many are there.
 */
int nt_values_of(struct nt_engine *e, const uint64_t *cookies, uint32_t n, const struct nt_term *of,
		 uint32_t n_of, double *ret, uint32_t *octaves, uint8_t *there);
/* Pure: sorts n values and reads the median, p90 (by nearest rank) and largest; n 0: NaN. */
void nt_spread(double *v, uint32_t n, double ret[3]);
/* A sweep: begin, step until it returns 0, end. step reads up to `reads` buffers; returns 1 if there is more. */
int nt_sweep_begin(struct nt_engine *e);
int nt_sweep_step(struct nt_engine *e, uint32_t reads);
int nt_sweep_end(struct nt_engine *e, struct nt_totals *ret);
/* The dumps of the last sweep that failed; returns how many there are, fills at most max. */
int nt_failures(struct nt_engine *e, struct nt_failure *ret, uint32_t max);
/*
 * Takes sections (nt_sample.cdef.h) that another engine kept, or that a frame held: the same
 * follows from them as there. -EPROTO where they are none; what came before the bad one is taken.
 */
int nt_take(struct nt_engine *e, const uint8_t *sections, uint64_t n);
/* Keeps every section that the engine takes from now on, or no more. */
int nt_keep(struct nt_engine *e, int on);
/*
 * Keeps who holds the sockets too, as the process table has it now: of those whose holders changed
 * since the call before, or of all.
 */
int nt_keep_owners(struct nt_engine *e, int all);
enum nt_number {
	NT_NUMBER_UID = 1,
	NT_NUMBER_CGROUP = 2,
	NT_NUMBER_NETNS = 3,
	NT_NUMBER_DEVICE = 4, /* netns << 32 | ifindex that a socket is bound to */
};
/* The different numbers that the sockets of the table have; returns how many, fills at most max. */
int nt_numbers(struct nt_engine *e, int what, uint64_t *ret, uint32_t max);
/* Matches all known sockets again, once their holders may have changed. */
int nt_owners_changed(struct nt_engine *e);
/* The holders of an inode by the process table, or by what was recorded; as nt_procs_owners. */
int nt_engine_owners(struct nt_engine *e, uint32_t inode, struct nt_proc *ret, uint32_t max);
/* What was kept since the call before, valid until the next one; -ENOMEM: some is missing. */
int64_t nt_kept(struct nt_engine *e, const uint8_t **ret);
/* Puts rows of a snapshot file into an empty engine; nothing is polled there. details may be NULL. */
int nt_load(struct nt_engine *e, const struct nt_row *rows, const struct nt_detail *details,
	    uint32_t n);
/* Refreshes these sockets by exact look-ups; returns how many answered. */
int nt_lookup(struct nt_engine *e, const uint64_t *cookies, uint32_t n);

/*
 * Orders the matched sockets. key.a.base 0: the `unwell` order. Unknown values go
 * last either way. upto: how many rows from the top must be in exact order.
 * keep: leave known sockets in their present order, new ones at the end.
 * Returns how many are matched.
 */
int nt_order(struct nt_engine *e, const struct nt_term *key, int descending, uint32_t upto,
	     int keep);
/* Rows offset … of the order; orders further down first if it must. Returns how many were filled. */
int nt_window(struct nt_engine *e, uint32_t offset, uint32_t max, struct nt_row *ret);
/*
 * The sockets with a verdict that is more than a word, whatever the order; matched: only those that
 * pass the filter. Returns how many there are; at most max are filled.
 */
int nt_sick(struct nt_engine *e, int matched, struct nt_sick *ret, uint32_t max);
/*
 * Processes that hold a socket which is watch or unwell, or may be in the next interval: the worst
 * first, each once. Returns how many were filled.
 */
int nt_sick_pids(struct nt_engine *e, uint32_t *ret, uint32_t max);
/* A process whose threads wait for a CPU longer than they run. */
struct nt_cpu_wait {
	uint32_t pid;
	uint32_t sure; /* 0: another of its threads may be the one that reads */
	uint64_t over_ns; /* of so much time ... */
	uint64_t run_delay_ns; /* ... it waited so long */
};
/*
 * These and no others do now: what they read late is judged by it, in the sweep that just ended and
 * in the next ones. At most 32 are kept.
 */
int nt_cpu_waits(struct nt_engine *e, const struct nt_cpu_wait *v, uint32_t n);
/* What decides the cause of what is held against a socket. */
struct nt_candidate {
	uint64_t cookie;
	uint8_t src[16], dst[16]; /* as in nt_rec */
	uint64_t wait_sum_ns, qdisc_sum_ns, nic_sum_ns; /* of so many deliveries and sends ... */
	uint32_t wait_count, qdisc_count, nic_count;	/* ... of the interval */
	uint32_t netns, ifindex;
	uint32_t pid, more; /* first holder, of its listener where it waits; 0 not known; further ones */
	uint32_t rtt_us, min_rtt_us, rttvar_us; /* 0 not known */
	uint32_t unread_ms;	     /* age of the oldest unread data, or less */
	uint32_t rcvbuf, sndbuf;     /* bytes; 0 not known */
	uint32_t dropped_here; /* its packets that this host itself dropped, of the interval */
	uint32_t dropped_segs; /* of these on the wire, where one packet may be many */
	uint32_t queued_bytes; /* of its datagrams that stand in queues of this host, at the sweep */
	uint32_t total_retrans;
	uint32_t acked_bytes; /* since it opened, the SYN counts as one; UINT32_MAX: that, or more */
	float verdict_value;
	float flow_bytes_per_s; /* as in nt_rec */
	uint16_t sport, dport;
	uint16_t held, verdicts; /* of the interval; active now: 1 << enum nt_verdict */
	uint8_t family, proto, state, level;
	uint8_t who, because, verdict; /* of the worst verdict, valid if verdicts != 0 */
	uint8_t matched; /* the filter in force lets it through */
	uint8_t few; /* segments at a time, which the peer may acknowledge late */
	uint8_t late_ack; /* ... and its long round trip, that is no verdict RTT, may be that alone */
	uint8_t waits; /* in a listener's accept queue: no program has it yet */
};
/*
 * The sockets that are watch or unwell, or may be in the next interval, or of which this host dropped
 * packets on their way out, or of whose datagrams several stand in its queues; and last, if they are
 * asked for as a queue of this host stands, those with a late ACK. Returns how many there are; at most
 * max are filled, the worst if there are more.
 */
int nt_candidates(struct nt_engine *e, int late, struct nt_candidate *ret, uint32_t max);
/* A process of which sockets were read late, however few deliveries each had. */
struct nt_late {
	uint32_t pid;
	uint32_t sockets;    /* that were read late in the interval */
	uint32_t deliveries; /* of all its sockets */
	uint64_t sum_ns, max_ns; /* RX queue wait of these that were late */
};
/* Those with so many such sockets or more that have one holder. Returns how many were filled. */
int nt_late(struct nt_engine *e, uint32_t least, struct nt_late *ret, uint32_t max);
/* Which of a service's peers: those that this host calls at one port. */
struct nt_peer_key {
	uint8_t dst[16]; /* as in nt_rec */
	uint32_t netns;
	uint16_t dport;
	uint8_t family, pad;
};
/* A peer whose round trips are far over their minimum, beside those of the service's others. */
struct nt_slow_peer {
	struct nt_peer_key key;
	uint32_t sockets;  /* with a round trip that was measured in the interval */
	uint32_t siblings; /* peers that it was compared with, of as many and more */
	uint32_t rtt_us;   /* geometric mean of its sockets */
	uint32_t siblings_rtt_us; /* the same of the peer in the middle of all */
};
/* Of the last sweep, the slowest of each service first. Returns how many were filled. */
int nt_slow_peers(struct nt_engine *e, struct nt_slow_peer *ret, uint32_t max);
/* The sockets to these peers, at most 8, and no others are held for slow from the next sweep on. */
int nt_held_slow(struct nt_engine *e, const struct nt_peer_key *v, uint32_t n);
/* What explains conditions of a socket: one verdict takes their place. */
struct nt_cause {
	uint64_t cookie;
	float value;	      /* of the verdict, in its own unit; negative: that of the condition */
	uint16_t explains;    /* 1 << enum nt_verdict; it says nothing where none of these holds */
	uint8_t verdict;      /* enum nt_verdict */
	uint8_t who, because; /* enum nt_who, enum nt_because */
	uint8_t imposes; /* it holds though none of the conditions does */
	uint8_t pad[6];
};
/*
 * These and no others hold from now on, at most 256, a cookie once: verdicts of the last sweep
 * that they explain are theirs, and the next is judged by them. Of these processes, at most 32, the
 * next counts what is read late however few deliveries a socket has.
 */
int nt_causes(struct nt_engine *e, const struct nt_cause *v, uint32_t n, const uint32_t *late,
	      uint32_t n_late);
/* Index of a socket in the order, or -ENOENT. */
int nt_position(struct nt_engine *e, uint64_t cookie);
/* 1 and the row, 0 if it is gone. */
int nt_find(struct nt_engine *e, uint64_t cookie, struct nt_row *ret);
/* 1 and the detail of the last sweep, 0 if it was not kept. */
int nt_detail_of(struct nt_engine *e, uint64_t cookie, struct nt_detail *ret);
const char *nt_cong_name(struct nt_engine *e, uint32_t cong_id);
/* Totals of the last sweep, matched anew if the filter changed since. */
int nt_totals_now(struct nt_engine *e, struct nt_totals *ret);
/* Milliseconds from the first sweep to the last section: the clock of nt_rec's *_s and *_ms. */
uint64_t nt_engine_ms(struct nt_engine *e);

enum nt_grouping {
	NT_GROUP_PROCESS = 1,
	NT_GROUP_REMOTE = 2,
	NT_GROUP_LOCAL = 3,
	NT_GROUP_CGROUP = 4,
	NT_GROUP_NETNS = 5,
	NT_GROUP_PROGRAM = 6, /* processes of one name */
	NT_GROUP_HOST = 7, /* all that match are one */
	NT_GROUP_PORT = 8, /* local port of a protocol, whatever the address */
	NT_GROUP_REMOTE_PORT = 9, /* address and port of the other end, of a protocol */
};
/* Groups of the matched sockets, worst first; returns how many there are, fills at most max. */
int nt_groups(struct nt_engine *e, int grouping, struct nt_group *ret, uint32_t max);
/* Cookies of the first sockets, in the order, that are of one group with a socket. */
int nt_group_members(struct nt_engine *e, int grouping, uint64_t of, uint64_t *cookies,
		     uint32_t max);
/*
 * Sum of some sockets (the marked ones), as one group. Cookies that are gone are left out.
 */
int nt_sum(struct nt_engine *e, const uint64_t *cookies, uint32_t n, struct nt_group *ret);

/* Pure: evaluates a filter or an operand on one row; for tests. */
int nt_filter_row(const struct nt_op *ops, uint32_t n_ops, const uint8_t *data, uint32_t n_data,
		  const struct nt_row *row, const struct nt_detail *detail, const char *cong);
