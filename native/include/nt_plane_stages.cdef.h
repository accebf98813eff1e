/* --- TX stages through BPF timestamping (nt_stages.c) --- */
struct nt_stages;

/* Of the plane itself; counters only grow. */
struct nt_stages_totals {
	uint64_t runs;
	uint64_t sampled, done;
	uint64_t merged; /* stamped sends that a later one joined: one key for both */
	uint64_t lost;	 /* stamped sends that will never be complete: no stamp, or no socket any more */
	uint64_t open;	 /* stamped sends that no ACK has covered yet; now */
	uint64_t resent; /* departures beyond the first */
	uint64_t full;	 /* stamped sends that found no place */
	uint64_t own_stamps; /* sends left alone: their program stamps them itself */
	uint64_t nic_lost; /* NICs' stamps that found no place, or whose send was forgotten */
	uint64_t no_storage; /* sends of sockets that could not be traced: memory, optmem's limit */
	uint32_t sockets; /* with sends in the interval, or open ones */
	uint64_t cpu_ns;
};

/* A NIC's stamp of a send, in the time of the NIC's own clock. */
struct nt_stages_nic {
	uint64_t cookie;
	uint64_t left_ns; /* software's departure, CLOCK_MONOTONIC */
	uint64_t hw_ns;
	uint32_t ifindex;
	uint32_t netns; /* inode of the interface's namespace */
};

/* What one took from software's departure to the NIC's, and its bar. */
struct nt_stages_placed {
	uint64_t cookie;
	uint64_t ns;
	uint64_t bar_ns;
};

/* What a walk over the sockets of a namespace did. */
struct nt_stages_walk {
	uint32_t set, cleared;
	uint32_t foreign; /* flag found set: left as it is */
	uint32_t failed;
};

enum nt_stages_method {
	NT_STAGES_ANY = 0,	   /* stamps, else tracepoints */
	NT_STAGES_STAMPS = 1,	   /* BPF timestamping: TCP in all stages, UDP in qdisc */
	NT_STAGES_TRACEPOINTS = 2, /* TCP in qdisc and ack, UDP in qdisc */
};

/* Loads; nothing is attached yet. cgroup_root: the cgroup v2 mount. On failure why says why. */
int nt_stages_open(const char *cgroup_root, int method, struct nt_stages **ret, char *why,
		   uint32_t n_why);
int nt_stages_method(struct nt_stages *s); /* the one that was found to work */
int nt_stages_sees_calls(struct nt_stages *s); /* copy and sndbuf are measured */
int nt_stages_by_files(const struct nt_stages *s); /* as nt_wait_by_files */
/* Detaches. The flags must have been cleared by a walk with nothing selected. */
void nt_stages_close(struct nt_stages *s);
/*
 * Selects these sockets (at most 4096), or with everything all of them, and stamps one send in
 * every. Attaches on the first selection, why says why not; nothing selected changes nothing yet.
 * A walk puts the selection in force.
 */
int nt_stages_select(struct nt_stages *s, const uint64_t *cookies, uint32_t n, int everything,
		     uint32_t every, char *why, uint32_t n_why);
/* Sets and clears the flag as selected, in one namespace (-1: the caller's own). */
int nt_stages_walk(struct nt_stages *s, int ns_fd, struct nt_stages_walk *ret);
/* Clears the flag on every socket of the namespace, whoever set it. */
int nt_stages_clear_all(struct nt_stages *s, int ns_fd, struct nt_stages_walk *ret);
/* After a walk with nothing selected: leaves the hooks. */
void nt_stages_detach(struct nt_stages *s);
/* Other sockops programs at the cgroup root, or -errno. */
int nt_stages_others(struct nt_stages *s);
/* Ends an interval: reads the kernel's counters and hands them to the engine. */
int nt_stages_read(struct nt_stages *s, struct nt_engine *e, struct nt_stages_totals *ret);
/* Takes the stamps that came since the last call, at most max; returns how many. */
int nt_stages_nics(struct nt_stages *s, struct nt_stages_nic *ret, uint32_t max);
/* The nic stage of the interval that the next read ends; sorted by cookie. -ENOMEM. */
int nt_stages_place(struct nt_stages *s, const struct nt_stages_placed *v, uint32_t n);

/* --- as of the last interval that the engine took (nt_stages_apply.c) --- */
/* Every stamped send of the interval: NT_TX_STAGES of them. -ENOENT: nothing is selected. */
int nt_stages_interval(struct nt_engine *e, struct nt_dist *ret);
/* Fine buckets of a stage; as nt_wait_buckets. -ENOENT: nothing is selected. */
int nt_stages_buckets(struct nt_engine *e, const uint64_t *cookies, uint32_t n, int stage, int run,
		      uint64_t *buckets, struct nt_dist *dist);
/* Runs begin now. */
void nt_stages_clear(struct nt_engine *e);
/* Nothing is selected any more. */
void nt_stages_forget(struct nt_engine *e);
