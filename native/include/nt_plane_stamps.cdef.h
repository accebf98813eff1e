/* --- stamps: control messages of own sockets (nt_stamps_parse.c, nt_stamps.c) --- */

/* Bits of struct nt_stamp.has. */
enum nt_stamp_has {
	NT_ST_SOFTWARE = 1, /* software_ns */
	NT_ST_HARDWARE = 2, /* hardware_ns */
	NT_ST_LEGACY = 4,   /* legacy_ns */
	NT_ST_KEY = 8,	    /* type and key: a stamp of something sent */
	NT_ST_PKTINFO = 16, /* if_index, wire_bytes */
	NT_ST_STATS = 32,   /* stats */
	NT_ST_ICMP = 64,    /* errno_told: an error of the network, not a stamp */
};

/* Bits of struct nt_stamp.errors: what could not be used, so is not in has. */
enum nt_stamp_error {
	NT_STE_TRUNCATED = 1, /* MSG_CTRUNC: the kernel had more than there was room for */
	NT_STE_LENGTH = 2, /* a control message longer than the rest, or shorter than its header */
	NT_STE_SHORT = 4,  /* a known type with less than its record */
	NT_STE_VALUE = 8,  /* a time that is none */
	NT_STE_UNKNOWN = 16, /* a type that is not read here */
	NT_STE_STATS = 32,   /* statistics that do not fit their attributes */
};

/* include/uapi/linux/errqueue.h, ee_info. */
enum nt_stamp_type {
	NT_STAMP_SND = 0,
	NT_STAMP_SCHED = 1,
	NT_STAMP_ACK = 2,
	NT_STAMP_COMPLETION = 3,
};

/* SOF_TIMESTAMPING_OPT_STATS by enum of include/uapi/linux/tcp.h; has: bit 1 << type. */
struct nt_stamp_stats {
	uint64_t busy_us;
	uint64_t rwnd_limited_us;
	uint64_t sndbuf_limited_us;
	uint64_t data_segs_out;
	uint64_t total_retrans;
	uint64_t pacing_rate;
	uint64_t delivery_rate;
	uint64_t bytes_sent;
	uint64_t bytes_retrans;
	uint64_t edt_ns; /* CLOCK_MONOTONIC */
	uint32_t snd_cwnd;
	uint32_t reordering;
	uint32_t min_rtt_us;
	uint32_t sndq_size;
	uint32_t snd_ssthresh;
	uint32_t delivered;
	uint32_t delivered_ce;
	uint32_t dsack_dups;
	uint32_t reord_seen;
	uint32_t srtt_us;
	uint32_t bytes_notsent;
	uint32_t rehash;
	uint32_t timeout_rehash;
	uint32_t recur_retrans;
	uint32_t delivery_rate_app_lmt;
	uint32_t ca_state;
	uint32_t ttl;
	uint32_t has;
};

/* What came with one message. Times: software and legacy CLOCK_REALTIME, hardware the NIC's clock. */
struct nt_stamp {
	uint64_t software_ns;
	uint64_t hardware_ns;
	uint64_t legacy_ns; /* SO_TIMESTAMP (µs) or SO_TIMESTAMPNS */
	uint64_t read_ns; /* CLOCK_REALTIME, after the call that took it; 0 from nt_stamps_parse */
	uint64_t read_mono_ns;
	uint32_t has;
	uint32_t errors;
	uint32_t type; /* enum nt_stamp_type */
	uint32_t key;  /* of the datagram, or of the last byte written */
	uint32_t errno_told;
	uint32_t if_index;
	uint32_t wire_bytes;
	uint32_t bytes;	    /* of the message itself; more than there was room for: MSG_TRUNC */
	uint32_t msg_flags; /* MSG_* of recvmsg */
	uint32_t from_len;
	uint8_t from[28]; /* struct sockaddr_in or sockaddr_in6 of a datagram's sender */
	uint32_t pad;
	struct nt_stamp_stats stats;
};

/* Clocks around a send. */
struct nt_sent {
	uint64_t before_ns; /* CLOCK_REALTIME */
	uint64_t before_mono_ns;
	uint64_t after_mono_ns;
};

/* Pure: the control data of one message. Returns 0; what is wrong is in errors. */
int nt_stamps_parse(const uint8_t *control, uint32_t n, uint32_t msg_flags, struct nt_stamp *ret);
/*
 * Sets SO_TIMESTAMPING (the layout of 64-bit times where the kernel has it) to SOF_TIMESTAMPING_*
 * flags; the same value again starts the keys anew if 0 was set between.
 */
int nt_stamps_enable(int fd, uint32_t flags);
/* One message, without waiting: returns its bytes (0 is a message too), -EAGAIN if there is none. */
int64_t nt_stamps_recv(int fd, uint8_t *data, uint32_t n, int flags, struct nt_stamp *ret);
/* What lies on the error queue; returns how many were taken, at most max. */
int nt_stamps_drain(int fd, struct nt_stamp *v, uint32_t max);
/*
 * Waits for a message until CLOCK_MONOTONIC is deadline_ns, and takes stamps off the error queue
 * meanwhile (else it would keep waking the caller). Returns its bytes; -EAGAIN: the deadline came,
 * or max stamps, or (with stop_at_stamps) some; -EINTR: a signal.
 */
int64_t nt_stamps_await(int fd, uint64_t deadline_ns, int stop_at_stamps, uint8_t *data, uint32_t n,
			struct nt_stamp *ret, struct nt_stamp *v, uint32_t max, uint32_t *taken);
/*
 * Sends; tx_flags: SOF_TIMESTAMPING_TX_* for this call alone (0: as the socket says), to: a
 * sockaddr of n_to bytes or NULL. Returns the bytes that were taken.
 */
int64_t nt_stamps_send(int fd, const uint8_t *data, uint32_t n, int flags, const uint8_t *to,
		       uint32_t n_to, uint32_t tx_flags, struct nt_sent *ret);
