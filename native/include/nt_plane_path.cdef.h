/* --- path: where received packets spend their time below the socket (nt_path.c) --- */
struct nt_path;
struct nt_engine;
struct nt_dist;

/* In the order of the way; one histogram each. */
enum nt_path_hook {
	NT_PATH_IP = 0,	       /* ip_rcv_core, ip6_rcv_core */
	NT_PATH_TCP = 1,       /* tcp_v4_rcv, tcp_v6_rcv */
	NT_PATH_UDP = 2,       /* udp_rcv, udpv6_rcv */
	NT_PATH_TCP_QUEUED = 3, /* tcp_queue_rcv */
	NT_PATH_UDP_QUEUED = 4, /* __udp_enqueue_schedule_skb */
	NT_PATH_TCP_READ = 5,  /* tcp_recv_timestamp */
	NT_PATH_UDP_READ = 6,  /* skb_consume_udp */
};

/* Of one hook, since the plane is on. */
struct nt_path_counts {
	uint64_t unstamped;    /* packets without a time of reception */
	uint64_t foreign;      /* with another clock's: a time of departure */
	uint64_t impossible;   /* times that cannot be */
	uint64_t head_of_line; /* read late for want of an earlier segment */
};

/*
 * Loads the hooks that this kernel takes, and with stamp has every packet of the host stamped while
 * the plane is open. Returns the hooks as bits; on failure why says in one line what is missing.
 */
int nt_path_open(int stamp, struct nt_path **ret, char *why, uint32_t n_why);
/* Detaches, and stamping ends. */
void nt_path_close(struct nt_path *p);
/* Ends an interval, which the engine takes; once per tick. */
int nt_path_read(struct nt_path *p, struct nt_engine *e);
/* --- as of the last interval that the engine took (nt_path_apply.c) --- */
/* The hooks that it has, as bits; 0: no plane is on. */
int nt_path_hooks(struct nt_engine *e);
/* Fine buckets of one hook: of the interval, or with run since nt_path_clear. */
int nt_path_buckets(struct nt_engine *e, uint32_t hook, int run, uint64_t *buckets,
		    struct nt_dist *dist, struct nt_path_counts *counts);
/* The run begins now. */
void nt_path_clear(struct nt_engine *e);
