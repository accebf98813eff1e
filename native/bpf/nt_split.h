/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a wait for the program was spent on: shared by the programs and the helper, as is the
 * arithmetic, since the helper adds up what waits still.
 */
#ifndef NT_SPLIT_SHARED_H
#define NT_SPLIT_SHARED_H

#define NT_SPLIT_MOST 64 /* sockets */
#define NT_SPLIT_THREADS 1024
#define NT_SPLIT_BITS 8192U /* of cookies, and of thread ids */

/* What a thread does. */
enum nt_split_state {
	NT_TH_RUNS,
	NT_TH_READY, /* no CPU is given to it */
	NT_TH_ASLEEP,
	NT_TH_STOPPED, /* by a signal or a debugger */
	NT_TH_STATES
};

/* The order of the members of struct nt_split. */
enum nt_split_part {
	NT_SPLIT_WAKE,
	NT_SPLIT_CPU,
	NT_SPLIT_RAN,
	NT_SPLIT_ASLEEP,
	NT_SPLIT_STOPPED,
	NT_SPLIT_PARTS
};

struct nt_split_thread {
	__u64 since_ns;		   /* it does what it does */
	__u64 ns[NT_TH_STATES];	   /* that it did each, until then */
	__u64 woken_ns;		   /* when it was woken last; 0: not since it is known */
	__u64 woken[NT_TH_STATES]; /* ns[] at that time */
	__u32 state;
	__u32 pid;   /* its process */
	__u32 early; /* it was woken before its going to sleep was seen */
	__u32 pad;
};

struct nt_split_sock {
	__u64 from_ns;	/* something has waited since, or since the last take; 0: nothing does */
	__u64 woken_ns; /* when that woke a thread; 0: it did not */
	__u64 at[NT_TH_STATES]; /* the thread's ns[] at from_ns */
	__u64 waiting_ns;	/* so long something waited, since the socket was chosen */
	__u64 part_ns[NT_SPLIT_PARTS];
	__u32 tid, pid; /* who is expected to read: who was woken, else who read last; 0 – */
	__u32 takes;
	__u32 others; /* of these, by another thread than was expected */
};

struct nt_split_cpu {
	__u64 runs;
	__u64 full;   /* threads that found no place */
	__u64 cookie; /* of the socket whose data became readable just now on this CPU */
	__u64 at_ns;
};

static inline __attribute__((always_inline)) __u64 nt_least(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

/* That the thread did this, until now. */
static inline __attribute__((always_inline)) __u64 nt_thread_ns(const struct nt_split_thread *t,
								__u32 state, __u64 now)
{
	__u64 more = t->state == state && now > t->since_ns ? now - t->since_ns : 0;

	return t->ns[state] + more;
}

/* At most what is left of the wait. */
static inline __attribute__((always_inline)) void
nt_split_put(struct nt_split_sock *s, enum nt_split_part part, __s64 ns, __u64 *left)
{
	__u64 most = ns > 0 ? nt_least((__u64)ns, *left) : 0;

	s->part_ns[part] += most;
	*left -= most;
}

/* What the expected thread did from from_ns until `end`, of a wait that is so long. */
static inline __attribute__((always_inline)) void
nt_split_by(struct nt_split_sock *s, const struct nt_split_thread *t, __u64 now, __u64 *left)
{
	__u64 asleep = nt_thread_ns(t, NT_TH_ASLEEP, now) - s->at[NT_TH_ASLEEP];

	nt_split_put(s, NT_SPLIT_STOPPED,
		     (__s64)(nt_thread_ns(t, NT_TH_STOPPED, now) - s->at[NT_TH_STOPPED]), left);
	nt_split_put(s, NT_SPLIT_CPU,
		     (__s64)(nt_thread_ns(t, NT_TH_READY, now) - s->at[NT_TH_READY]), left);
	nt_split_put(s, NT_SPLIT_RAN, (__s64)(nt_thread_ns(t, NT_TH_RUNS, now) - s->at[NT_TH_RUNS]),
		     left);
	if (s->woken_ns > s->from_ns) {
		__u64 wake = nt_least(s->woken_ns - s->from_ns, asleep);

		nt_split_put(s, NT_SPLIT_WAKE, (__s64)wake, left);
		asleep -= wake;
	}
	nt_split_put(s, NT_SPLIT_ASLEEP, (__s64)asleep, left);
}

/*
 * Another thread of the process read, which slept until it was woken: from then on its own times
 * count, before that those of the thread that was expected.
 */
static inline __attribute__((always_inline)) void
nt_split_by_other(struct nt_split_sock *s, const struct nt_split_thread *expected,
		  const struct nt_split_thread *t, __u64 now)
{
	__u64 own = nt_least(now - t->woken_ns, now - s->from_ns);
	__u64 before = now - s->from_ns - own;

	nt_split_put(s, NT_SPLIT_STOPPED,
		     (__s64)(nt_thread_ns(t, NT_TH_STOPPED, now) - t->woken[NT_TH_STOPPED]), &own);
	nt_split_put(s, NT_SPLIT_CPU,
		     (__s64)(nt_thread_ns(t, NT_TH_READY, now) - t->woken[NT_TH_READY]), &own);
	nt_split_put(s, NT_SPLIT_RAN,
		     (__s64)(nt_thread_ns(t, NT_TH_RUNS, now) - t->woken[NT_TH_RUNS]), &own);
	nt_split_put(s, NT_SPLIT_ASLEEP, (__s64)own, &own);
	if (expected)
		nt_split_by(s, expected, now, &before);
}

#endif
