/* --- what RX queue waits are spent on (nt_split.c): a part of the wait plane --- */

/* A socket that is chosen, and who is thought to read it. */
struct nt_split_choice {
	uint64_t cookie;
	uint32_t pid;	/* 0: not known */
	uint8_t waits;	 /* something is unread now */
	uint8_t decides; /* it has a verdict, or may soon, that the split decides */
	uint8_t pad[2];
};

/* Of the programs; they only grow. */
struct nt_split_totals {
	uint64_t runs;
	uint64_t full; /* threads that found no place */
	uint32_t sockets; /* chosen now */
	uint32_t attached;
};

/* 0: it can be switched on; else -errno, and why says in one line what is missing. */
int nt_split_able(struct nt_wait *w, char *why, uint32_t n_why);
/*
 * These sockets from now on, at most 64; n 0: detaches. Of a process with one thread it is known
 * who reads; of others once they have read. Returns 0, or -errno: it is detached.
 */
int nt_split_choose(struct nt_wait *w, const struct nt_split_choice *v, uint32_t n);
/* Hands the sums of the chosen to the engine; after nt_wait_read. */
int nt_split_read(struct nt_wait *w, struct nt_engine *e, struct nt_split_totals *ret);

/*
 * Sockets whose verdict it would decide: what was received waits long, or did in the last interval;
 * after those whose cookies ret has already, n_first of them. Returns how many there are in ret.
 */
int nt_split_wanted(struct nt_engine *e, struct nt_split_choice *ret, uint32_t n_first,
		    uint32_t max);

enum {
	NT_READERS = 64, /* no more sockets are chosen */
};
/* A socket, and the thread of its holder that reads it. */
struct nt_reader {
	uint64_t cookie;
	uint32_t tid;
	uint32_t pad;
};
/* Of the chosen of the last interval, where one thread is known. Returns how many were filled. */
int nt_split_readers(struct nt_engine *e, struct nt_reader *ret, uint32_t max);
