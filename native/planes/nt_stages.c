// SPDX-License-Identifier: MIT
/* The stages plane's host: loads the programs, selects sockets, ends intervals. */
#include "nt_api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifndef NT_WITH_BPF

int nt_stages_open(const char *cgroup_root, int method, struct nt_stages **ret, char *why,
		   uint32_t n_why)
{
	(void)cgroup_root, (void)method;
	*ret = NULL;
	snprintf(why, n_why, "nettop was built without BPF");
	return -ENOTSUP;
}

int nt_stages_programs(struct nt_stages *s, struct nt_prog *ret, uint32_t max)
{
	(void)s, (void)ret, (void)max;
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

int nt_stages_sees_calls(struct nt_stages *s)
{
	(void)s;
	return 0;
}

int nt_stages_method(struct nt_stages *s)
{
	(void)s;
	return -ENOTSUP;
}

int nt_stages_by_files(const struct nt_stages *s)
{
	(void)s;
	return 0;
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

#else

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nt_bpf.h"
#include "nt_stages_host.h"

/* Loads the programs of a method; -errno. */
static int load(struct nt_stages *s, int method, bool with_copy)
{
	bool stamps = method == NT_STAGES_STAMPS;

	s->skel = stages_bpf__open();
	if (!s->skel)
		return -errno;
	s->skel->rodata->by_stamps = stamps;
	s->skel->rodata->sees_calls = stamps && with_copy;
	bpf_program__set_autoload(s->skel->progs.stages_ops, stamps);
	bpf_program__set_autoload(s->skel->progs.stages_copy, stamps && with_copy);
	bpf_program__set_autoload(s->skel->progs.stages_probe, !stamps);
	bpf_program__set_autoload(s->skel->progs.stages_read, !s->by_files);
	bpf_program__set_autoload(s->skel->progs.stages_read_files, s->by_files);
	int err = stages_bpf__load(s->skel);

	if (err) {
		stages_bpf__destroy(s->skel);
		s->skel = NULL;
	} else {
		s->method = method;
	}
	return err;
}

static int attach_iterators(struct nt_stages *s)
{
	struct stages_bpf *skel = s->skel;

	if (s->by_files)
		skel->links.stages_read_files = bpf_program__attach(skel->progs.stages_read_files);
	else
		skel->links.stages_read = nt_bpf_iter_over(skel->progs.stages_read,
							   skel->maps.sockets);
	if (!skel->links.stages_read && !skel->links.stages_read_files)
		return -errno;
	skel->links.stages_walk = bpf_program__attach(skel->progs.stages_walk);
	if (!skel->links.stages_walk)
		return -errno;
	skel->links.stages_walk_udp = bpf_program__attach(skel->progs.stages_walk_udp);
	return skel->links.stages_walk_udp ? 0 : -errno;
}

/* Loads the best method, or the one asked for. */
static int load_best(struct nt_stages *s, int method, bool no_cgroup)
{
	const struct nt_bpf_kernel *kernel = nt_bpf_kernel();
	int err = no_cgroup ? -ENOTDIR : -ESRCH;

	/* Without tcp_sendmsg_locked, no copy stage. */
	if (method != NT_STAGES_TRACEPOINTS && !no_cgroup && kernel->stamps)
		err = load(s, NT_STAGES_STAMPS, kernel->tells_sends);
	if (err && method != NT_STAGES_STAMPS) {
		int path = load(s, NT_STAGES_TRACEPOINTS, false);

		if (!path || method == NT_STAGES_TRACEPOINTS || no_cgroup || !kernel->stamps)
			err = path;
	}
	return err;
}

int nt_stages_open(const char *cgroup_root, int method, struct nt_stages **ret, char *why,
		   uint32_t n_why)
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
	int no_cgroup = s->cgroup_fd < 0 ? errno : 0;

	if (s->n_cpus > 0) {
		s->cpus = calloc((size_t)s->n_cpus, sizeof(*s->cpus));
		s->counts = calloc((size_t)s->n_cpus, sizeof(*s->counts));
	}
	if (!s->cpus || !s->counts)
		goto fail;
	do {
		s->by_files = nt_bpf_by_files();
		err = load_best(s, method, no_cgroup);
	} while (nt_bpf_try_files(err));
	if (!err)
		err = attach_iterators(s);
	if (!err && s->method == NT_STAGES_STAMPS)
		err = nt_tx_nics_open(s);
	if (err)
		goto fail;
	*ret = s;
	return 0;
fail:
	if (no_cgroup && method == NT_STAGES_STAMPS)
		snprintf(why, n_why, "no cgroup v2 at %s: %s", cgroup_root, strerror(no_cgroup));
	else if (err == -EPERM)
		snprintf(why, n_why, "needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");
	else /* what the verifier knows nothing of is EINVAL or EACCES */
		nt_bpf_reason(err == -EINVAL || err == -EACCES ? -ENOENT : err,
			      "TX stages (all Linux 6.15, in part 6.1)", why, n_why);
	nt_stages_close(s);
	return err ? err : -EIO;
}

int nt_stages_method(struct nt_stages *s)
{
	return s->method;
}

int nt_stages_sees_calls(struct nt_stages *s)
{
	return bpf_program__autoload(s->skel->progs.stages_copy);
}

int nt_stages_by_files(const struct nt_stages *s)
{
	return s->by_files;
}

int nt_stages_records_fd(const struct nt_stages *s)
{
	return bpf_map__fd(s->skel->maps.sockets);
}

int nt_stages_programs(struct nt_stages *s, struct nt_prog *ret, uint32_t max)
{
	return nt_bpf_programs(s->skel->obj, ret, max);
}

void nt_stages_close(struct nt_stages *s)
{
	if (!s)
		return;
	ring_buffer__free(s->nics);
	stages_bpf__destroy(s->skel);
	if (s->cgroup_fd >= 0)
		close(s->cgroup_fd);
	free(s->wanted);
	free(s->placed);
	free(s->fined);
	free(s->cpus);
	free(s->counts);
	free(s->buf);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void nt_tx_detach_path(struct nt_stages *s)
{
	struct stages_bpf *skel = s->skel;

	bpf_link__destroy(skel->links.stages_queue);
	bpf_link__destroy(skel->links.stages_leave);
	bpf_link__destroy(skel->links.stages_given);
	bpf_link__destroy(skel->links.stages_probe);
	skel->links.stages_queue = skel->links.stages_leave = NULL;
	skel->links.stages_probe = skel->links.stages_given = NULL;
}

void nt_stages_detach(struct nt_stages *s)
{
	pthread_mutex_lock(&s->lock);
	bpf_link__destroy(s->skel->links.stages_ops);
	bpf_link__destroy(s->skel->links.stages_copy);
	bpf_link__destroy(s->skel->links.stages_drop);
	s->skel->links.stages_ops = s->skel->links.stages_copy = NULL;
	s->skel->links.stages_drop = NULL;
	nt_tx_detach_path(s);
	pthread_mutex_unlock(&s->lock);
}

/* The tracepoints that every packet passes: only while something needs them. */
static int attach_path(struct nt_stages *s)
{
	struct stages_bpf *skel = s->skel;
	struct {
		struct bpf_program *program;
		struct bpf_link **link;
	} parts[] = {
		{ skel->progs.stages_given, &skel->links.stages_given },
		{ skel->progs.stages_leave, &skel->links.stages_leave },
		{ skel->progs.stages_queue, &skel->links.stages_queue },
		{ skel->progs.stages_probe, &skel->links.stages_probe },
	};

	for (uint32_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (*parts[i].link || !bpf_program__autoload(parts[i].program))
			continue;
		*parts[i].link = bpf_program__attach(parts[i].program);
		if (!*parts[i].link)
			return -errno;
	}
	return 0;
}

static int attach(struct nt_stages *s, char *why, uint32_t n_why)
{
	struct stages_bpf *skel = s->skel;
	int err = 0;

	if (!skel->links.stages_drop && bpf_program__autoload(skel->progs.stages_drop)) {
		skel->links.stages_drop = bpf_program__attach(skel->progs.stages_drop);
		if (!skel->links.stages_drop) {
			err = -errno;
			snprintf(why, n_why, "attaching to what is dropped: %s", strerror(-err));
			return err;
		}
	}
	if (s->method == NT_STAGES_TRACEPOINTS) {
		err = attach_path(s);
		if (err)
			snprintf(why, n_why, "attaching to tracepoints: %s", strerror(-err));
		return err;
	}
	if (!skel->links.stages_ops)
		skel->links.stages_ops = bpf_program__attach_cgroup(skel->progs.stages_ops,
								    s->cgroup_fd);
	if (!skel->links.stages_ops) {
		err = -errno;
		if (err == -EPERM)
			snprintf(why, n_why,
				 "another sockops program holds the root cgroup for itself");
		else
			snprintf(why, n_why, "attaching to the root cgroup: %s", strerror(-err));
		return err;
	}
	if (skel->links.stages_copy || !bpf_program__autoload(skel->progs.stages_copy))
		return 0;
	skel->links.stages_copy = bpf_program__attach(skel->progs.stages_copy);
	if (!skel->links.stages_copy) {
		err = -errno;
		snprintf(why, n_why, "attaching to the send call: %s", strerror(-err));
		bpf_link__destroy(skel->links.stages_ops);
		skel->links.stages_ops = NULL;
	}
	return err;
}

/* Fine buckets for the first sockets of the selection. */
static void refine(struct nt_stages *s)
{
	int map = bpf_map__fd(s->skel->maps.fine);
	struct nt_tx_fine *empty = NULL;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n_fine; i++) {
		if (bsearch(&s->fine[i], s->wanted, s->n_wanted, sizeof(*s->wanted),
			    nt_bpf_by_cookie))
			s->fine[kept++] = s->fine[i];
		else
			bpf_map_delete_elem(map, &s->fine[i]);
	}
	s->n_fine = kept;
	for (uint32_t i = 0; i < s->n_wanted && s->n_fine < NT_TX_FINE; i++) {
		uint32_t j = 0;

		while (j < kept && s->fine[j] != s->wanted[i])
			j++;
		if (j < kept)
			continue;
		empty = empty ? empty : calloc(1, sizeof(*empty));
		if (empty && !bpf_map_update_elem(map, &s->wanted[i], empty, BPF_ANY))
			s->fine[s->n_fine++] = s->wanted[i];
	}
	free(empty);
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
	qsort(wanted, n, sizeof(*wanted), nt_bpf_by_cookie);
	if (n || everything)
		err = attach(s, why, n_why);
	if (err) {
		free(wanted);
		goto out;
	}
	for (uint32_t i = 0; i < s->n_wanted; i++)
		if (!bsearch(&s->wanted[i], wanted, n, sizeof(*wanted), nt_bpf_by_cookie))
			bpf_map_delete_elem(map, &s->wanted[i]);
	for (uint32_t i = 0; i < n; i++) {
		if (bpf_map_update_elem(map, &wanted[i], &yes, BPF_ANY) && !err) {
			err = -errno;
			snprintf(why, n_why, "a selected socket has no room: %s", strerror(-err));
		}
	}
	free(s->wanted);
	s->wanted = wanted;
	s->n_wanted = n;
	s->udp = 0;
	s->skel->bss->everything = everything != 0;
	s->skel->data->every = every;
	refine(s);
out:
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* New sockets of this namespace are switched on too, while all are sampled. */
static int note_space(struct nt_stages *s, int ns_fd)
{
	struct stat st;
	uint8_t yes = 1;

	if (ns_fd < 0 ? stat("/proc/self/ns/net", &st) : fstat(ns_fd, &st))
		return -errno;
	uint32_t inode = (uint32_t)st.st_ino;

	return bpf_map_update_elem(bpf_map__fd(s->skel->maps.spaces), &inode, &yes, BPF_ANY) ?
		       -errno :
		       0;
}

static int walk(struct nt_stages *s, int ns_fd, bool every, struct nt_stages_walk *ret)
{
	struct stages_bpf__bss *bss = s->skel->bss;

	pthread_mutex_lock(&s->lock);
	bss->walk_set = bss->walk_cleared = bss->walk_foreign = bss->walk_failed = 0;
	bss->walk_udp = 0;
	bss->clear_every = every;
	int err = every ? 0 : note_space(s, ns_fd);

	if (!err)
		err = nt_bpf_iter_run(bpf_link__fd(s->skel->links.stages_walk), ns_fd);
	bss->clear_every = 0;
	if (!err && !every) {
		err = nt_bpf_iter_run(bpf_link__fd(s->skel->links.stages_walk_udp), ns_fd);
		s->udp += bss->walk_udp;
		if (!err && (s->udp || bss->everything))
			err = attach_path(s);
	}
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

#endif
