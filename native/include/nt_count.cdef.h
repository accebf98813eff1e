/* --- counting: what sockets did, added up by groups that the caller names (nt_count.c) --- */
struct nt_engine;
struct nt_counter;

/* What groups of sockets differ by. */
enum nt_count_by {
	NT_BY_PROCESS = 1,
	NT_BY_SERVICE = 2,
	NT_BY_PEER = 4,
	NT_BY_CONTAINER = 8,
	NT_BY_NETNS = 16,
};

/* Counters of a group, in the kernel's units. */
enum nt_count {
	NT_C_SENT_BYTES = 0,
	NT_C_ACKED_BYTES = 1,
	NT_C_RECEIVED_BYTES = 2,
	NT_C_RETRANS_BYTES = 3,
	NT_C_RETRANS_SEGMENTS = 4,
	NT_C_DROPS = 5,
	NT_C_BUSY_MS = 6,
	NT_C_RWND_MS = 7,
	NT_C_SNDBUF_MS = 8,
	NT_C_CWND_MS = 9,
	NT_C_OPENED = 10,
	NT_C_CLOSED = 11,
	NT_C_UDP_SENT_BYTES = 12,
	NT_C_UDP_RECEIVED_BYTES = 13,
};

enum nt_role { NT_ROLE_NONE = 0, NT_ROLE_SERVER = 1, NT_ROLE_CLIENT = 2 };

/* What names a group: of the socket's numbers those that groups differ by, the others 0. */
struct nt_count_key {
	uint64_t cgroup_id;
	uint8_t dst[16]; /* as in nt_rec */
	char comm[16];	 /* with NT_OWNER_PROC; NUL-terminated */
	uint32_t netns;
	uint16_t port;	/* of the service */
	uint8_t role;	/* enum nt_role */
	uint8_t family; /* of dst */
	uint8_t owner;	/* enum nt_owner */
	uint8_t pad[7];
};

/* Buckets of srtt, eight to an octave: the i'th has what is up to 2^((i - ZERO) / 8) s. */
enum nt_count_rtt { NT_RTT_ZERO = 160, NT_RTT_BUCKETS = 264 };

/* A series: counters only grow; what is of the tick says so. */
struct nt_sums {
	uint64_t counts[14]; /* by enum nt_count; CWND_MS in hundredths */
	uint64_t rtt_octaves[32], rtt_sum_ns;
	uint64_t wait_octaves[32], wait_sum_ns; /* listeners left out */
	uint64_t rtt[264];
	uint64_t unread_ns; /* of the tick: age of the oldest unread delivery */
	float accept_share; /* of the tick: of the fullest accept queue; negative: no listener */
	uint32_t sockets;   /* of the tick, listeners left out */
	uint32_t changed;   /* 1: since the tick before */
	uint32_t pad;
};

/* A group in a tick. */
struct nt_count_group {
	uint64_t moved_bytes;
	uint32_t present; /* sockets, listeners too */
	uint32_t series;
};

/* Sockets of a group that are unwell, by their worst verdict that is so by itself. */
struct nt_count_sick {
	uint32_t group, n;
	uint8_t who; /* enum nt_who, as nt_rec has it */
	uint8_t verdict;
	uint8_t pad[2];
};

/* A tick, valid until a series or group is made, or the next one begins. */
struct nt_count_tick {
	const struct nt_count_group *groups; /* by number */
	const struct nt_sums *sums;	     /* by number of the series */
	const struct nt_count_sick *sick;    /* in no order */
	uint64_t closed_next;		     /* number of the first close that was not taken yet */
	uint32_t n_groups, n_sums, n_sick;
	uint32_t closed;	 /* records of closes that were taken */
	uint32_t closed_unknown; /* of these, of TCP sockets that never were counted */
	uint32_t pad;
};

/* by: enum nt_count_by, as bits. Series 0 is there, for what has none of its own. */
int nt_counter_new(uint32_t by, struct nt_counter **ret);
void nt_counter_free(struct nt_counter *c);
/* A series that begins with 0; its number, or -ENOMEM. */
int nt_counter_series(struct nt_counter *c);
/* No group has it any more: its number is another's soon. */
void nt_counter_end_series(struct nt_counter *c, uint32_t series);
/* A group, whose sockets are counted in a series; its number, or -ENOMEM. */
int nt_counter_group(struct nt_counter *c, uint32_t series);
/* From now on they are counted in another. */
void nt_counter_move(struct nt_counter *c, uint32_t group, uint32_t series);
/* It has no sockets; what ended unseen until now is counted in series 0. */
void nt_counter_end_group(struct nt_counter *c, uint32_t group);

/*
 * A tick has three parts: it begins, takes what there is once, and ends. now_ns: CLOCK_MONOTONIC.
 * Between the parts the engine polls nothing.
 */
void nt_count_begin(struct nt_counter *c, uint64_t now_ns);
/*
 * Takes the matched sockets of the last sweep, and closes from number `after` on (0: none), or if
 * filtered those that pass the filter. Returns how many keys are new: they need groups.
 */
int nt_count_sockets(struct nt_counter *c, struct nt_engine *e, uint64_t after, int filtered);
/* The new keys, until the end. */
const struct nt_count_key *nt_count_new_keys(struct nt_counter *c);
/* groups: of the new keys, in their order. */
int nt_count_end(struct nt_counter *c, const uint32_t *groups, struct nt_count_tick *ret);
