// SPDX-License-Identifier: MIT
/*
 * What nt_split.h makes of a thread's events where some were not seen: a line for each case, the
 * parts of the wait in ms. Times are in ms of a story: the thread is switched out at 0, having run
 * 1000 and waited 500 since it began.
 */
#include <linux/types.h>
#include <stdbool.h>
#include <stdio.h>

#include "nt_split.h"

#define MS 1000000ULL

static struct nt_split_thread thread_that(enum nt_split_state does)
{
	return (struct nt_split_thread){
		.state = does,
		.out = { 1000 * MS, 500 * MS },
	};
}

/* As pass_to() of the programs. */
static void pass(struct nt_split_thread *t, enum nt_split_state to, __u64 at)
{
	t->ns[t->state] += at * MS - t->since_ns;
	t->state = to;
	t->since_ns = at * MS;
}

/* As the programs do where it is given a CPU. */
static void turn(struct nt_split_thread *t, __u64 at)
{
	if (t->state == NT_TH_ASLEEP || t->state == NT_TH_STOPPED) {
		t->unwoken = t->state;
		t->in_ns = at * MS;
		t->rest_ns = at * MS - t->since_ns;
	}
	pass(t, NT_TH_RUNS, at);
}

/* By the kernel it ran and waited so long since 0; ready < 0: it does not say. */
static void settle(struct nt_split_thread *t, __u64 ran, int ready, bool exact, __u64 at)
{
	struct nt_split_sums sums = {
		(1000 + ran) * MS,
		ready < 0 ? NT_SPLIT_NO_SUM : (500 + (__u64)ready) * MS,
	};

	nt_thread_settle(t, &sums, exact, at * MS);
}

/* Data comes. */
static struct nt_split_sock arrives(const struct nt_split_thread *t, __u64 at)
{
	struct nt_split_sock s = { .from_ns = at * MS };

	for (__u32 i = 0; i < NT_TH_STATES; i++)
		s.at[i] = nt_thread_ns(t, i, at * MS);
	return s;
}

static void taken(const char *what, struct nt_split_sock s, const struct nt_split_thread *t,
		  __u64 at)
{
	__u64 left = at * MS - s.from_ns;

	nt_split_by(&s, t, at * MS, &left);
	printf("%s:", what);
	for (__u32 i = 0; i < NT_SPLIT_PARTS; i++)
		printf(" %llu", s.part_ns[i] / MS);
	printf(" %llu\n", left / MS);
}

int main(void)
{
	struct nt_split_thread t = thread_that(NT_TH_READY);
	struct nt_split_sock s = arrives(&t, 0);

	/* Each event is seen: it waits until 30, runs until 100. */
	turn(&t, 30);
	taken("seen", s, &t, 100);

	/* The same, its turn unseen; the last tick was at 98. */
	t = thread_that(NT_TH_READY);
	settle(&t, 68, 30, false, 100);
	taken("turn", s, &t, 100);

	/* Of a kernel that does not say how long it waited: to the tick. */
	t = thread_that(NT_TH_READY);
	settle(&t, 68, -1, false, 100);
	taken("turn, no sum", s, &t, 100);

	/* It is switched out at 100, sleeps, and reads at 150 after a turn that is seen. */
	t = thread_that(NT_TH_READY);
	settle(&t, 70, 30, true, 100);
	pass(&t, NT_TH_ASLEEP, 100);
	pass(&t, NT_TH_READY, 140);
	turn(&t, 145);
	taken("switched out", s, &t, 150);

	/* The data came at 60, in the middle of what was thought to be a wait. */
	t = thread_that(NT_TH_READY);
	s = arrives(&t, 60);
	settle(&t, 70, 30, true, 100);
	pass(&t, NT_TH_ASLEEP, 100);
	pass(&t, NT_TH_READY, 140);
	turn(&t, 145);
	taken("in the middle", s, &t, 150);

	/* Asleep until 40, waits until 70: the wake-up was not seen, then neither was the turn. */
	t = thread_that(NT_TH_ASLEEP);
	s = arrives(&t, 0);
	turn(&t, 70);
	settle(&t, 30, 30, false, 100);
	taken("wake-up", s, &t, 100);
	t = thread_that(NT_TH_ASLEEP);
	settle(&t, 30, 30, false, 100);
	taken("both", s, &t, 100);

	/* The same, and the data came while it waited, or ran. */
	t = thread_that(NT_TH_ASLEEP);
	s = arrives(&t, 60);
	settle(&t, 30, 30, true, 100);
	taken("both, data at 60", s, &t, 100);
	t = thread_that(NT_TH_ASLEEP);
	turn(&t, 70);
	s = arrives(&t, 80);
	settle(&t, 30, 30, false, 100);
	taken("wake-up, data at 80", s, &t, 100);

	/* What is noted afterwards is not moved once more. */
	t = thread_that(NT_TH_READY);
	settle(&t, 70, 30, false, 100);
	s = arrives(&t, 100);
	taken("afterwards", s, &t, 120);

	/* It stops, and the signal that lets it go on was not seen. */
	t = thread_that(NT_TH_STOPPED);
	s = arrives(&t, 0);
	settle(&t, 20, 5, true, 100);
	taken("stopped", s, &t, 100);

	/* Settled twice: at a take, and where it is switched out. */
	t = thread_that(NT_TH_READY);
	s = arrives(&t, 0);
	settle(&t, 68, 30, false, 100);
	settle(&t, 80, 30, true, 110);
	taken("twice", s, &t, 110);
	return 0;
}
