// SPDX-License-Identifier: MIT
/* The stages plane's host: loads the programs, selects sockets, ends intervals. */
#include "nt_api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifndef NT_WITH_BPF

int nt_stages_open(const char *cgroup_root, struct nt_stages **ret, char *why, uint32_t n_why)
{
	(void)cgroup_root;
	*ret = NULL;
	snprintf(why, n_why, "nettop was built without BPF");
	return -ENOTSUP;
}

void nt_stages_close(struct nt_stages *s)
{
	(void)s;
}

int nt_stages_select(struct nt_stages *s, const uint64_t *cookies, uint32_t n, int everything,
		     uint32_t every, char *why, uint32_t n_why)
{
	(void)s, (void)cookies, (void)n, (void)everything, (void)every, (void)why, (void)n_why;
	return -ENOTSUP;
}

int nt_stages_walk(struct nt_stages *s, int ns_fd, struct nt_stages_walk *ret)
{
	(void)s, (void)ns_fd, (void)ret;
	return -ENOTSUP;
}

int nt_stages_clear_all(struct nt_stages *s, int ns_fd, struct nt_stages_walk *ret)
{
	(void)s, (void)ns_fd, (void)ret;
	return -ENOTSUP;
}

void nt_stages_detach(struct nt_stages *s)
{
	(void)s;
}

int nt_stages_others(struct nt_stages *s)
{
	(void)s;
	return -ENOTSUP;
}

int nt_stages_read(struct nt_stages *s, struct nt_engine *e, struct nt_stages_totals *ret)
{
	(void)s, (void)e, (void)ret;
	return -ENOTSUP;
}

int nt_stages_read_late(struct nt_stages *s, struct nt_engine *e)
{
	(void)s, (void)e;
	return -ENOTSUP;
}

int nt_stages_buckets(struct nt_stages *s, const uint64_t *cookies, uint32_t n, int stage, int run,
		      uint64_t *buckets, struct nt_dist *dist)
{
	(void)s, (void)cookies, (void)n, (void)stage, (void)run, (void)buckets, (void)dist;
	return -ENOTSUP;
}

void nt_stages_clear(struct nt_stages *s)
{
	(void)s;
}

#else

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nt_hist.h"
#include "nt_planes.h"

#include "../bpf/nt_stages.h"
#include "nt_bpf.h"
#include "stages.skel.h"

/* Which stage the programs' parts are; no part measures the NIC. */
static const enum nt_stage stage_of[NT_PARTS] = {
	[NT_PART_COPY] = NT_TX_COPY, [NT_PART_SNDBUF] = NT_TX_SNDBUF,
	[NT_PART_TCP] = NT_TX_TCP,   [NT_PART_QDISC] = NT_TX_QDISC,
	[NT_PART_ACK] = NT_TX_ACK,   [NT_PART_TOTAL] = NT_TX_TOTAL,
};

#define FORGET_EVERY 32 /* reads */

/* Records as they were last read, by cookie: open addressing. */
struct bases {
	struct nt_tx_rec **v;
	uint32_t mask, live;
};

struct fine {
	uint64_t cookie;
	uint64_t max_ns[NT_PARTS]; /* of the interval */
	bool read, whole;
	struct nt_tx_fine now, last, start;
};

struct total {
	uint64_t now[NT_FINE], last[NT_FINE], start[NT_FINE];
	uint64_t now_sum, last_sum, start_sum, max_ns, run_max_ns;
};

struct nt_stages {
	pthread_mutex_t lock;
	struct stages_bpf *skel;
	int cgroup_fd;
	int n_cpus;
	uint64_t *wanted;
	uint32_t n_wanted;
	struct bases bases;
	uint32_t reads;
	struct fine *fine[NT_TX_FINE];
	uint32_t n_fine;
	struct nt_tx_cpu *cpus;
	struct nt_tx_counts *counts;
	struct total totals[NT_PARTS];
	uint8_t *buf;
	uint32_t n_buf, buf_cap;
	uint32_t read_epoch; /* of the last read */
};

static void free_bases(struct bases *b)
{
	for (uint32_t i = 0; b->v && i <= b->mask; i++)
		free(b->v[i]);
	free(b->v);
}

static struct nt_tx_rec **base_slot(const struct bases *b, uint64_t cookie)
{
	uint32_t i = (uint32_t)(cookie * 0x9e3779b97f4a7c15ULL >> 32) & b->mask;

	while (b->v[i] && b->v[i]->cookie != cookie)
		i = (i + 1) & b->mask;
	return &b->v[i];
}

/* A table of n slots; with keep the records of sockets that it does not know are forgotten. */
static int rehash(struct bases *b, uint32_t n, const struct nt_engine *keep)
{
	struct bases bigger = { .v = calloc(n, sizeof(*bigger.v)), .mask = n - 1 };

	if (!bigger.v)
		return -ENOMEM;
	for (uint32_t i = 0; b->v && i <= b->mask; i++) {
		struct nt_tx_rec *old = b->v[i];

		if (!old)
			continue;
		if (keep && nt_table_find(&keep->table, old->cookie) == NT_NONE) {
			free(old);
			continue;
		}
		*base_slot(&bigger, old->cookie) = old;
		bigger.live++;
	}
	free(b->v);
	*b = bigger;
	return 0;
}

/* The record of the read before, zeroed if it is new. */
static struct nt_tx_rec *base_of(struct bases *b, const struct nt_tx_rec *now)
{
	if ((b->live + 1) * 2 > b->mask && rehash(b, (b->mask + 1) * 2, NULL))
		return NULL;
	struct nt_tx_rec **slot = base_slot(b, now->cookie);

	if (!*slot) {
		*slot = calloc(1, sizeof(**slot));
		if (!*slot)
			return NULL;
		b->live++;
	} else if ((*slot)->born_ns != now->born_ns) {
		memset(*slot, 0, sizeof(**slot));
	}
	(*slot)->cookie = now->cookie;
	(*slot)->born_ns = now->born_ns;
	return *slot;
}

int nt_stages_open(const char *cgroup_root, struct nt_stages **ret, char *why, uint32_t n_why)
{
	struct nt_stages *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	*ret = NULL;
	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	nt_bpf_quiet();
	s->n_cpus = nt_bpf_cpus();
	s->cgroup_fd = open(cgroup_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->cgroup_fd < 0) {
		snprintf(why, n_why, "no cgroup v2 at %s: %s", cgroup_root, strerror(errno));
		err = -errno;
		nt_stages_close(s);
		return err;
	}
	if (s->n_cpus > 0) {
		s->cpus = calloc((size_t)s->n_cpus, sizeof(*s->cpus));
		s->counts = calloc((size_t)s->n_cpus, sizeof(*s->counts));
	}
	if (!s->cpus || !s->counts || rehash(&s->bases, 64, NULL))
		goto fail;
	for (int with_copy = 1; with_copy >= 0; with_copy--) {
		s->skel = stages_bpf__open();
		if (!s->skel) {
			err = -errno;
			goto fail;
		}
		/* tcp_sendmsg_locked came one release after the stamps: without it, no copy stage. */
		bpf_program__set_autoload(s->skel->progs.stages_copy, with_copy);
		err = stages_bpf__load(s->skel);
		if (!err)
			break;
		stages_bpf__destroy(s->skel);
		s->skel = NULL;
		if (err == -EPERM || err == -EACCES)
			break;
	}
	if (err)
		goto fail;
	union bpf_iter_link_info info = { .map.map_fd =
						  (uint32_t)bpf_map__fd(s->skel->maps.sockets) };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	s->skel->links.stages_read = bpf_program__attach_iter(s->skel->progs.stages_read, &opts);
	if (s->skel->links.stages_read)
		s->skel->links.stages_walk = bpf_program__attach(s->skel->progs.stages_walk);
	if (!s->skel->links.stages_walk) {
		err = -errno;
		goto fail;
	}
	*ret = s;
	return 0;
fail:
	if (err == -EPERM || err == -EACCES)
		snprintf(why, n_why, "needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");
	else
		nt_bpf_reason(err == -EINVAL ? -ENOENT : err, "BPF timestamping (Linux 6.15)", why,
			      n_why);
	nt_stages_close(s);
	return err ? err : -EIO;
}

void nt_stages_close(struct nt_stages *s)
{
	if (!s)
		return;
	stages_bpf__destroy(s->skel);
	if (s->cgroup_fd >= 0)
		close(s->cgroup_fd);
	for (uint32_t i = 0; i < s->n_fine; i++)
		free(s->fine[i]);
	free(s->wanted);
	free_bases(&s->bases);
	free(s->cpus);
	free(s->counts);
	free(s->buf);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void nt_stages_detach(struct nt_stages *s)
{
	pthread_mutex_lock(&s->lock);
	bpf_link__destroy(s->skel->links.stages_ops);
	bpf_link__destroy(s->skel->links.stages_copy);
	s->skel->links.stages_ops = s->skel->links.stages_copy = NULL;
	pthread_mutex_unlock(&s->lock);
}

static int attach(struct nt_stages *s, char *why, uint32_t n_why)
{
	struct stages_bpf *skel = s->skel;

	if (!skel->links.stages_ops)
		skel->links.stages_ops = bpf_program__attach_cgroup(skel->progs.stages_ops,
								    s->cgroup_fd);
	if (!skel->links.stages_ops) {
		int err = -errno;

		if (err == -EPERM)
			snprintf(why, n_why,
				 "another sockops program holds the root cgroup for itself");
		else
			snprintf(why, n_why, "attaching to the root cgroup: %s", strerror(-err));
		return err;
	}
	if (!skel->links.stages_copy && bpf_program__autoload(skel->progs.stages_copy))
		skel->links.stages_copy = bpf_program__attach(skel->progs.stages_copy);
	return 0;
}

static int by_cookie(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Fine buckets for the first sockets of the selection. */
static void refine(struct nt_stages *s)
{
	int map = bpf_map__fd(s->skel->maps.fine);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n_fine; i++) {
		struct fine *f = s->fine[i];

		if (bsearch(&f->cookie, s->wanted, s->n_wanted, sizeof(*s->wanted), by_cookie)) {
			s->fine[kept++] = f;
		} else {
			bpf_map_delete_elem(map, &f->cookie);
			free(f);
		}
	}
	s->n_fine = kept;
	for (uint32_t i = 0; i < s->n_wanted && s->n_fine < NT_TX_FINE; i++) {
		uint32_t j = 0;

		while (j < kept && s->fine[j]->cookie != s->wanted[i])
			j++;
		if (j < kept)
			continue;
		struct fine *f = calloc(1, sizeof(*f));

		if (!f || bpf_map_update_elem(map, &s->wanted[i], &f->now, BPF_ANY)) {
			free(f);
			continue;
		}
		f->cookie = s->wanted[i];
		s->fine[s->n_fine++] = f;
	}
	s->skel->bss->refined = s->n_fine;
}

int nt_stages_select(struct nt_stages *s, const uint64_t *cookies, uint32_t n, int everything,
		     uint32_t every, char *why, uint32_t n_why)
{
	int map = bpf_map__fd(s->skel->maps.wanted), err = 0;
	uint8_t yes = 1;

	if (n > NT_TX_WANTED || !every)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	uint64_t *wanted = malloc((n + 1UL) * sizeof(*wanted));

	if (!wanted) {
		err = -ENOMEM;
		goto out;
	}
	memcpy(wanted, cookies, n * sizeof(*wanted));
	qsort(wanted, n, sizeof(*wanted), by_cookie);
	if (n || everything)
		err = attach(s, why, n_why);
	if (err) {
		free(wanted);
		goto out;
	}
	for (uint32_t i = 0; i < s->n_wanted; i++)
		if (!bsearch(&s->wanted[i], wanted, n, sizeof(*wanted), by_cookie))
			bpf_map_delete_elem(map, &s->wanted[i]);
	for (uint32_t i = 0; i < n; i++)
		bpf_map_update_elem(map, &wanted[i], &yes, BPF_ANY);
	free(s->wanted);
	s->wanted = wanted;
	s->n_wanted = n;
	s->skel->bss->everything = everything != 0;
	s->skel->data->every = every;
	refine(s);
out:
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* New sockets of this namespace are switched on too, while all are sampled. */
static void note_space(struct nt_stages *s, int ns_fd)
{
	struct stat st;
	uint8_t yes = 1;

	if (ns_fd < 0 ? stat("/proc/self/ns/net", &st) : fstat(ns_fd, &st))
		return;
	uint32_t inode = (uint32_t)st.st_ino;

	bpf_map_update_elem(bpf_map__fd(s->skel->maps.spaces), &inode, &yes, BPF_ANY);
}

static int walk(struct nt_stages *s, int ns_fd, bool alien, struct nt_stages_walk *ret)
{
	struct stages_bpf__bss *bss = s->skel->bss;

	pthread_mutex_lock(&s->lock);
	bss->walk_set = bss->walk_cleared = bss->walk_foreign = bss->walk_failed = 0;
	bss->clear_alien = alien;
	if (!alien)
		note_space(s, ns_fd);
	int err = nt_bpf_iter_run(bpf_link__fd(s->skel->links.stages_walk), ns_fd);

	bss->clear_alien = 0;
	*ret = (struct nt_stages_walk){ .set = bss->walk_set,
					.cleared = bss->walk_cleared,
					.foreign = bss->walk_foreign,
					.failed = bss->walk_failed };
	pthread_mutex_unlock(&s->lock);
	return err;
}

int nt_stages_walk(struct nt_stages *s, int ns_fd, struct nt_stages_walk *ret)
{
	return walk(s, ns_fd, false, ret);
}

int nt_stages_clear_all(struct nt_stages *s, int ns_fd, struct nt_stages_walk *ret)
{
	return walk(s, ns_fd, true, ret);
}

int nt_stages_others(struct nt_stages *s)
{
	uint32_t ids[64], n = 64, flags = 0;

	if (bpf_prog_query(s->cgroup_fd, BPF_CGROUP_SOCK_OPS, 0, &flags, ids, &n))
		return -errno;
	return (int)n - (s->skel->links.stages_ops ? 1 : 0);
}

static struct fine *fine_of(struct nt_stages *s, uint64_t cookie)
{
	for (uint32_t i = 0; i < s->n_fine; i++)
		if (s->fine[i]->cookie == cookie)
			return s->fine[i];
	return NULL;
}

static void read_fine(struct nt_stages *s)
{
	int map = bpf_map__fd(s->skel->maps.fine);

	for (uint32_t i = 0; i < s->n_fine; i++) {
		struct fine *f = s->fine[i];

		f->last = f->now;
		memset(f->max_ns, 0, sizeof(f->max_ns));
		f->whole = f->read;
		f->read = !bpf_map_lookup_elem(map, &f->cookie, &f->now);
	}
}

static int read_totals(struct nt_stages *s, uint32_t epoch, struct nt_stages_totals *t)
{
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.counts), &zero, s->counts))
		return -errno;
	for (int i = 0; i < s->n_cpus; i++) {
		t->runs += s->counts[i].runs;
		t->sampled += s->counts[i].sampled;
		t->done += s->counts[i].done;
		t->merged += s->counts[i].merged;
		t->lost += s->counts[i].lost;
		t->no_storage += s->counts[i].no_storage;
		t->resent += s->counts[i].resent;
		t->full += s->counts[i].full;
		t->own_stamps += s->counts[i].own_stamps;
	}
	for (uint32_t part = 0; part < NT_PARTS; part++) {
		struct total *total = &s->totals[part];
		struct nt_dist *all = &t->all[stage_of[part]];
		uint64_t interval[NT_FINE];

		if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.totals), &part, s->cpus))
			return -errno;
		memcpy(total->last, total->now, sizeof(total->now));
		memset(total->now, 0, sizeof(total->now));
		total->last_sum = total->now_sum;
		total->now_sum = total->max_ns = 0;
		for (int i = 0; i < s->n_cpus; i++) {
			const struct nt_tx_cpu *c = &s->cpus[i];

			total->now_sum += c->sum_ns;
			for (uint32_t k = 0; k < 2; k++)
				if (c->epoch[k] >= epoch && c->max_ns[k] > total->max_ns)
					total->max_ns = c->max_ns[k];
			for (uint32_t k = 0; k < NT_FINE; k++)
				total->now[k] += c->buckets[k];
		}
		if (total->max_ns > total->run_max_ns)
			total->run_max_ns = total->max_ns;
		for (uint32_t k = 0; k < NT_FINE; k++)
			interval[k] = total->now[k] - total->last[k];
		all->max_ns = total->max_ns;
		all->sum_ns = total->now_sum - total->last_sum;
		nt_dist_of(interval, NT_FINE, 1, all);
	}
	return 0;
}

static void fill_stage(const struct nt_tx_rec *now, const struct nt_tx_rec *last, struct fine *f,
		       uint32_t part, uint32_t epoch, struct nt_dist *d)
{
	const struct nt_tx_stage *a = &now->stages[part], *b = &last->stages[part];
	uint64_t buckets[NT_FINE], any = 0;
	uint32_t count = a->count - b->count;

	memset(d, 0, sizeof(*d));
	if (!count)
		return;
	d->sum_ns = a->sum_ns - b->sum_ns;
	for (uint32_t k = 0; k < 2; k++)
		if (now->epoch[k] >= epoch && a->max_ns[k] > d->max_ns)
			d->max_ns = a->max_ns[k];
	if (f) {
		f->max_ns[part] = d->max_ns;
		for (uint32_t k = 0; k < NT_FINE; k++) {
			buckets[k] = f->now.buckets[part][k] - f->last.buckets[part][k];
			any |= buckets[k];
		}
		if (f->whole && any) {
			nt_dist_of(buckets, NT_FINE, 1, d);
			d->count = count;
			return;
		}
	}
	for (uint32_t k = 0; k < NT_OCTAVES; k++)
		buckets[k] = (uint16_t)(a->octaves[k] - b->octaves[k]);
	nt_dist_of(buckets, NT_OCTAVES, 0, d);
	d->count = count;
}

static uint32_t open_of(const struct nt_tx_rec *s)
{
	return s->sampled - s->done - s->merged - s->lost;
}

/* False: the table does not know the socket. The engine's lock is held. */
static bool tell(struct nt_stages *s, struct nt_engine *e, const struct nt_tx_rec *now)
{
	struct nt_plane *p = nt_plane_of(e, now->cookie);

	if (!p)
		return false;
	struct nt_tx_rec *last = base_of(&s->bases, now);

	if (!last)
		return true;
	struct fine *f = fine_of(s, now->cookie);

	p->has |= NT_P_TX;
	p->tx_sends = now->done - last->done;
	p->tx_incomplete = now->merged + now->lost - last->merged - last->lost;
	p->tx_resent = now->resent - last->resent;
	p->tx_open = open_of(now);
	for (uint32_t part = 0; part < NT_PARTS; part++)
		fill_stage(now, last, f, part, s->read_epoch, &p->tx[stage_of[part]]);
	*last = *now;
	return true;
}

/* Tells of all records in the buffer; those that nobody knows stay at its beginning. */
static uint32_t tell_all(struct nt_stages *s, struct nt_engine *e)
{
	struct nt_tx_rec now;
	uint32_t kept = 0, told = 0;

	for (uint32_t at = 0; at + sizeof(now) <= s->n_buf; at += sizeof(now)) {
		memcpy(&now, s->buf + at, sizeof(now));
		if (tell(s, e, &now)) {
			told++;
		} else {
			memmove(s->buf + kept, s->buf + at, sizeof(now));
			kept += sizeof(now);
		}
	}
	s->n_buf = kept;
	return told;
}

static uint64_t count_open(const struct nt_stages *s)
{
	struct nt_tx_rec now;
	uint64_t open = 0;

	for (uint32_t at = 0; at + sizeof(now) <= s->n_buf; at += sizeof(now)) {
		memcpy(&now, s->buf + at, sizeof(now));
		open += open_of(&now);
	}
	return open;
}

/* Selected sockets that sent nothing have no record, and are traced all the same. */
static void tell_wanted(struct nt_stages *s, struct nt_engine *e)
{
	for (uint32_t i = 0; i < s->n_wanted; i++) {
		struct nt_plane *p = nt_plane_of(e, s->wanted[i]);

		if (p)
			p->has |= NT_P_TX;
	}
}

int nt_stages_read(struct nt_stages *s, struct nt_engine *e, struct nt_stages_totals *ret)
{
	uint64_t cpu = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&s->lock);
	uint32_t epoch = s->skel->data->epoch;

	s->read_epoch = epoch;
	s->skel->data->epoch = epoch + 1;
	int err = nt_bpf_iter_read(bpf_link__fd(s->skel->links.stages_read), &s->buf, &s->n_buf,
				   &s->buf_cap);

	read_fine(s);
	if (!err)
		err = read_totals(s, epoch, ret);
	if (!err) {
		ret->open = count_open(s);
		ret->sockets = s->n_buf / (uint32_t)sizeof(struct nt_tx_rec);
		/* What is neither done nor open went with its socket, or with its selection. */
		ret->lost = ret->sampled - ret->done - ret->merged - ret->open;
	}
	if (e && !err) {
		pthread_mutex_lock(&e->lock);
		nt_planes_reset_tx(e);
		tell_wanted(s, e);
		ret->unknown = ret->sockets - tell_all(s, e);
		if (++s->reads % FORGET_EVERY == 0 && s->bases.live > 2 * e->table.live + 1024)
			rehash(&s->bases, s->bases.mask + 1, e);
		pthread_mutex_unlock(&e->lock);
	}
	pthread_mutex_unlock(&s->lock);
	ret->cpu_ns = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return err;
}

int nt_stages_read_late(struct nt_stages *s, struct nt_engine *e)
{
	uint32_t told;

	pthread_mutex_lock(&s->lock);
	pthread_mutex_lock(&e->lock);
	tell_wanted(s, e);
	told = tell_all(s, e);
	pthread_mutex_unlock(&e->lock);
	s->n_buf = 0;
	pthread_mutex_unlock(&s->lock);
	return (int)told;
}

int nt_stages_buckets(struct nt_stages *s, const uint64_t *cookies, uint32_t n, int stage, int run,
		      uint64_t *buckets, struct nt_dist *dist)
{
	int found = 0;

	memset(buckets, 0, NT_FINE * sizeof(*buckets));
	memset(dist, 0, sizeof(*dist));
	if (stage < 0 || stage >= NT_TX_STAGES)
		return -EINVAL;
	uint32_t part = 0;

	while (part < NT_PARTS && (int)stage_of[part] != stage)
		part++;
	if (part == NT_PARTS)
		return 0;
	pthread_mutex_lock(&s->lock);
	if (!n) {
		const struct total *t = &s->totals[part];
		const uint64_t *from = run ? t->start : t->last;

		for (uint32_t k = 0; k < NT_FINE; k++)
			buckets[k] = t->now[k] - from[k];
		dist->sum_ns = t->now_sum - (run ? t->start_sum : t->last_sum);
		dist->max_ns = run ? t->run_max_ns : t->max_ns;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct fine *f = fine_of(s, cookies[i]);

		if (!f)
			continue;
		found++;
		const struct nt_tx_fine *from = run ? &f->start : &f->last;

		for (uint32_t k = 0; k < NT_FINE; k++)
			buckets[k] += f->now.buckets[part][k] - from->buckets[part][k];
		if (!run && f->max_ns[part] > dist->max_ns)
			dist->max_ns = f->max_ns[part];
	}
	nt_dist_of(buckets, NT_FINE, 1, dist);
	pthread_mutex_unlock(&s->lock);
	return found;
}

void nt_stages_clear(struct nt_stages *s)
{
	pthread_mutex_lock(&s->lock);
	for (uint32_t part = 0; part < NT_PARTS; part++) {
		struct total *t = &s->totals[part];

		memcpy(t->start, t->now, sizeof(t->now));
		t->start_sum = t->now_sum;
		t->run_max_ns = 0;
	}
	for (uint32_t i = 0; i < s->n_fine; i++)
		s->fine[i]->start = s->fine[i]->now;
	pthread_mutex_unlock(&s->lock);
}

#endif
