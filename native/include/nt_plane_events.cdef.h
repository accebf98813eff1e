/* --- events: what happened to sockets, as it happened (nt_events.c) --- */
struct nt_events;
struct nt_engine;
struct nt_wait;
struct nt_stages;

enum nt_event_type {
	NT_EV_RETRANSMIT = 0,
	NT_EV_DROP = 1,
	NT_EV_RESET_SENT = 2,
	NT_EV_RESET_RECEIVED = 3,
	NT_EV_ERROR = 4,
	NT_EV_STATE = 5,
	NT_EV_CONG = 6, /* ca_state changed */
	NT_EV_CLOSED = 7,
	NT_EV_TYPES = 8,
};

enum nt_event_flag {
	NT_EVF_OWNER = 1,	/* pid and comm are known */
	NT_EVF_FROM_PACKET = 2, /* no socket: dst sent the packet to src, or if LEAVING src to dst */
	NT_EVF_SYNACK =
		4, /* of a connection that waits for its handshake; cookie: the listener's */
	NT_EVF_FIN_FIRST = 8,	 /* this side ended its stream first */
	NT_EVF_FIN_BY_PEER = 16, /* the peer did */
	NT_EVF_RESET_IN = 32,	 /* the peer reset the connection */
	NT_EVF_RESET_OUT = 64,	 /* this side did */
	NT_EVF_PASSIVE = 128,	 /* accepted, not connected */
	NT_EVF_LEAVING = 256,	 /* with FROM_PACKET: on its way out */
	NT_EVF_FIN_CAME = 512,	 /* the last of bytes_received is the peer's FIN */
};

/* One event. What its type does not have is 0. */
struct nt_event {
	uint64_t at_ns;	 /* CLOCK_MONOTONIC */
	uint64_t cookie; /* 0: no socket */
	uint64_t seq;	 /* in order of arrival, from 1 */
	uint32_t netns;
	uint8_t type;	/* enum nt_event_type */
	uint8_t family; /* 0: not known */
	uint8_t proto;	/* IPPROTO_* */
	uint8_t state;	/* TCP state; of STATE and CLOSED the one before */
	uint8_t new_state;
	uint8_t ca_state; /* of CONG the one before */
	uint8_t new_ca_state;
	uint8_t timer;	     /* icsk_pending: 1 retransmission, 5 tail loss probe */
	uint8_t retransmits; /* timeouts in a row */
	uint8_t pad;
	uint16_t flags; /* enum nt_event_flag */
	uint16_t sport, dport;
	uint8_t src[16], dst[16];
	uint32_t pid;
	char comm[16];
	uint32_t reason; /* of a drop or of a reset sent */
	int32_t err;	 /* sk_err; of a retransmission why it did not leave */
	uint32_t ahead;	 /* bytes between snd_una and this segment */
	uint32_t len;	 /* bytes of the packet or segment */
	uint32_t segs;	 /* counted by RetransSegs; of a drop: packets on the wire, 0 not known */
	uint32_t snd_cwnd;
	uint32_t rtt_us;
};

/* The last numbers of a TCP socket. */
struct nt_closed {
	struct nt_event ev; /* state: the one it closed in; err: sk_err */
	uint64_t born_ns;   /* connected or accepted; 0: before nettop came */
	uint64_t bytes_sent, bytes_acked, bytes_received, bytes_retrans;
	uint32_t segs_out, segs_in, data_segs_out, data_segs_in;
	uint32_t total_retrans;
	uint32_t lost; /* segments ever marked lost */
	uint32_t delivered, delivered_ce;
	uint32_t rttvar_us, min_rtt_us;
	uint32_t snd_ssthresh, snd_mss;
	uint32_t unread;  /* bytes received that the program did not take */
	uint32_t unacked; /* bytes written that the peer did not acknowledge */
	uint32_t reord_seen, dsack_dups, rcv_ooopack;
	uint32_t uid;
	/* By the other planes, of all its life while it was traced; counts of 0: nothing. */
	uint32_t wait_count;
	uint32_t tx_count[6]; /* by enum nt_stage without NIC */
	uint64_t wait_sum_ns;
	uint64_t tx_sum_ns[6];
	uint32_t wait_octaves[32]; /* nt_hist.h's */
};

/* What is known of sockets' past. */
struct nt_event_memory {
	uint64_t since_ns;  /* every record of them since then counts here; CLOCK_MONOTONIC */
	uint64_t gap_ns;    /* when the kernel last left records out, of whatever socket; 0: never */
	uint64_t forgotten; /* sockets, so far, for want of room */
	uint32_t counts[8]; /* by enum nt_event_type */
};

/* Drops of one reason on one socket, of the interval. */
struct nt_drop {
	uint64_t cookie; /* 0: no socket */
	uint32_t count;
	uint32_t segs; /* of these packets on the wire; 0 in records that do not know it: count */
	uint64_t last_ns;
	uint32_t reason;
	uint32_t netns;
	uint8_t family, proto, state, pad;
	uint16_t sport, dport;
	uint8_t src[16], dst[16];
};

/* Drops of one reason, or what the kernel calls the reason of a reset. */
struct nt_reason {
	uint32_t reason;
	uint32_t pad;
	uint64_t count;	   /* since the plane is on; of resets 0 */
	uint64_t interval; /* of this, in the last interval */
	char name[64]; /* without SKB_DROP_REASON_ or SK_RST_REASON_; empty: the kernel has none */
};

/* Of the plane itself; counters only grow. */
struct nt_events_totals {
	uint64_t seen[8];	/* by enum nt_event_type */
	uint64_t suppressed[8]; /* of these, without a record: more than the limit of records */
	uint64_t lost[8];	/* of these, without a record: the ring was full */
	uint64_t missed[8];    /* not seen: they interrupted the program that counts them */
	uint64_t overrun[8];   /* recorded, and gone before they could be read: one read had too many */
	uint64_t segs_retrans; /* RetransSegs */
	uint64_t failed;       /* retransmissions that did not leave; some are no RetransSegs */
	uint64_t unplaced;     /* drops counted by reason alone: no place left for their socket */
	uint64_t unreasoned;   /* drops counted without reason: no place left for it */
	uint64_t no_storage;   /* sockets whose birth and owner could not be kept */
	uint64_t runs;
	uint64_t first_seq; /* of the interval */
	uint64_t next_seq;  /* of the next one */
	uint64_t cpu_ns;    /* what this read cost the caller */
};

/* Body of NT_S_EVENTS. */
struct nt_events_head {
	uint64_t begun_ns; /* of the interval, CLOCK_MONOTONIC; of the first: the plane's beginning */
	uint32_t read;	   /* of the plane, from 1 */
	uint32_t pad;
	struct nt_events_totals before, now; /* at both ends of the interval */
};

/*
 * Loads and attaches; on failure why says in one line what is missing. Returns the types that
 * this kernel can report, as bits; why then names the others, if any. confined: nothing is recorded
 * until nt_events_spaces names namespaces; 0: everything, from the start.
 */
int nt_events_open(struct nt_wait *waits, struct nt_stages *stages, int confined,
		   struct nt_events **ret, char *why, uint32_t n_why);
/* Detaches; nothing remains in the kernel. */
void nt_events_close(struct nt_events *s);
/*
 * Ends an interval: the engine takes what the kernel kept. Before a sweep: it then still knows who
 * held the sockets that closed.
 */
int nt_events_read(struct nt_events *s, struct nt_engine *e, struct nt_events_totals *ret);
/* Records per second and type that the programs write, and at once after silence. */
int nt_events_limit(struct nt_events *s, uint32_t per_s);
/* Reports only these network namespaces (at most 4096) from now on; n 0: all. */
int nt_events_spaces(struct nt_events *s, const uint32_t *netns, uint32_t n);

/* --- what was recorded, as of the last interval that the engine took (nt_events_apply.c) --- */
/* The last interval and its end; -ENOENT: no plane is on. */
int nt_events_last(struct nt_engine *e, struct nt_events_head *ret, uint64_t *at_ns);
/*
 * Events kept of these types (bits), newest first, that came with after or later; n 0: of all
 * sockets, or if filtered of those that the engine's filter and choice of protocols let through.
 * The last 4096 of each type are kept, and what nt_events_memory says. Returns how many were
 * filled; more (NULL, or room by type) gets how many there are beyond.
 */
int nt_events_recent(struct nt_engine *e, const uint64_t *cookies, uint32_t n, int filtered,
		     uint32_t types, uint64_t after, struct nt_event *ret, uint32_t max,
		     uint64_t *more);
/* The same of sockets that closed. */
int nt_events_closed(struct nt_engine *e, const uint64_t *cookies, uint32_t n, int filtered,
		     uint64_t after, struct nt_closed *ret, uint32_t max);
/*
 * What is remembered of these sockets together; n 0: from when on nothing was recorded of a socket
 * that is not remembered. The last 32 events of each socket are, of 4096 sockets. -ENOENT: no plane
 * is on.
 */
int nt_events_memory(struct nt_engine *e, const uint64_t *cookies, uint32_t n,
		     struct nt_event_memory *ret);
/* Drops of the interval, most first; n 0: of all sockets, and of none. Returns how many there are. */
int nt_events_drops(struct nt_engine *e, const uint64_t *cookies, uint32_t n, struct nt_drop *ret,
		    uint32_t max);
/* Drops by reason, most first; returns how many reasons there are. */
int nt_events_reasons(struct nt_engine *e, struct nt_reason *ret, uint32_t max);
/* The kernel's name for a drop's reason, or (reset) of a reset's; its number if it has none. */
int nt_events_reason_name(struct nt_engine *e, int reset, uint32_t reason, char *ret, uint32_t n);
