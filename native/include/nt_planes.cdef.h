/* What the BPF planes know of a socket, and times as distributions. */

/* Times of one interval, ns. count 0: nothing was measured and the rest is unknown. */
struct nt_dist {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t p50_ns, p90_ns, p99_ns, max_ns;
};

/* What is usual for a flow: the running median of the logarithm of a time, and how far it strays. */
struct nt_usual {
	uint16_t log;	/* of nanoseconds, 1024 to the octave */
	uint8_t spread; /* median distance from it, 32 to the octave */
	uint8_t seen;	/* intervals that it is of, 127 at most; 128 is added if the last was far above */
};
enum nt_usual_of { NT_USUAL_WAIT = 0, NT_USUAL_QDISC = 1, NT_USUAL_NIC = 2, NT_USUAL_COUNT = 3 };

enum nt_buckets { NT_FINE_BUCKETS = 2048, NT_OCTAVE_BUCKETS = 32 };

/* The parts of a send; the order of nt_plane.tx[]. */
enum nt_stage {
	NT_TX_COPY = 0,	  /* call entered -> end of copy, without sndbuf */
	NT_TX_SNDBUF = 1, /* waiting for send-buffer space */
	NT_TX_TCP = 2,	  /* end of copy -> first SCHED: cwnd, pacing, Nagle, TSQ */
	NT_TX_QDISC = 3,  /* first SCHED -> first SND */
	NT_TX_NIC = 4,	  /* SND by software -> SND by hardware */
	NT_TX_ACK = 5,	  /* last SND -> ACK */
	NT_TX_TOTAL = 6,  /* call entered -> ACK */
	NT_TX_STAGES = 7,
};

/* nt_plane.has */
enum nt_plane_has {
	NT_P_WAIT = 1,	       /* the wait plane traces this socket */
	NT_P_UNREAD = 2,       /* oldest_unread_ns is known */
	NT_P_UNREAD_BOUND = 4, /* ... as a lower bound */
	NT_P_TX = 8,	       /* the stages plane traces this socket */
	NT_P_TX_PATH = 32,     /* ... and its sends by tracepoints: qdisc, of TCP ack too */
	NT_P_WAIT_PROBE = 16,  /* ... and its wait by tcp_probe, which is approximate */
	NT_P_WAIT_OCTAVES = 64, /* percentiles of wait are upper edges of octaves, max_ns aside */
	NT_P_TX_OCTAVES = 128,	/* ... those of tx */
	NT_P_SPLIT = 256,	/* split is known */
	NT_P_UDP = 512,		/* udp is known */
	NT_P_WAIT_SHARED = 1024, /* wait is of all listeners at one port together */
};

/*
 * What the program did while received data waited for it. Where the parts make less than
 * waiting_ns, the rest is unknown.
 */
struct nt_split {
	uint64_t waiting_ns; /* so long something was unread, in the interval */
	uint64_t wake_ns;    /* until a thread that slept on it was woken */
	uint64_t cpu_ns;     /* it was ready, and no CPU was given to it */
	uint64_t ran_ns;     /* it ran, and did something else */
	uint64_t asleep_ns;  /* it slept, and not on this socket */
	uint64_t stopped_ns; /* it was stopped by a signal or a debugger */
	uint64_t takes;	     /* waits that ended with a read */
	uint64_t others;     /* of these, such as another thread read than was expected */
};

/* What a UDP socket moved in the interval; over_ns 0: how long that was is not known. */
struct nt_udp {
	uint64_t rx_bytes, tx_bytes;
	uint64_t rx_datagrams, tx_datagrams; /* or batches: UDP_GRO, UDP_SEGMENT */
	uint64_t over_ns;
};

/* Of the last interval. */
struct nt_plane {
	struct nt_dist wait;
	uint32_t wait_octaves[32]; /* nt_hist.h's octaves */
	uint64_t oldest_unread_ns;
	uint32_t wait_bounded;	/* samples that are lower bounds */
	uint32_t wait_approx;	/* samples off by more than 3 %: deliveries were merged */
	uint32_t has;		/* enum nt_plane_has */
	uint32_t tx_sends;	/* sampled sends that were completed */
	uint32_t tx_incomplete; /* stamps lost: mostly joined by a later send, one key for both */
	uint32_t tx_open;	/* sampled, and not acknowledged yet */
	uint32_t tx_resent;	/* SND stamps beyond the first */
	uint32_t tx_nic_bar_ns; /* ± of the nic stage: two clocks were read for it */
	struct nt_dist tx[7];
	uint16_t ack_octaves[32]; /* of tx[NT_TX_ACK]; all 0 where one of them went round */
	struct nt_split split; /* with NT_P_SPLIT */
	struct nt_udp udp;     /* with NT_P_UDP */
	uint32_t standing_ms;  /* so long all that was read had waited 5 ms or more; 0: not so */
	struct nt_usual usual[NT_USUAL_COUNT]; /* of the medians of intervals */
};

/* --- pure functions over buckets (nt_hist.c) --- */
/*
 * Fills count and percentiles from n buckets (fine 1: nt_hist.h's fine ones, 0: octaves). max_ns
 * and sum_ns of ret are used where they are known, and estimated from the edges where they are 0.
 */
int nt_dist_of(const uint64_t *buckets, uint32_t n, int fine, struct nt_dist *ret);
/* Upper edge of the bucket that holds the ceil(q * count)-th; 0 if there is none. */
uint64_t nt_quantile(const uint64_t *buckets, uint32_t n, int fine, double q);
/* Lower edge of bucket i, the upper one of i - 1. */
uint64_t nt_bucket_ns(uint32_t i, int fine);

/* The fine bucket of a time. */
uint32_t nt_fine_bucket(uint64_t ns);

/*
 * libbpf's warnings so far, with the verifier's log of refused programs: at most max bytes, not
 * terminated; returns how many there are.
 */
uint32_t nt_bpf_log(char *ret, uint32_t max);

/* --- what the programs cost (nt_bpf.c) --- */
struct nt_wait;
struct nt_stages;
struct nt_events;

/* One loaded program; both only grow, and only while BPF statistics are on. */
struct nt_prog {
	uint64_t runs;
	uint64_t time_ns;
	char name[16];
};

/*
 * Switches BPF run statistics on for the whole host until the descriptor is closed (Linux 5.8,
 * CAP_SYS_ADMIN). Returns it, or -EPERM.
 */
int nt_bpf_stats_open(void);
/* The plane's programs that are loaded; returns how many, fills at most max. */
int nt_wait_programs(struct nt_wait *w, struct nt_prog *ret, uint32_t max);
int nt_stages_programs(struct nt_stages *s, struct nt_prog *ret, uint32_t max);
int nt_events_programs(struct nt_events *s, struct nt_prog *ret, uint32_t max);
