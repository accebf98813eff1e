// SPDX-License-Identifier: MIT
/* What RX queue waits are spent on: programs of the wait plane that are attached for chosen sockets. */
#include "nt_api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifndef NT_WITH_BPF

int nt_split_able(struct nt_wait *w, char *why, uint32_t n_why)
{
	(void)w;
	snprintf(why, n_why, "nettop was built without BPF");
	return -ENOTSUP;
}

int nt_split_choose(struct nt_wait *w, const struct nt_split_choice *v, uint32_t n)
{
	(void)w, (void)v, (void)n;
	return -ENOTSUP;
}

int nt_split_read(struct nt_wait *w, struct nt_engine *e, struct nt_split_totals *ret)
{
	(void)w, (void)e, (void)ret;
	return -ENOTSUP;
}

#else

#include "nt_bpf.h"
#include "nt_wait_host.h"

#define THREADS_MOST 32 /* of a process, that are looked at */

int nt_split_able(struct nt_wait *w, char *why, uint32_t n_why)
{
	if (!w->exact)
		snprintf(why, n_why, "needs sk_data_ready (Linux 6.3)");
	else if (w->split_err)
		snprintf(why, n_why, "sched_waking or sched_switch: the kernel refused: %s",
			 strerror(-w->split_err));
	return w->exact ? w->split_err : -ENOTSUP;
}

static void set_bit(__u64 *bits, uint64_t number)
{
	uint32_t bit = (uint32_t)(nt_wait_mix(number) >> 51);

	/* The programs add to the threads' too. */
	__atomic_fetch_or(&bits[bit / 64], 1ULL << bit % 64, __ATOMIC_RELAXED);
}

static void detach(struct nt_wait *w)
{
	struct bpf_link **links[] = {
		&w->skel->links.split_switch,
		&w->skel->links.split_waking,
		&w->skel->links.split_udp_taken,
	};
	struct bpf_map *maps[] = { w->skel->maps.splits, w->skel->maps.threads };

	w->skel->bss->splits_some = false;
	for (uint32_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		bpf_link__destroy(*links[i]);
		*links[i] = NULL;
	}
	for (uint32_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		int map = bpf_map__fd(maps[i]);
		uint64_t key;

		while (!bpf_map_get_next_key(map, NULL, &key))
			if (bpf_map_delete_elem(map, &key))
				break;
	}
	memset(w->skel->bss->split_bits, 0, sizeof(w->skel->bss->split_bits));
	memset(w->skel->bss->thread_bits, 0, sizeof(w->skel->bss->thread_bits));
	w->n_chosen = 0;
	w->splitting = false;
}

/* What threads do is known before reads count. */
static int attach(struct nt_wait *w)
{
	struct {
		struct bpf_program *program;
		struct bpf_link **link;
	} parts[] = {
		{ w->skel->progs.split_switch, &w->skel->links.split_switch },
		{ w->skel->progs.split_waking, &w->skel->links.split_waking },
		{ w->skel->progs.split_udp_taken, &w->skel->links.split_udp_taken },
	};

	for (uint32_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (!bpf_program__autoload(parts[i].program))
			continue;
		*parts[i].link = bpf_program__attach(parts[i].program);
		if (!*parts[i].link)
			return -errno;
	}
	w->skel->bss->splits_some = true;
	w->splitting = true;
	return 0;
}

/*
 * The threads of a process as they are now. Returns the only one; of several that are all stopped
 * one that stands for all, as what waits for any of them waits for the same: *alone is false then.
 * 0: it is not known for which something waits.
 */
static uint32_t look_at_threads(struct nt_wait *w, uint32_t pid, bool *alone)
{
	struct nt_thread v[THREADS_MOST];
	int map = bpf_map__fd(w->skel->maps.threads);
	int n = nt_threads_read("/proc", pid, v, THREADS_MOST);
	uint32_t stopped = 0;

	if (n <= 0 || n > THREADS_MOST)
		return 0;
	for (int i = 0; i < n; i++) {
		if (!v[i].tid)
			return 0;
		bool halts = v[i].state == 'T' || v[i].state == 't';
		struct nt_split_thread t = {
			.since_ns = nt_ktime_ns(),
			.pid = pid,
			.state = halts		   ? NT_TH_STOPPED :
				 v[i].state == 'R' ? NT_TH_RUNS :
						     NT_TH_ASLEEP,
			.out = { v[i].cpu_ns, v[i].run_delay_ns },
		};

		stopped += halts;
		/* One that is known is known better. */
		if (!bpf_map_update_elem(map, &v[i].tid, &t, BPF_NOEXIST))
			set_bit(w->skel->bss->thread_bits, v[i].tid);
	}
	*alone = n == 1;
	return n == 1 || stopped == (uint32_t)n ? v[0].tid : 0;
}

static int begin(struct nt_wait *w, const struct nt_split_choice *c)
{
	struct nt_split_sock s = { .pid = c->pid };
	struct nt_split_thread t;
	bool alone = false;

	s.tid = c->pid ? look_at_threads(w, c->pid, &alone) : 0;
	if (c->waits) {
		s.from_ns = nt_ktime_ns();
		if (s.tid && !bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.threads), &s.tid, &t))
			for (uint32_t k = 0; k < NT_TH_STATES; k++)
				s.at[k] = nt_thread_ns(&t, k, s.from_ns);
		else
			s.tid = 0;
	}
	if (bpf_map_update_elem(bpf_map__fd(w->skel->maps.splits), &c->cookie, &s, BPF_ANY))
		return -errno;
	set_bit(w->skel->bss->split_bits, c->cookie);
	w->chosen[w->n_chosen].cookie = c->cookie;
	w->chosen[w->n_chosen].pid = c->pid;
	w->chosen[w->n_chosen].stands_in = alone ? 0 : s.tid;
	w->chosen[w->n_chosen++].reads = 0;
	return 0;
}

static bool is_among(uint64_t cookie, const struct nt_split_choice *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (v[i].cookie == cookie)
			return true;
	return false;
}

/* Lets go of those that are not among v; what is left of the bits stays set until all are gone. */
static void keep(struct nt_wait *w, const struct nt_split_choice *v, uint32_t n)
{
	int map = bpf_map__fd(w->skel->maps.splits);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < w->n_chosen; i++) {
		if (is_among(w->chosen[i].cookie, v, n))
			w->chosen[kept++] = w->chosen[i];
		else
			bpf_map_delete_elem(map, &w->chosen[i].cookie);
	}
	w->n_chosen = kept;
}

int nt_split_choose(struct nt_wait *w, const struct nt_split_choice *v, uint32_t n)
{
	char why[8];
	int err = n ? nt_split_able(w, why, sizeof(why)) : 0;

	if (err)
		return err;
	pthread_mutex_lock(&w->lock);
	if (n > NT_SPLIT_MOST)
		n = NT_SPLIT_MOST;
	if (!n && w->splitting)
		detach(w);
	if (n && !w->splitting)
		err = attach(w);
	keep(w, v, n);
	for (uint32_t i = 0; i < n && !err; i++) {
		bool known = false;

		for (uint32_t k = 0; k < w->n_chosen && !known; k++) {
			known = w->chosen[k].cookie == v[i].cookie;
			if (known) /* who holds it may be found later */
				w->chosen[k].pid = v[i].pid;
		}
		if (!known)
			err = begin(w, &v[i]);
	}
	if (err)
		detach(w);
	pthread_mutex_unlock(&w->lock);
	return err;
}

/*
 * The thread may run where that was not seen: then the kernel has added to what it ran. Only where
 * the numbers of /proc are those that the programs see.
 */
static void settle(uint32_t tid, struct nt_split_thread *t, uint64_t *now)
{
	struct nt_thread times;

	if (t->state == NT_TH_RUNS || t->early || nt_thread_times("/proc", t->pid, tid, &times) ||
	    times.cpu_ns <= t->out.ran_ns)
		return;
	struct nt_split_sums sums = { times.cpu_ns, times.run_delay_ns };

	*now = nt_ktime_ns();
	nt_thread_settle(t, &sums, false, *now);
}

/* What waits still is added up to now; holder: of /proc, 0: it is not known. */
static void sum_up(struct nt_wait *w, uint32_t holder, struct nt_split_sock *s,
		   struct nt_split_out *ret)
{
	struct nt_split_thread t;
	uint64_t now = nt_ktime_ns();

	if (s->from_ns && now > s->from_ns) {
		bool known = s->tid &&
			     !bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.threads), &s->tid, &t);

		if (known && holder)
			settle(s->tid, &t, &now);
		__u64 left = now - s->from_ns;

		s->waiting_ns += left;
		if (known)
			nt_split_by(s, &t, now, &left);
	}
	ret->waiting_ns = s->waiting_ns;
	memcpy(ret->part_ns, s->part_ns, sizeof(ret->part_ns));
	ret->takes = s->takes;
	ret->others = s->others;
}

/* Of the holder, as long as the thread that is expected is the one that then reads. */
static uint32_t reader_of(const struct nt_split_sock *s, uint32_t pid, uint32_t stands_in)
{
	bool guessed = s->tid == stands_in && !s->takes && !s->woken_ns;

	return pid && s->pid == pid && !guessed && s->others * 2 <= s->takes ? s->tid : 0;
}

int nt_split_read(struct nt_wait *w, struct nt_engine *e, struct nt_split_totals *ret)
{
	int map = bpf_map__fd(w->skel->maps.splits);
	struct nt_split_cpu cpus[w->n_cpus];
	struct nt_split_out out[NT_SPLIT_MOST];
	uint32_t zero = 0, n = 0;

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&w->lock);
	if (!w->split_err &&
	    !bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.split_cpus), &zero, cpus))
		for (int i = 0; i < w->n_cpus; i++) {
			ret->runs += cpus[i].runs;
			ret->full += cpus[i].full;
		}
	for (uint32_t i = 0; i < w->n_chosen; i++) {
		struct nt_split_sock s;

		out[n] = (struct nt_split_out){ .cookie = w->chosen[i].cookie };
		if (bpf_map_lookup_elem(map, &out[n].cookie, &s))
			continue;
		out[n].read = ++w->chosen[i].reads;
		out[n].tid = reader_of(&s, w->chosen[i].pid, w->chosen[i].stands_in);
		sum_up(w, w->chosen[i].pid, &s, &out[n++]);
	}
	ret->sockets = w->n_chosen;
	ret->attached = w->splitting;
	pthread_mutex_lock(&e->lock);
	nt_deliver(e, nt_ktime_ns(), NT_S_WAIT_SPLITS, sizeof(*out), out,
		   n * (uint32_t)sizeof(*out));
	pthread_mutex_unlock(&e->lock);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

#endif
