/*
 * What a host says beside its sockets: devices, qdiscs and routes of a namespace, threads of a
 * process.
 * Functions return how many there are and fill at most max, or -errno.
 */

/* A device: IFLA_STATS64 and what goes with it, since it was made. */
struct nt_link {
	uint32_t ifindex;
	uint32_t carrier_changes;
	uint32_t flags; /* IFF_ */
	uint32_t mtu;	/* bytes */
	uint64_t rx_packets, tx_packets;
	uint64_t rx_bytes, tx_bytes;
	uint64_t rx_errors, tx_errors;
	uint64_t rx_dropped, tx_dropped;
	uint64_t rx_missed_errors, rx_fifo_errors, rx_over_errors, rx_crc_errors, rx_nohandler;
	uint64_t tx_fifo_errors, tx_carrier_errors, tx_aborted_errors;
	char name[16];
};

/* A qdisc; what its kind does not count is 0. */
struct nt_qdisc {
	uint32_t ifindex;
	uint32_t handle, parent; /* TC_H_ */
	uint32_t pad;
	uint64_t bytes, packets; /* that left it, since it was made */
	uint32_t drops, overlimits, requeues;
	uint32_t backlog_bytes, backlog_packets; /* in it now */
	uint32_t pad2;
	uint64_t throttled, flows_plimit, horizon_drops; /* fq */
	uint64_t drop_overlimit, drop_overmemory, ecn_mark; /* fq_codel, codel */
	uint64_t ce_mark; /* all three */
	char kind[16];
};

/* By a NETLINK_ROUTE socket made in the namespace; the numbers of its requests must differ. */
int nt_links_read(int route_fd, uint32_t seq, struct nt_link *ret, uint32_t max);
int nt_qdiscs_read(int route_fd, uint32_t seq, struct nt_qdisc *ret, uint32_t max);
/* Where a packet goes next. */
struct nt_route {
	uint32_t ifindex;
	uint8_t via_family; /* of the gateway, which may be another; 0: there is none */
	uint8_t pad[3];
	uint8_t via[16];
};
/*
 * By which device a packet between these addresses (network order, AF_INET the first 4 bytes) would
 * leave; 0, or -errno as the kernel says it: -ENETUNREACH and the like where there is no route,
 * -EINVAL, -EACCES and -EHOSTUNREACH where it is a blackhole, prohibits or is unreachable.
 */
int nt_route_read(int route_fd, uint32_t seq, uint8_t family, const uint8_t src[16],
		  const uint8_t dst[16], struct nt_route *ret);
/*
 * What is known of a neighbour on a device: *state NUD_* of linux/neighbour.h; 0, or -errno:
 * -ENOENT: it was not looked for lately.
 */
int nt_neighbour_read(int route_fd, uint32_t seq, uint8_t family, uint32_t ifindex,
		      const uint8_t dst[16], uint32_t *state);

/*
 * Pure: takes the messages of one read of such a dump. *count: of all so far, those beyond max too.
 * Returns 0: there is more; 1: the dump ended; 2: it ended, and the list changed meanwhile, so that
 * some may be missing or twice; the dump's own -errno, or -EPROTO for what no kernel writes.
 */
int nt_links_parse(const uint8_t *raw, uint32_t n, uint32_t seq, struct nt_link *ret, uint32_t max,
		   uint32_t *count);
int nt_qdiscs_parse(const uint8_t *raw, uint32_t n, uint32_t seq, struct nt_qdisc *ret,
		    uint32_t max, uint32_t *count);
/* As these, of the answer to a request for a route, and for a neighbour: its state. */
int nt_routes_parse(const uint8_t *raw, uint32_t n, uint32_t seq, struct nt_route *ret,
		    uint32_t max, uint32_t *count);
int nt_neighbours_parse(const uint8_t *raw, uint32_t n, uint32_t seq, uint32_t *ret, uint32_t max,
			uint32_t *count);

/* A thread by /proc/PID/task/TID/{schedstat,stat}. */
struct nt_thread {
	uint32_t tid;
	uint8_t state; /* the letter of proc_pid_stat(5); 0: not known */
	uint8_t pad[3];
	uint64_t cpu_ns;       /* that it ran, since it began */
	uint64_t run_delay_ns; /* that it was ready and waited for a CPU, since it began */
	char comm[16];	       /* as the kernel has it, for the terminal unsafe; \0: not known */
};
/* -ESRCH: the process has ended; -ENOSYS: the kernel keeps no such times. */
int nt_threads_read(const char *proc_root, uint32_t pid, struct nt_thread *ret, uint32_t max);
/* One thread of it: its times alone. */
int nt_thread_times(const char *proc_root, uint32_t pid, uint32_t tid, struct nt_thread *ret);
