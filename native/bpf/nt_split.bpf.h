/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the waits of chosen sockets are spent on. Part of wait.bpf.c. While sockets are chosen the
 * programs of the wait come here too: one more on each of their tracepoints costs every message
 * of the host more than the look at its socket. Only what threads do has programs of its own.
 *
 * sk_data_ready is followed by the wake-up of who sleeps on the socket in the same call chain on
 * the same CPU. What threads do is taken from sched_switch and sched_waking; a thread is known from
 * its first read of a chosen socket on, or because the helper named it. No program runs while
 * certain threads are current, so what they wake and who runs after them is not seen: the
 * kernel's own sums of the thread say it afterwards (nt_thread_settle).
 */
#ifndef NT_SPLIT_BPF_H
#define NT_SPLIT_BPF_H

#include "nt_split.h"

#define NT_CHAIN_NS 50000     /* from sk_data_ready to the wake-up, at most */
#define NT_STATE_STOPPED 0xcU /* __TASK_STOPPED | __TASK_TRACED */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct task_struct___sched {
	unsigned int __state;
	unsigned int on_rq; /* one byte from Linux 7.3 on: only what is unsigned is read as such */
	int pid;
	int tgid;
	struct {
		u64 sum_exec_runtime;
	} se;
	struct {
		unsigned long long run_delay;
	} sched_info; /* CONFIG_SCHED_INFO */
};
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NT_SPLIT_MOST);
	__type(key, u64);
	__type(value, struct nt_split_sock);
} splits SEC(".maps");

/* Only reads and the helper add to it: no memory is asked for where threads are scheduled. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NT_SPLIT_THREADS);
	__type(key, u32);
	__type(value, struct nt_split_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct nt_split_cpu);
} split_cpus SEC(".maps");

const volatile bool can_split;			/* set before loading */
volatile __u32 splits_some;			/* sockets are chosen */
volatile __u64 split_bits[NT_SPLIT_BITS / 64];	/* of chosen sockets */
volatile __u64 thread_bits[NT_SPLIT_BITS / 64]; /* of known threads */

static __always_inline bool is_splitting(void)
{
	return can_split && splits_some;
}

static __always_inline struct nt_split_cpu *split_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&split_cpus, &zero);
}

static __always_inline bool has_bit(const volatile __u64 *bits, u64 number)
{
	u32 bit = (u32)((number * 0x9e3779b97f4a7c15ULL) >> 51);

	return bits[bit / 64 % (NT_SPLIT_BITS / 64)] >> bit % 64 & 1;
}

static __always_inline struct nt_split_thread *known_thread(u32 tid)
{
	return has_bit(thread_bits, tid) ? bpf_map_lookup_elem(&threads, &tid) : NULL;
}

static __always_inline void pass_to(struct nt_split_thread *t, u32 state, u64 now)
{
	u32 was = t->state;

	barrier_var(was); /* the verifier is to see the bound */
	if (now > t->since_ns)
		t->ns[was % NT_TH_STATES] += now - t->since_ns;
	t->state = state;
	t->since_ns = now;
}

static __always_inline void note_times(u64 *at, const struct nt_split_thread *t, u64 now)
{
#pragma unroll
	for (u32 i = 0; i < NT_TH_STATES; i++)
		at[i] = nt_thread_ns(t, i, now);
}

static __always_inline void read_sums(struct task_struct___sched *p, struct nt_split_sums *ret)
{
	ret->ran_ns = p->se.sum_exec_runtime;
	ret->ready_ns = bpf_core_field_exists(p->sched_info.run_delay) ? p->sched_info.run_delay :
									 NT_SPLIT_NO_SUM;
}

/* The thread that runs now; it becomes known. */
static __always_inline struct nt_split_thread *this_thread(struct nt_split_cpu *c, u64 now)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = (u32)id, pid = (u32)(id >> 32);
	struct nt_split_thread *t = known_thread(tid);

	if (t && t->pid == pid && t->state == NT_TH_RUNS && !t->unwoken)
		return t;
	struct task_struct___sched *p = (struct task_struct___sched *)bpf_get_current_task_btf();
	struct nt_split_thread fresh = { .since_ns = now, .state = NT_TH_RUNS, .pid = pid };

	read_sums(p, &fresh.out);
	if (t && t->pid == pid) {
		nt_thread_settle(t, &fresh.out, false, now);
		return t;
	}
	u32 bit = (u32)((tid * 0x9e3779b97f4a7c15ULL) >> 51);

	if (bpf_map_update_elem(&threads, &tid, &fresh, BPF_ANY)) {
		c->full++;
		return NULL;
	}
	__sync_fetch_and_or(&thread_bits[bit / 64 % (NT_SPLIT_BITS / 64)], 1ULL << bit % 64);
	return bpf_map_lookup_elem(&threads, &tid);
}

static __always_inline struct nt_split_sock *chosen_sock(struct sock *sk, struct nt_split_cpu **c)
{
	u64 cookie = (u64)sk->__sk_common.skc_cookie.counter;

	if (!cookie || !has_bit(split_bits, cookie))
		return NULL;
	*c = split_cpu();
	if (!*c)
		return NULL;
	(*c)->runs++;
	return bpf_map_lookup_elem(&splits, &cookie);
}

static __always_inline bool has_unread(struct sock *sk)
{
	if (sk->sk_protocol != NT_IPPROTO_TCP)
		return sk->sk_protocol == NT_IPPROTO_UDP && udp_queued(sk) > 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp && (s32)(data_end(sk, tp) - tp->copied_seq) > 0;
}

/* No part of its callers' code: they are followed by the verifier, and run, mostly without it. */
static __attribute__((noinline)) int split_ready(struct sock *sk)
{
	struct nt_split_cpu *c = NULL;
	struct nt_split_sock *s = chosen_sock(sk, &c);

	if (!s || s->from_ns || !has_unread(sk))
		return 0;
	u64 now = bpf_ktime_get_ns();
	struct nt_split_thread *t = s->tid ? known_thread(s->tid) : NULL;

	s->woken_ns = 0;
	if (t)
		note_times(s->at, t, now);
	else
		s->tid = 0;
	s->from_ns = now;
	c->cookie = (u64)sk->__sk_common.skc_cookie.counter;
	c->at_ns = now;
	return 0;
}

/* As nt_split_by, of a wait of so long. A global function: verified once, in fewer steps. */
__attribute__((noinline)) int nt_split_wait(struct nt_split_sock *s, struct nt_split_thread *t,
					    u64 now, u64 left)
{
	if (s && t)
		nt_split_by(s, t, now, &left);
	return 0;
}

static __attribute__((noinline)) int split_taken(struct sock *sk)
{
	struct nt_split_cpu *c = NULL;
	struct nt_split_sock *s = chosen_sock(sk, &c);

	if (!s)
		return 0;
	u64 now = bpf_ktime_get_ns(), from = s->from_ns;
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = (u32)id, pid = (u32)(id >> 32);
	struct nt_split_thread *t = this_thread(c, now);

	if (from && now > from) {
		u64 left = now - from;

		s->takes++;
		s->waiting_ns += left;
		if (t && s->tid == tid)
			nt_split_wait(s, t, now, left);
		else
			s->others++;
		if (t && s->tid != tid && s->pid == pid && t->woken_ns > from) {
			struct nt_split_thread *e = s->tid ? known_thread(s->tid) : NULL;
			u64 before = nt_split_by_other(s, t, now);

			if (e)
				nt_split_wait(s, e, now, before);
		}
	}
	s->pid = pid;
	s->tid = t ? tid : 0;
	s->woken_ns = 0;
	if (has_unread(sk)) {
		if (t)
			note_times(s->at, t, now);
		s->from_ns = now;
	} else {
		s->from_ns = 0;
	}
	return 0;
}

/* Where the wait does without this tracepoint. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(split_udp_taken, struct sock *sk, int ret, int flags)
{
	if (ret < 0 || flags & (NT_MSG_PEEK | NT_MSG_ERRQUEUE) || sk->sk_protocol != NT_IPPROTO_UDP)
		return 0;
	return split_taken(sk);
}

/* Data of a chosen socket woke this thread. */
static __always_inline void woken_by(u64 cookie, u32 tid, u32 pid, struct nt_split_thread *t,
				     u64 now)
{
	struct nt_split_sock *s = bpf_map_lookup_elem(&splits, &cookie);

	if (!s || !s->from_ns || s->woken_ns || s->pid != pid)
		return;
	s->woken_ns = now;
	if (s->tid == tid)
		return;
	/* Another one than was expected: it slept while that data came. */
	s->tid = t ? tid : 0;
	if (!t)
		return;
	note_times(s->at, t, now);
	s->at[NT_TH_ASLEEP] -= now - s->from_ns;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(split_waking, struct task_struct___sched *p)
{
	struct nt_split_cpu *c = split_cpu();
	u32 tid = (u32)p->pid;

	if (!c)
		return 0;
	c->runs++;
	struct nt_split_thread *t = known_thread(tid);
	u64 cookie = c->cookie;

	if (!cookie && !t)
		return 0;
	u64 now = bpf_ktime_get_ns();

	if (cookie && now - c->at_ns > NT_CHAIN_NS)
		cookie = c->cookie = 0;
	if (cookie)
		woken_by(cookie, tid, (u32)p->tgid, t, now);
	if (!t)
		return 0;
	bool races = t->state == NT_TH_RUNS && !p->on_rq;

	if (t->state == NT_TH_ASLEEP || t->state == NT_TH_STOPPED || races) {
		pass_to(t, NT_TH_READY, now);
		t->early = races;
		t->woken_ns = now;
#pragma unroll
		for (u32 i = 0; i < NT_TH_STATES; i++)
			t->woken[i] = t->ns[i];
	}
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(split_switch, bool preempt, struct task_struct___sched *prev,
	     struct task_struct___sched *next)
{
	struct nt_split_cpu *c = split_cpu();
	struct nt_split_thread *t;

	if (!c)
		return 0;
	c->runs++;
	t = known_thread((u32)prev->pid);
	if (t) {
		struct nt_split_sums sums;
		u32 state = prev->__state;
		u64 now = bpf_ktime_get_ns();

		read_sums(prev, &sums);
		if (t->state != NT_TH_RUNS || t->unwoken)
			nt_thread_settle(t, &sums, true, now);
		if (!t->early)
			pass_to(t,
				preempt || !state	 ? NT_TH_READY :
				state & NT_STATE_STOPPED ? NT_TH_STOPPED :
							   NT_TH_ASLEEP,
				now);
		t->early = 0;
		t->out = sums;
		t->out_ready_ns = t->ns[NT_TH_READY];
	}
	t = known_thread((u32)next->pid);
	if (t) {
		u32 state = t->state;
		u64 now = bpf_ktime_get_ns();

		if (state == NT_TH_ASLEEP || state == NT_TH_STOPPED) {
			t->unwoken = state;
			t->in_ns = now;
			t->rest_ns = nt_growth(now, t->since_ns);
		}
		pass_to(t, NT_TH_RUNS, now);
		t->early = 0;
	}
	return 0;
}

#endif
