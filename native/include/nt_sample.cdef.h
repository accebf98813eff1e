/*
 * What the kernel said, as it is handed from the sources to the engine, to recordings and from
 * them: sections of raw bytes in the order in which they were read. Host byte order, which is
 * little-endian on every machine that nettop is built for.
 */
enum nt_section_kind {
	NT_S_SWEEP = 1, /* a sweep of dumps begins */
	NT_S_DIAG = 2,	/* netlink messages of one read of a dump; arg: enum nt_proto | family << 8 */
	NT_S_DUMP = 3,	/* a dump ended: struct nt_dump_end; arg as above */
	NT_S_LOOKUP = 4, /* the answer to an exact look-up; arg: enum nt_proto */
	NT_S_SWEPT = 5, /* the sweep ended */
	NT_S_WAIT = 16, /* an interval of RX queue waits: struct nt_wait_head, buckets */
	NT_S_WAIT_OFF = 17, /* the plane has ended */
	NT_S_STAGES = 24, /* an interval of TX stages: struct nt_stages_head, buckets of each part */
	NT_S_STAGES_WANTED = 25, /* cookies of the sockets that are selected */
	NT_S_STAGES_OFF = 26,	 /* nothing is selected any more */
	NT_S_EVENTS = 32, /* an interval of events: struct nt_events_head */
	/*
	 * Its records in the order in which they came: struct nt_event, of a close nt_closed; arg:
	 * bytes of one | of a close << 16
	 */
	NT_S_EVENT_RECORDS = 33,
	NT_S_EVENTS_OFF = 34, /* the plane has ended */
	NT_S_PATH = 36, /* an interval of a hook: struct nt_path_head, buckets; arg: nt_path_hook */
	/*
	 * Kinds from here on hold records: arg is the bytes of one, and its first eight bytes
	 * say whose it is.
	 */
	NT_S_RECORDS = 64,
	NT_S_WAIT_FOCUS = 64,	/* struct nt_wait_focused */
	NT_S_WAIT_SOCKETS = 65, /* struct nt_ws_out, of sockets with news */
	NT_S_WAIT_PORTS = 66,	/* struct nt_wait_port */
	NT_S_WAIT_SPLITS = 69,	/* struct nt_split_out, of every socket that is chosen */
	NT_S_OWNERS = 67,	/* struct nt_holder, of sockets whose holders changed */
	NT_S_NEW_OWNERS = 68,	/* ... that the next read of a dump lists for the first time */
	NT_S_STAGES_FINE = 72,	/* struct nt_stages_fine */
	NT_S_STAGES_SOCKETS = 73, /* struct nt_tx_rec, of sockets with news or open sends */
	NT_S_STAGES_NICS = 74,	/* struct nt_stages_placed, of NICs that stamp */
	NT_S_DROP_REASONS = 80, /* struct nt_reason, of every reason that the plane saw */
	NT_S_RESET_REASONS = 81, /* the same of resets */
	NT_S_DROPS = 82,	/* struct nt_drop, of the interval; after their reasons */
};

/* The head of a section; its body follows, padded to eight bytes. */
struct nt_section {
	uint64_t at_ns; /* CLOCK_MONOTONIC of the read */
	uint32_t kind;	/* enum nt_section_kind */
	uint32_t bytes; /* of the body, without padding */
	uint32_t netns; /* inode of the network namespace; 0: of the host */
	uint32_t arg;
};

/* Body of NT_S_SWEEP. */
struct nt_sweep_head {
	uint32_t roll_ms; /* a socket whose rates are younger keeps them */
	uint32_t netns;	  /* namespaces that are polled */
};

enum nt_dump_how {
	NT_DUMP_ENDED = 0,
	NT_DUMP_AGAIN = 1,   /* messages were lost: it is asked for once more */
	NT_DUMP_INSTEAD = 2, /* the request was refused: another form of it follows */
};

/* Body of NT_S_DUMP. */
struct nt_dump_end {
	int32_t error;	    /* errno; 0: it listed all that there is */
	uint32_t how;	    /* enum nt_dump_how */
	uint32_t truncated; /* reads cut by the buffer */
};

/* --- sections in memory (nt_sections.c) --- */
struct nt_sections;
int nt_sections_new(struct nt_sections **ret);
void nt_sections_free(struct nt_sections *s);
/* Empties it; what nt_sections_bytes returned is no longer valid. */
void nt_sections_clear(struct nt_sections *s);
int nt_sections_add(struct nt_sections *s, const struct nt_section *head, const uint8_t *body);
/* Its bytes and how many; valid until it is changed. */
uint64_t nt_sections_bytes(const struct nt_sections *s, const uint8_t **ret);

/* --- a sample of some sockets (nt_sample_of.c) --- */
/*
 * Copies sections to *ret without what they say of sockets with other cookies than these. What they
 * say of the host stays. Bad sections are -EPROTO.
 */
int nt_sample_of(const uint8_t *sections, uint64_t n, const uint64_t *cookies, uint32_t n_cookies,
	      struct nt_sections *ret);

/* --- frames: sections packed against those of the frame before (nt_frame.c) --- */
struct nt_packer;
int nt_packer_new(struct nt_packer **ret);
void nt_packer_free(struct nt_packer *p);
/* The next frame stands alone: a key frame. */
void nt_packer_reset(struct nt_packer *p);
/*
 * Packs sections into *ret. A socket whose message did not change but for the ages that grow with
 * time takes part of a byte. Bad sections are -EPROTO.
 */
int nt_pack(struct nt_packer *p, const uint8_t *sections, uint64_t n, struct nt_sections *ret);
/*
 * The inverse, for a packer that has unpacked all frames since the key frame. Returns -EPROTO for
 * what no packer writes; the state is then that of a new packer. At most `most` bytes are made.
 */
int nt_unpack(struct nt_packer *p, const uint8_t *frame, uint64_t n, uint64_t most,
	      struct nt_sections *ret);
