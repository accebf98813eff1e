/* --- RX queue wait through eBPF (nt_wait.c) --- */
struct nt_wait;
struct nt_engine;

/* Of the plane itself; what is not "of the interval" only grows. */
struct nt_wait_totals {
	struct nt_dist all;   /* of the interval: every traced socket, those that closed too */
	uint64_t runs;	      /* of all programs */
	uint64_t no_storage;  /* sockets that could not be traced */
	uint64_t merges;      /* deliveries that shared an entry of a full ring */
	uint64_t bounded;     /* samples that are lower bounds */
	uint64_t cpu_ns;      /* what this read cost the caller */
	uint32_t sockets;     /* records that the read found */
	uint32_t sample_shift; /* 1 socket in 2^shift is traced */
	uint32_t focus_full;  /* sockets without fine buckets: more than 256 were asked for */
};

enum nt_wait_method {
	NT_WAIT_EXACT = 0, /* sk_data_ready, sock_recv_length: Linux 6.3 */
	NT_WAIT_FENTRY = 1, /* the functions around the same instants, where fentry loads */
	NT_WAIT_PROBE = 2, /* tcp_probe: TCP alone, out-of-order data counts from its arrival */
};

/*
 * Loads and attaches; on failure why says in one line what is missing. confined: no socket is
 * traced until nt_wait_spaces names namespaces; 0: all are, from the start.
 */
int nt_wait_open(int method, int confined, struct nt_wait **ret, char *why, uint32_t n_why);
/* Traces sockets of these network namespaces alone from now on; n 0: of all. */
int nt_wait_spaces(struct nt_wait *w, const uint32_t *netns, uint32_t n);
/*
 * Records are read through the files of processes, where the kernel refuses iterators over the
 * elements of maps: not those of sockets that no process holds any more. 0: all are read.
 */
int nt_wait_by_files(const struct nt_wait *w);
/* Detaches; nothing remains in the kernel. */
void nt_wait_close(struct nt_wait *w);
/* Marks data that is unread now as older than now, in one namespace (-1: the caller's own). */
int nt_wait_seed(struct nt_wait *w, int ns_fd);
/* Inodes of the sockets that the kernel opened for itself there; returns how many there are. */
int nt_wait_kernel_sockets(struct nt_wait *w, int ns_fd, uint32_t *inodes, uint32_t max);
/* Traces 1 socket in 2^shift, chosen by cookie. */
int nt_wait_sample(struct nt_wait *w, uint32_t shift);
/* Fine buckets for these sockets (at most 256); one that is new begins at 0. */
int nt_wait_focus(struct nt_wait *w, const uint64_t *cookies, uint32_t n);
/* Ends an interval: reads the kernel's counters and hands them to the engine. */
int nt_wait_read(struct nt_wait *w, struct nt_engine *e, struct nt_wait_totals *ret);

/* --- what the engine knows of waits (nt_wait_apply.c) --- */
/* The plane has ended: what the engine knew of waits is void. */
void nt_wait_forget(struct nt_engine *e);
/* Of the interval, over every traced socket. */
int nt_wait_interval(struct nt_engine *e, struct nt_dist *ret);
/*
 * Fine buckets (nt_hist.h) of the interval, or with run of all since the focus or nt_wait_clear:
 * the sum over the sockets named, n 0: all that are traced. dist gets their percentiles.
 * Returns how many of the sockets have fine buckets; -ENOENT: no plane is on.
 */
int nt_wait_buckets(struct nt_engine *e, const uint64_t *cookies, uint32_t n, int run,
		    uint64_t *buckets, struct nt_dist *dist);
/* "Since" begins now. */
void nt_wait_clear(struct nt_engine *e);
/* Octave buckets of the interval over the sockets that pass the engine's filter. */
int nt_wait_matched(struct nt_engine *e, uint64_t *octaves, struct nt_dist *dist);
