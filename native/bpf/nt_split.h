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

/* What the kernel itself adds up of a thread. */
struct nt_split_sums {
	__u64 ran_ns;	/* up to the last tick, if it runs */
	__u64 ready_ns; /* without the wait that is not over; NT_SPLIT_NO_SUM: it does not say */
};

#define NT_SPLIT_NO_SUM (~0ULL)

/*
 * The programs do not see every event: none runs while certain threads are current. What such a
 * thread did otherwise than was seen, found out afterwards: ns[] is right, what was noted of it
 * before told_ns is not.
 */
struct nt_split_moved {
	__u64 from_ns, until_ns;
	__u64 told_ns;
	__u32 was; /* what it was thought to do */
	__u32 pad;
};

struct nt_split_thread {
	__u64 since_ns;		   /* it does what it does */
	__u64 ns[NT_TH_STATES];	   /* that it did each, until then */
	__u64 woken_ns;		   /* when it was woken last; 0: not since it is known */
	__u64 woken[NT_TH_STATES]; /* ns[] at that time */
	__u32 state;
	__u32 pid;   /* its process */
	__u32 early; /* it was woken before its going to sleep was seen */
	__u32 unwoken; /* the state that it runs after, without a wake-up that was seen; 0: with one */
	__u64 in_ns;   /* of unwoken: when it was given its CPU, */
	__u64 rest_ns; /* after so long in that state */
	/* When it was switched out last: the kernel's own sums, and ns[NT_TH_READY]. */
	struct nt_split_sums out;
	__u64 out_ready_ns;
	struct nt_split_moved moved[2]; /* the last to NT_TH_RUNS, the last to NT_TH_READY */
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

static inline __attribute__((always_inline)) __u64 nt_growth(__u64 now, __u64 before)
{
	return now > before ? now - before : 0;
}

static inline __attribute__((always_inline)) void nt_thread_move(struct nt_split_thread *t,
								 enum nt_split_state to, __u32 was,
								 __u64 from, __u64 until, __u64 now)
{
	t->ns[was % NT_TH_STATES] -= until - from;
	t->ns[to] += until - from;
	t->moved[to].from_ns = from;
	t->moved[to].until_ns = until;
	t->moved[to].told_ns = now;
	t->moved[to].was = was;
}

/*
 * Of a thread that runs, or did until now, by the kernel's sums: what it did where the event that
 * began it was not seen. exact: it is being switched out, so the sums are complete. Before that
 * they lack up to a tick of what it ran, and what was not a wait for a CPU says more.
 */
static inline __attribute__((always_inline)) void
nt_thread_settle(struct nt_split_thread *t, const struct nt_split_sums *sums, int exact, __u64 now)
{
	int has_ready = sums->ready_ns != NT_SPLIT_NO_SUM;
	__u64 ready = has_ready ? nt_growth(sums->ready_ns, t->out.ready_ns) : 0;
	__u32 was = t->state, before = t->unwoken;

	__asm__ volatile("" : "+r"(was));
	__asm__ volatile("" : "+r"(before)); /* the verifier is to see the bounds */
	ready = nt_growth(ready, t->ns[NT_TH_READY] - t->out_ready_ns);
	t->unwoken = 0;
	if (was == NT_TH_RUNS || t->early) {
		ready = nt_least(ready, t->rest_ns);
		if (before && ready)
			nt_thread_move(t, NT_TH_READY, before, t->in_ns - ready, t->in_ns, now);
		return;
	}
	__u64 all = nt_growth(now, t->since_ns);
	__u64 ran = nt_least(nt_growth(sums->ran_ns, t->out.ran_ns), all);

	if (was == NT_TH_READY && has_ready && !exact && nt_growth(all, ready) > ran)
		ran = nt_growth(all, ready);
	ready = was == NT_TH_READY ? 0 : nt_least(ready, all - ran);
	t->ns[was % NT_TH_STATES] += all;
	t->state = NT_TH_RUNS;
	t->since_ns = now;
	if (ready)
		nt_thread_move(t, NT_TH_READY, was, now - ran - ready, now - ran, now);
	nt_thread_move(t, NT_TH_RUNS, was, now - ran, now, now);
}

/* Of what was moved, the part before this time, if it came out after it. */
static inline __attribute__((always_inline)) __u64 nt_moved_ns(const struct nt_split_moved *m,
							       __u64 at)
{
	return at < m->told_ns ? nt_growth(nt_least(at, m->until_ns), m->from_ns) : 0;
}

/* That the thread had done this at that time, as it is known now; `noted` is what was known then. */
static inline __attribute__((always_inline)) __u64 nt_thread_at(const struct nt_split_thread *t,
								__u32 state, __u64 noted, __u64 at)
{
	const struct nt_split_moved *ran = &t->moved[NT_TH_RUNS], *ready = &t->moved[NT_TH_READY];

	if (state == NT_TH_RUNS)
		return noted + nt_moved_ns(ran, at);
	if (state == NT_TH_READY)
		noted += nt_moved_ns(ready, at);
	if (state == ran->was)
		noted -= nt_moved_ns(ran, at);
	return state == ready->was ? noted - nt_moved_ns(ready, at) : noted;
}

/* That it did this from the socket's from_ns until now. */
static inline __attribute__((always_inline)) __s64 nt_thread_did(const struct nt_split_sock *s,
								 const struct nt_split_thread *t,
								 __u32 state, __u64 now)
{
	return (__s64)(nt_thread_ns(t, state, now) -
		       nt_thread_at(t, state, s->at[state], s->from_ns));
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
	__s64 asleep = nt_thread_did(s, t, NT_TH_ASLEEP, now);

	nt_split_put(s, NT_SPLIT_STOPPED, nt_thread_did(s, t, NT_TH_STOPPED, now), left);
	nt_split_put(s, NT_SPLIT_CPU, nt_thread_did(s, t, NT_TH_READY, now), left);
	nt_split_put(s, NT_SPLIT_RAN, nt_thread_did(s, t, NT_TH_RUNS, now), left);
	if (s->woken_ns > s->from_ns && asleep > 0) {
		__s64 wake = (__s64)nt_least(s->woken_ns - s->from_ns, (__u64)asleep);

		nt_split_put(s, NT_SPLIT_WAKE, wake, left);
		asleep -= wake;
	}
	nt_split_put(s, NT_SPLIT_ASLEEP, asleep, left);
}

/*
 * Another thread of the process read, which slept until it was woken: from then on its own times
 * count, before that, for so long as is returned, those of the thread that was expected.
 */
static inline __attribute__((always_inline)) __u64
nt_split_by_other(struct nt_split_sock *s, const struct nt_split_thread *t, __u64 now)
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
	return before;
}

#endif
