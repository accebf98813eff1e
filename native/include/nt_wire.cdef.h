/*
 * Records shared by the C helper and Python (cffi reads this file as its cdef,
 * so it holds no preprocessor lines). All integers are host order unless a
 * comment says otherwise. Sizes are asserted in nt_wire.h.
 */

enum nt_proto { NT_PROTO_TCP = 1, NT_PROTO_UDP = 2, NT_PROTO_MPTCP = 3 };

/* Why a socket has no process in nt_proc; the words are made in Python. */
enum nt_owner {
	NT_OWNER_UNKNOWN = 0,	   /* not searched for yet */
	NT_OWNER_PROC = 1,	   /* nt_proc is filled in */
	NT_OWNER_KERNEL = 2,	   /* the kernel's own: no program ever held it, or none does any more */
	NT_OWNER_ORPHAN = 3,	   /* closed by its program, still sending (inode 0) */
	NT_OWNER_NOT_ACCEPTED = 4, /* waits in a listener's accept queue (inode 0) */
	NT_OWNER_NOT_FOUND = 5,	   /* has an inode; looked for in every place that is known */
	NT_OWNER_HIDDEN = 6,	   /* ... in those that may be looked into, and there are others */
};

/* nt_rec.flags */
enum nt_flag {
	NT_F_NEW = 1,		  /* first seen in the last sweep */
	NT_F_RATES = 2,		  /* the rates of an interval are known */
	NT_F_LIMITED = 4,	  /* the limited-by shares are known */
	NT_F_MISSED = 8,	  /* absent from the last sweep (a second miss removes it): no rates */
	NT_F_APP_LIMITED = 16,	  /* tcpi_delivery_rate_app_limited */
	NT_F_INFO = 32,		  /* the kernel sent tcp_info for it */
	NT_F_RETR_PCT = 64,	  /* retr_pct is known: something was sent */
	NT_F_OLDEST_UNREAD = 128, /* oldest_unread_ms is a lower bound of the age */
	NT_F_MATCH = 256,	  /* passes the filter and the default-rows rule */
	NT_F_UNREAD_EXACT = 1024, /* ... or its age itself: the wait plane saw it come */
	NT_F_SKMEM = 512,	  /* the kernel sent skmeminfo (drops are known) */
	NT_F_WAIT_UNTRACED = 2048, /* the wait plane samples sockets, and this is none of them */
	NT_F_MOVED = 8192,	  /* with NT_F_RATES: tx_bytes_per_s and rx_bytes_per_s are known */
	NT_F_UNREADABLE = 4096,	  /* poll() does not call readable what is unread */
	NT_F_FLOW_RX = 16384,	  /* more of flow_bytes_per_s was received than sent */
	NT_F_QUEUE_LONG = 32768,  /* a listener's queue was nearly full when it was last judged */
};

enum nt_level { NT_LEVEL_OK = 0, NT_LEVEL_WATCH = 1, NT_LEVEL_UNWELL = 2 };

/* Bit numbers of nt_rec.verdicts; the order breaks ties, worst first. */
enum nt_verdict {
	NT_V_UNREAD = 0,   /* app: oldest unread data is old */
	NT_V_ACCEPT = 1,   /* app: accept queue near its limit */
	NT_V_LOSS = 2,	   /* net: retransmissions */
	NT_V_RTO = 3,	   /* net, or peer: what was sent is not answered */
	NT_V_WINDOW = 4,   /* peer: receive window shut or small */
	NT_V_RTT = 5,	   /* net: srtt far over its minimum */
	NT_V_SNDBUF = 6,   /* app: send buffer too small */
	NT_V_DROPS = 7,	   /* app, net, kern or unknown: packets for it were dropped */
	NT_V_UNCLOSED = 8, /* app: peer closed long ago, program did not */
	NT_V_CWND = 9,	   /* net: congestion window holds data back */
	NT_V_READS = 10,   /* app: received data waits long before it is read */
	NT_V_QDISC = 11,   /* kern: packets wait in the queue of the device */
	NT_V_NIC = 12,	   /* nic: packets wait between driver and wire */
	NT_V_ORDER = 13,   /* net: segments come out of order, here or at the peer */
	NT_V_RCVBUF = 14,  /* app, kern: our receive buffer is too small for the path */
	NT_V_OPTION = 15,  /* app: a socket option that the program set holds data back */
	NT_V_COUNT = 16,
};

/* Whose fault; nt_rec.who and nt_totals.who. */
enum nt_who {
	NT_WHO_APP = 0,
	NT_WHO_KERN = 1,
	NT_WHO_NIC = 2,
	NT_WHO_NET = 3,
	NT_WHO_PEER = 4,
	NT_WHO_UNKNOWN = 5, /* not known from this host */
	NT_WHO_CPU = 6,	    /* the program was ready, and no CPU was given to it */
	NT_WHO_COUNT = 7,
	NT_WHO_MAYBE = 8, /* added to any but UNKNOWN: it looks like it, no more */
};

/* What a verdict's number was made of, where that is not always the same. */
enum nt_because {
	NT_B_PLAIN = 0,
	NT_B_RTO = 1,	       /* data was resent on time-outs */
	NT_B_SILENT_PEER = 2,  /* ... and nothing was acknowledged since the handshake */
	NT_B_SYN = 3,	       /* the SYN was */
	NT_B_PROBE = 4,	       /* probes of a shut window are not answered */
	NT_B_KEEPALIVE = 5,    /* keepalive probes are not */
	NT_B_FULL = 6,	       /* dropped: the receive queue was full */
	NT_B_CHECKSUM = 7,     /* ... bad checksums */
	NT_B_MEMORY = 8,       /* ... no memory left for the protocol */
	NT_B_OTHER = 9,	       /* ... for reasons that are none of these */
	NT_B_UNKNOWN = 10,     /* ... the reason is unknown */
	NT_B_HERE = 11,	       /* lost on this host, before the wire */
	NT_B_NO_CPU = 12,      /* the wait for a CPU explains half of it or more */
	NT_B_STOPPED = 13,     /* the program was stopped for half of it or more */
	NT_B_NAGLE = 14,       /* a small segment waits for the ACK of one before */
	NT_B_CORK = 15,	       /* ... for more to fill it, or for the program to say that none comes */
	NT_B_PACED = 16,       /* the pacing rate is the most that the program allows */
	NT_B_QUEUE = 17,       /* the wait in this host's own queue explains half of it or more */
	NT_B_CARRIER = 18,     /* the link of the device is down, or was */
	NT_B_RECEIVE = 19,     /* this host took packets late, or lost them, on their way in */
	NT_B_REORDERED = 20,   /* what we sent overtook itself; else what came had holes */
	NT_B_DISK = 21,	       /* the program waits for a disk or a device */
	NT_B_HEAD = 22,	       /* the program reads many sockets late at once */
	NT_B_SYSCTL = 23,      /* a limit of this host's own: tcp_wmem, tcp_rmem, tcp_mem */
	NT_B_OTHER_END = 24,   /* the other end is on this host, and says it */
	NT_B_NOT_ACCEPTED = 25, /* the peer's program does not take connections up */
	NT_B_UNUSUAL = 26,     /* far above what is usual for this flow */
	NT_B_SIBLINGS = 27,    /* ... for flows to other peers of the same service */
	NT_B_NEXT_HOP = 28,    /* the next hop does not answer, so nothing leaves this host */
	NT_B_GROWS = 29,       /* MPTCP: what is held grows by all that comes */
	NT_B_PASSES_ON = 30,   /* another peer does not take what the program passes on */
	NT_B_UNSENT = 31,      /* this host itself refused to send, at each try */
	NT_B_NOT_TAKEN = 32,   /* it waits in an accept queue, and no program has it yet */
};

/* One socket as the table keeps it. "–" in a comment: value when unknown. */
struct nt_rec {
	uint64_t cookie;    /* SO_COOKIE; unique until reboot */
	uint64_t cgroup_id; /* inode of the cgroup v2 directory; 0 – */
	uint8_t src[16];    /* network order; IPv4 in the first 4 bytes */
	uint8_t dst[16];
	uint16_t sport;
	uint16_t dport;
	uint32_t netns; /* inode of the network namespace */
	uint32_t ifindex; /* bound device; 0 none */
	uint32_t uid;
	uint32_t inode;	 /* 0: TIME_WAIT, request, orphan, not accepted */
	uint8_t family;	 /* AF_INET (also for IPv4-mapped) or AF_INET6 */
	uint8_t proto;	 /* enum nt_proto */
	uint8_t state;	 /* TCP_* number */
	uint8_t timer;	 /* idiag_timer */
	uint8_t timer_retrans; /* idiag_retrans */
	uint8_t ca_state;
	uint8_t retransmits;
	uint8_t backoff;
	uint8_t cong_id;       /* index for nt_cong_name(); 0 – */
	uint8_t level;	       /* enum nt_level; sinks 10 s after the last verdict */
	uint8_t verdict;       /* worst active enum nt_verdict, valid if verdicts != 0 */
	uint8_t verdict2;      /* second worst; equal to verdict if there is none */
	uint8_t who, who2;	   /* of the two: enum nt_who */
	uint8_t because, because2; /* ... enum nt_because */
	uint16_t verdicts;     /* active now: 1 << enum nt_verdict */
	uint16_t verdict_past[3]; /* conditions met in the last three intervals, newest first */
	uint32_t flags;	       /* enum nt_flag */

	/* Gauges, 0 where the kernel sent none; the others are in nt_detail.info. */
	uint32_t rqueue; /* LISTEN: accept queue */
	uint32_t wqueue; /* LISTEN: its limit */
	uint32_t rtt_us;
	uint32_t rttvar_us;
	uint32_t min_rtt_us; /* ~0 –, as in tcp_info */
	uint32_t snd_cwnd;
	uint32_t lost;
	float flow_rx_bytes_per_s; /* of flow_bytes_per_s: intervals that received more than they sent */

	/* Cumulative counters, at the kernel's width (the limits in ms, modulo 2^32). */
	uint64_t bytes_sent;
	uint64_t bytes_acked;
	uint64_t bytes_received;
	uint64_t bytes_retrans;
	uint32_t busy_ms;
	uint32_t rwnd_limited_ms;
	uint32_t sndbuf_limited_ms;
	uint32_t total_retrans;
	uint32_t dsack_dups;
	uint32_t drops;
	uint16_t total_rto;
	uint16_t segs_done; /* with data, sent and not on their way any more; modulo 2^16 */

	/* Of the last interval; valid with NT_F_RATES (NT_F_LIMITED, NT_F_RETR_PCT). */
	float tx_bytes_per_s; /* acknowledged payload */
	float rx_bytes_per_s; /* received in-order payload */
	float retrans_per_s;
	float retr_pct; /* bytes resent of bytes sent, of 5 to 10 s, less what DSACK proved spurious */
	float drops_per_s;
	float flow_bytes_per_s; /* max(tx, rx), mean over about 5 s */
	uint8_t lim_rwnd_pct;	/* shares of the last window of >= 1 s, in percent */
	uint8_t lim_sndbuf_pct;
	uint8_t lim_cwnd_pct;
	uint8_t lim_in_flight_pct;
	uint8_t lim_idle_pct;
	uint8_t strength; /* log2 bucket of value / threshold of the worst verdict */
	uint16_t owners;  /* further processes that hold the socket */
	uint32_t oldest_unread_ms; /* lower bound, valid with NT_F_OLDEST_UNREAD */
	float verdict_value;	   /* number of the worst verdict, in its own unit */
	float verdict2_value;
	uint32_t verdict_since_s; /* engine seconds when the worst verdict began */
	uint32_t who_since_s;	  /* engine seconds when `who` last changed */
	uint32_t well_since_s;	  /* engine seconds of the last verdict as strong as `strength` */
	uint32_t first_seen_s;	  /* engine seconds */

	/* The table's own book-keeping. */
	uint32_t state_since_s; /* engine seconds when it was first seen in its state */
	uint32_t loaded_proc;	/* 1 + slot of its nt_proc in an engine filled by nt_load */
	uint32_t detail;	/* 1 + slot of its nt_detail */
	uint32_t plane; /* 1 + slot of its nt_plane; of a freed record the next free one */
	uint64_t base_ns;  /* time of the counters above */
	uint32_t lim_at_ms; /* engine milliseconds when the three lim_*_ms were taken */
	uint32_t lim_busy_ms, lim_rwnd_ms, lim_sndbuf_ms; /* MPTCP: nt_bound_mptcp()'s */
	uint32_t taken_bytes; /* low word of bytes_received - rqueue, to see the reader move; MPTCP: of rcv_nxt */
	uint32_t taken_at_ms; /* engine milliseconds when it last moved */
	uint32_t rtt_at_ms; /* engine milliseconds when srtt last had a new sample */
	uint32_t rtt_low_us[2], rtt_low_at_ms; /* least srtt of a step of time and the one before; 0 – */
	uint8_t rtt_high; /* intervals with a new sample in a row that were far over the minimum */
	uint8_t waits_past; /* of the last four intervals, newest lowest: 1 with samples, 16 read late */
	uint16_t verdicts_unwell; /* of verdicts: those that are unwell by themselves */
	uint32_t lost_here_s; /* 1 + engine seconds when most of what was resent was dropped on this host */
	uint32_t loss_at_ms;  /* engine milliseconds when loss_*[0] was taken */
	uint32_t loss_retrans[2], loss_dsacks[2]; /* segments; newest first */
	uint16_t loss_lag; /* segments resent in the interval before loss_*[0] were taken */
	uint8_t order_past; /* of the last four intervals, newest lowest: 1 reordered moved, 16 out_of_order */
	uint8_t here_left; /* dropped on this host in the last intervals and not resent yet */
	uint32_t loss_dups_s; /* 1 + engine seconds when DSACKs last showed duplicates made by the network */
	struct nt_usual rtt_usual; /* of srtt */
	uint64_t loss_sent[2], loss_resent[2]; /* bytes, before Linux 4.19 segments */
	uint32_t segs_out[2], reordered[2]; /* with data; taken when loss_* are */
	uint32_t segs_in[2], out_of_order[2];
	uint32_t last_reordered, last_out_of_order; /* of the last interval */
};

/* What only the selected, exported or opened sockets need. */
struct nt_detail {
	uint64_t cookie;
	uint16_t info_len; /* bytes of info that the kernel sent; 0 none */
	uint8_t skmem_len; /* bytes of skmem that the kernel sent */
	uint8_t meminfo_len;
	uint8_t cong_info_type; /* 3 vegas, 9 dctcp, 16 bbr; 0 none */
	uint8_t cong_info_len;
	uint8_t tos;	   /* with has & 1 */
	uint8_t tclass;	   /* with has & 2 */
	uint8_t shutdown;  /* with has & 4 */
	uint8_t v6only;	   /* with has & 8 */
	uint16_t has;
	uint32_t mark;	   /* with has & 16 */
	uint32_t class_id; /* with has & 32 */
	uint16_t sockopt;  /* with has & 64: two bytes of bits */
	uint8_t ulp[6];	   /* name, "" none */
	char cong[16];
	uint32_t meminfo[4]; /* rmem, wmem, fmem, tmem */
	uint32_t skmem[9];
	uint32_t cong_info[5];
	uint8_t info[288]; /* tcp_info (or mptcp_info) as sent */
};

/* The first process that holds a socket. */
struct nt_proc {
	uint32_t pid; /* 0: see owner */
	uint32_t fd;
	uint32_t owner; /* enum nt_owner */
	uint32_t more;	/* further processes */
	uint64_t start_ticks; /* start time since boot, so that a pid is never mistaken */
	char comm[16];	/* raw bytes from the kernel, NUL-terminated */
};

/* A row of the window: one socket with its owner and what the BPF planes know of it. */
struct nt_row {
	struct nt_rec rec;
	struct nt_proc proc;
	struct nt_plane plane; /* all 0 where no BPF plane knows the socket */
};

/* What is wrong with a socket, in short: the members of its nt_rec that say so. */
struct nt_sick {
	uint64_t cookie;
	uint32_t flags; /* enum nt_flag */
	uint16_t verdicts, verdicts_unwell;
	uint8_t verdict, verdict2;
	uint8_t who, who2;
	uint8_t because, because2;
	float verdict_value, verdict2_value;
};

/* A member of the window when sockets are grouped. */
struct nt_group {
	uint8_t key[16]; /* address, for the address groupings */
	uint64_t cgroup_id;
	uint64_t worst_cookie;
	struct nt_proc proc; /* pid is set when grouped by process */
	uint32_t netns;	  /* also of the address groupings: an address means something in it only */
	uint32_t ifindex; /* ... and on the device that the sockets are bound to; 0 none */
	uint32_t key_port; /* protocol << 16 | port, of the groupings by port; else 0 */
	uint16_t port;	/* common port of all members; 0 they differ */
	uint8_t family;
	uint8_t level;	 /* of the worst member */
	uint8_t verdict; /* of the worst member, valid if has_verdict */
	uint8_t has_verdict;
	uint8_t who, because; /* of the verdict */
	float verdict_value;
	uint32_t sockets, unwell, watch;
	uint32_t rtt50_us, rtt90_us, rtt_max_us; /* of the sockets; 0 – */
	uint64_t rqueue_bytes, wqueue_bytes; /* listeners left out */
	/* Of those that have them; negative –: none has. */
	float tx_bytes_per_s, rx_bytes_per_s, retrans_per_s;
	float retr_pct; /* negative – */
	uint64_t wait_octaves[32]; /* nt_hist.h's, of the interval; listeners left out */
	uint64_t wait_sum_ns, wait_max_ns;
	uint64_t ack_octaves[32]; /* of the sends that were stamped, as nt_plane has them */
	uint64_t ack_sum_ns, ack_max_ns;
};

/* Sums over all sockets of the last sweep, whatever the filter. */
struct nt_totals {
	uint32_t sweep; /* number of the sweep, from 1 */
	uint32_t tcp, udp, mptcp;
	uint32_t by_state[16]; /* TCP only */
	uint32_t matched;      /* pass the filter */
	uint32_t unwell, watch; /* of the matched */
	uint32_t who[7][2];    /* [enum nt_who][watch, unwell], of the matched; what only looks like it is unknown */
	uint32_t opened, closed; /* since the sweep before; valid from the second on */
	uint32_t netns; /* namespaces in the sweep */
	double tx_bytes_per_s, rx_bytes_per_s, retrans_per_s; /* of the matched */
	double flow_retrans_pct; /* of the matched; negative – */
	/* Health of the plane itself. */
	uint64_t messages, bytes;
	uint64_t cpu_ns, wall_ns;
	uint32_t duplicates; /* listed twice in one dump */
	uint32_t restarts;   /* dumps begun again after ENOBUFS */
	uint32_t malformed;  /* messages that were skipped */
	uint32_t truncated;  /* reads cut by the buffer */
	uint32_t dumps;	     /* that were due: by namespace, protocol and family */
	uint32_t failed;     /* of these; nt_failures() says which */
};

/* A dump that failed: what it would have listed is unknown. */
struct nt_failure {
	uint32_t netns;
	uint8_t proto;	/* enum nt_proto */
	uint8_t family; /* AF_INET, AF_INET6; 0 both */
	uint16_t pad;
	int32_t error; /* errno */
};

/* Where members of struct tcp_info lie (include/uapi/linux/tcp.h), of those that C reads. */
enum nt_info {
	TI_CA_STATE = 1,
	TI_RETRANSMITS = 2,
	TI_BACKOFF = 4,
	TI_DELIVERY_RATE_APP_LIMITED = 7,
	TI_RTO = 8,
	TI_SND_MSS = 16,
	TI_UNACKED = 24,
	TI_LOST = 32,
	TI_LAST_DATA_SENT = 44,
	TI_LAST_DATA_RECV = 52,
	TI_LAST_ACK_RECV = 56,
	TI_RTT = 68,
	TI_RTTVAR = 72,
	TI_SND_CWND = 80,
	TI_TOTAL_RETRANS = 100,
	TI_PACING_RATE = 104,
	TI_MAX_PACING_RATE = 112,
	TI_BYTES_ACKED = 120,
	TI_BYTES_RECEIVED = 128,
	TI_NOTSENT_BYTES = 144,
	TI_MIN_RTT = 148,
	TI_DATA_SEGS_IN = 152,
	TI_DATA_SEGS_OUT = 156,
	TI_BUSY_TIME = 168,
	TI_RWND_LIMITED = 176,
	TI_SNDBUF_LIMITED = 184,
	TI_BYTES_SENT = 200,
	TI_BYTES_RETRANS = 208,
	TI_DSACK_DUPS = 216,
	TI_REORD_SEEN = 220,
	TI_RCV_OOOPACK = 224,
	TI_SND_WND = 228,
	TI_RCV_WND = 232,
	TI_TOTAL_RTO = 240,
};

enum nt_type { NT_U8 = 1, NT_U16 = 2, NT_U32 = 3, NT_U64 = 4, NT_F32 = 5, NT_BIT = 6 };
enum nt_base { NT_BASE_REC = 1, NT_BASE_INFO = 2, NT_BASE_SKMEM = 3, NT_BASE_PROC = 4, NT_BASE_TEXT = 5, NT_BASE_PLANE = 6 };

/* nt_operand.offset of NT_BASE_TEXT: a sort key only, in the order of bytes. */
enum nt_text_key { NT_KEY_PROC = 1, NT_KEY_REMOTE = 2, NT_KEY_LOCAL = 3, NT_KEY_CONG = 4, NT_KEY_WHO = 5 };

/* Where a number lives. */
struct nt_operand {
	uint8_t base;	/* enum nt_base; 0: the constant alone */
	uint8_t type;	/* enum nt_type */
	uint16_t offset;
	uint16_t bit;	/* NT_BIT: bit number within the byte at offset, | width << 8 */
	uint16_t pad;
	uint32_t need_flags; /* nt_rec.flags that must be set, else unknown */
	uint32_t protos;     /* 1 << enum nt_proto it applies to */
	uint32_t states;     /* 1 << state it applies to (TCP) */
	uint32_t has_absent; /* absent holds the raw value that means unknown */
	uint64_t absent;
	double scale; /* multiply to get the field's base unit */
};

enum nt_how { NT_HOW_ALONE = 0, NT_HOW_RATIO = 1, NT_HOW_SUM = 2, NT_HOW_DIFFERENCE = 3 };

/* A sort key and either side of a comparison: a, or of both unless one is unknown. */
struct nt_term {
	struct nt_operand a, b; /* b only with another how than ALONE */
	uint32_t how;		/* enum nt_how; a ratio by 0 is unknown */
	uint32_t pad;
};

/*
 * A filter is a postfix program over a stack of booleans. Comparisons with an
 * unknown value are false, so is their negated operator; NOT inverts.
 */
enum nt_opcode {
	NT_OP_TRUE = 1,
	NT_OP_AND = 2,
	NT_OP_OR = 3,
	NT_OP_NOT = 4,
	NT_OP_CMP = 5,	     /* left cmp right (+ number) */
	NT_OP_ADDR = 6,	     /* src or dst within a prefix, perhaps a port too */
	NT_OP_TEXT = 7,	     /* comm or congestion control against a pattern */
	NT_OP_IN = 8,	     /* left is one of a set of integers */
	NT_OP_STATES = 9,    /* 1 << state in mask */
	NT_OP_OWNER = 10,    /* held by the pid in number, also as a further owner */
};
enum nt_cmp { NT_EQ = 1, NT_NE = 2, NT_LT = 3, NT_LE = 4, NT_GT = 5, NT_GE = 6 };
/* COMM_NOCASE: the pattern is in small letters. */
enum nt_text { NT_TEXT_COMM = 1, NT_TEXT_CONG = 2, NT_TEXT_COMM_NOCASE = 3 };

struct nt_op {
	uint8_t code; /* enum nt_opcode */
	uint8_t cmp;  /* enum nt_cmp: for CMP and TEXT (EQ, NE) */
	uint8_t side; /* ADDR: 0 src, 1 dst; TEXT: enum nt_text */
	uint8_t family; /* ADDR: AF_INET, AF_INET6 or 0 any */
	uint8_t prefix; /* ADDR: bits of addr that count */
	uint8_t pad[3];
	int32_t port;	/* ADDR: -1 any */
	uint32_t mask;	/* STATES */
	uint8_t addr[16];
	struct nt_term left, right; /* right.a.base 0: compare with number */
	double number;	/* CMP: added to right; OWNER: the pid */
	uint32_t data;	/* TEXT: offset of a NUL-terminated glob; IN: of sorted u64, both in the data blob */
	uint32_t n;	/* IN: how many */
};

/* Which sockets are asked for and which rows appear without a filter. */
struct nt_config {
	uint32_t tcp_states; /* 1 << state to dump; 0 no TCP */
	uint8_t udp;	     /* dump UDP */
	uint8_t mptcp;	     /* dump MPTCP-level sockets where the kernel can */
	uint8_t rows_all;    /* every dumped socket is a row; else the default rule */
	uint8_t listen_only;
	uint8_t family; /* 0 both, AF_INET, AF_INET6 */
	uint8_t run_of_planes; /* a run is all that a plane counted, not what this engine saw */
	uint8_t pad[2];
	uint32_t roll_ms; /* a younger baseline is kept: no rates from shorter intervals */
	uint32_t detail_max; /* keep nt_detail of at most so many matched sockets; ~0 all */
	/* Verdict thresholds; second value: unwell. */
	float loss_pct[2];
	uint32_t loss_retrans;
	uint8_t thin_pct, reordered_pct, holes_pct, holes_steady_pct;
	float rtt_ratio[2];
	uint32_t rtt_over_us;
	uint8_t rwnd_pct[2], sndbuf_pct[2], cwnd_pct, accept_pct[2], rcvbuf_pct, option_pct, pad2[3];
	uint32_t unread_ms[2];
	uint32_t unclosed_s;
	float drops_per_s[2];
	uint32_t wait_ms[2], wait_count; /* p99 of the RX queue wait, from so many samples on */
	uint32_t qdisc_us[2], nic_us[2]; /* p99 of the stage */
};

/* One namespace that is polled. */
struct nt_netns_fds {
	int diag_fd;	 /* NETLINK_SOCK_DIAG socket made inside it */
	int sockstat_fd; /* /proc/net/sockstat as seen inside it; -1 none */
	int snmp_fd;	 /* /proc/net/snmp; -1 none */
	int netstat_fd;	 /* /proc/net/netstat; -1 none */
	int sockstat6_fd; /* /proc/net/sockstat6; -1 none */
	int snmp6_fd;	 /* /proc/net/snmp6; -1 none */
	int route_fd;	 /* NETLINK_ROUTE socket made inside it; -1 none */
	int conntrack_fd; /* /proc/net/stat/nf_conntrack; -1 none */
	int wmem_fd;	 /* /proc/sys/net/ipv4/tcp_wmem; -1 none */
};

struct nt_procs_stats {
	uint32_t processes;   /* seen in this scan */
	uint32_t rescanned;   /* whose descriptors were read again */
	uint32_t unreadable;  /* other users' processes */
	uint32_t sockets;     /* socket descriptors known */
	uint32_t generation;  /* grows when any owner changed */
	uint32_t netns_count; /* distinct network namespaces of processes that could be read */
	uint64_t cpu_ns;
	uint32_t hidden; /* 1: /proc does not list every process (hidepid, or a PID namespace) */
	uint32_t unlooked; /* threads' tables and io_uring instances that could not be looked into */
	uint32_t unlisted;    /* ... of which not even that: their /proc/PID/fd cannot be opened */
	uint32_t refused_pid; /* first of the unreadable; 0 none */
	uint32_t not_found;   /* sockets whose search ended without a holder, since the start */
};
