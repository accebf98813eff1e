/* SPDX-License-Identifier: MIT */
/*
 * Which processes hold a socket, from /proc/PID/fd. Reading a descriptor costs microseconds, a
 * stat of the directory a fraction of one, so a process is read again only when the stat
 * changed. What a stat cannot show (a descriptor closed and another opened, a new name after
 * exec) is found by small slices of re-reading, sooner after a hint. A process that changed
 * nothing for a while is looked at in every fifth scan, and at once while a socket has no holder:
 * so long a descriptor that it was handed may go unseen. What the directory does not
 * show (nt_more.c) is looked for in new processes, and in all while a socket has no holder.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "nt_api.h"
#include "nt_engine.h"
#include "nt_procs.h"

static const long PROCFS_MAGIC = 0x9fa0;
static const char INIT_PIDNS[] = "pid:[4026531836]"; /* PROC_PID_INIT_INO */

enum {
	SLICE_NS = 200000, /* re-reading per scan while nothing asks for it */
	HINT_NS = 2000000, /* while owners are being looked for */
	OLD_NS = 5000000,  /* where the size of /proc/PID/fd says nothing (Linux < 6.2) */
	ROUND_SCANS = 10,  /* scans in which every process should have had its turn */
	PART_FDS = 64,	   /* descriptors re-read at a time */
	HINT_FDS = 512,	   /* a larger process is re-read in parts, after a hint too */
	RECENT_SCANS = 10, /* a process that changed so lately is looked at first, and each time */
	QUIET_SCANS = 5,   /* the others have their turn in so many scans */
};

static int by_pid(const void *a, const void *b)
{
	uint32_t x = ((const struct nt_pid *)a)->pid, y = ((const struct nt_pid *)b)->pid;

	return (x > y) - (x < y);
}

int nt_procs_new(const char *proc_root, struct nt_procs **ret)
{
	struct nt_procs *p = calloc(1, sizeof(*p));
	struct statfs fs;

	if (!p)
		return -ENOMEM;
	p->root = open(proc_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->root < 0) {
		int err = -errno;

		free(p);
		return err;
	}
	p->procfs = !fstatfs(p->root, &fs) && fs.f_type == PROCFS_MAGIC;
	pthread_mutex_init(&p->scan_lock, NULL);
	pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return 0;
}

static void task_free(struct nt_task *t)
{
	while (t->more) {
		struct nt_task *x = t->more;

		t->more = x->next;
		task_free(x);
	}
	free(t->own);
	free(t);
}

void nt_procs_free(struct nt_procs *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->n_task; i++)
		task_free(p->task[i]);
	nt_owners_free(&p->owners);
	nt_misses_free(&p->misses);
	free(p->task);
	free(p->netns);
	free(p->kernel);
	free(p->pid);
	free(p->fd);
	close(p->root);
	pthread_mutex_destroy(&p->scan_lock);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* One turn of re-reading: a part of a large process, the whole of a small one. */
static void reread(struct nt_procs *p, struct nt_task *t)
{
	if (!t->next_fd) {
		nt_task_read_netns(p, t);
		if (t->n_own)
			nt_task_read_name(p, t);
	}
	nt_task_read_part(p, t, p->procfs ? PART_FDS : UINT32_MAX);
}

/* First process with a pid >= the given one. */
static uint32_t task_from(const struct nt_procs *p, uint32_t pid)
{
	uint32_t lo = 0, hi = p->n_task;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (p->task[mid]->pid < pid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Whether it may hold what /proc/PID/fd does not show. */
static bool looks_deep(const struct nt_procs *p, const struct nt_task *t)
{
	return t->more || nt_task_has_fds(p, t);
}

static uint32_t slices(struct nt_procs *p, bool hinted)
{
	uint64_t end = nt_clock_ns(CLOCK_MONOTONIC);
	uint32_t done = 0, turns, i;

	end += hinted ? HINT_NS : p->sized ? SLICE_NS : OLD_NS;
	for (i = 0; hinted && i < p->n_task && nt_clock_ns(CLOCK_MONOTONIC) < end; i++) {
		struct nt_task *t = p->task[i];

		if (t->more && t->deep_scan <= p->since)
			done += nt_more_find(p, t) != 0;
		if (!nt_task_has_fds(p, t) || t->read_scan > p->since || t->n_own > HINT_FDS ||
		    p->scan - t->change_scan > RECENT_SCANS)
			continue;
		nt_task_read(p, t);
		done++;
	}
	/* Everybody's turn: small processes are done at once, large ones begin a pass. */
	turns = hinted || !p->sized ? p->n_task : (p->n_task + ROUND_SCANS - 1) / ROUND_SCANS;
	i = task_from(p, p->slice_pid);
	for (; turns && nt_clock_ns(CLOCK_MONOTONIC) < end; turns--, i++) {
		if (i >= p->n_task)
			i = 0;
		struct nt_task *t = p->task[i];
		p->slice_pid = t->pid + 1;
		if (hinted && t->deep_scan <= p->since && looks_deep(p, t))
			nt_more_find(p, t);
		if (!nt_task_has_fds(p, t) || t->next_fd ||
		    t->read_scan > (hinted ? p->since : p->scan - 1))
			continue;
		reread(p, t);
		done++;
	}
	/* What time is left goes to the passes that are under way. */
	i = task_from(p, p->part_pid);
	for (turns = p->n_task; turns && nt_clock_ns(CLOCK_MONOTONIC) < end; turns--, i++) {
		if (i >= p->n_task)
			i = 0;
		struct nt_task *t = p->task[i];
		p->part_pid = t->pid;
		while (t->next_fd && nt_task_has_fds(p, t) && nt_clock_ns(CLOCK_MONOTONIC) < end) {
			reread(p, t);
			done++;
		}
	}
	return done;
}

static uint32_t oldest_reading(const struct nt_procs *p)
{
	uint32_t oldest = p->scan;

	for (uint32_t i = 0; i < p->n_task; i++) {
		const struct nt_task *t = p->task[i];

		if (nt_task_has_fds(p, t) && t->read_scan < oldest)
			oldest = t->read_scan;
		if (looks_deep(p, t) && t->deep_scan < oldest)
			oldest = t->deep_scan;
	}
	return oldest;
}

/*
 * How many threads there are, and the last number that one was given: while neither changes no
 * process began or ended. 0: not known.
 */
static uint64_t count_threads(struct nt_procs *p)
{
	unsigned int all, last;
	char line[128];
	int fd = p->compares ? openat(p->root, "loadavg", O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[n < 0 ? 0 : n] = 0;
	if (sscanf(line, "%*s %*s %*s %*u/%u %u", &all, &last) != 2)
		return 0;
	return (uint64_t)all << 32 | last;
}

/*
 * The pids of /proc, ascending; returns how many. anew: whatever the count says, as a process that
 * has its number and is not counted yet may hide behind one that ends.
 */
static int64_t list_pids(struct nt_procs *p, bool anew)
{
	uint64_t threads = count_threads(p);
	uint32_t n = 0, pid;
	bool sorted = true;
	long got;

	if (!anew && threads && threads == p->threads)
		return p->n_pid;
	p->threads = 0;
	if (lseek(p->root, 0, SEEK_SET) < 0)
		return -errno;
	while ((got = syscall(SYS_getdents64, p->root, p->buf, sizeof(p->buf))) > 0) {
		for (long at = 0; at < got;) {
			struct nt_dirent *d = (struct nt_dirent *)(p->buf + at);

			at += d->len;
			if (!nt_parse_u32(d->name, &pid) || !pid)
				continue;
			if (n == p->max_pid) {
				uint32_t max = p->max_pid * 2 + 512;
				struct nt_pid *v = realloc(p->pid, max * sizeof(*v));

				if (!v)
					return -ENOMEM;
				p->pid = v;
				p->max_pid = max;
			}
			sorted &= !n || p->pid[n - 1].pid < pid;
			p->pid[n++] = (struct nt_pid){ .pid = pid, .ino = d->ino };
		}
	}
	if (got < 0)
		return -errno;
	if (!sorted)
		qsort(p->pid, n, sizeof(*p->pid), by_pid);
	/* Counted before they were listed: who began meanwhile makes the next one list again. */
	p->threads = threads;
	p->n_pid = n;
	return n;
}

/* False if processes exist that /proc does not list: hidepid, or a PID namespace. */
static bool lists_all(struct nt_procs *p, uint32_t n_pid)
{
	char link[NT_PROCS_LINK];
	ssize_t n;

	if (!p->procfs)
		return true;
	if (!n_pid || p->pid[0].pid != 1)
		return false;
	n = readlinkat(p->root, "self/ns/pid", link, sizeof(link));
	return n == (ssize_t)sizeof(INIT_PIDNS) - 1 && !memcmp(link, INIT_PIDNS, (size_t)n);
}

/* Whether /proc numbers processes as the calls of this process do. */
static bool own_numbers(struct nt_procs *p)
{
	char link[NT_PROCS_LINK];
	ssize_t n = readlinkat(p->root, "self", link, sizeof(link) - 1);
	uint32_t pid;

	if (!p->procfs || n <= 0)
		return false;
	link[n] = 0;
	return nt_parse_u32(link, &pid) && pid == (uint32_t)getpid();
}

/* Nothing says that it changed, and it is not its turn in this scan. */
static bool is_passed_over(struct nt_procs *p, const struct nt_task *t, bool hinted)
{
	if (hinted || !p->procfs || !p->sized || t->flags & (NT_TASK_RETRY | NT_TASK_YOUNG) ||
	    p->scan - t->change_scan <= RECENT_SCANS || (p->scan + t->pid) % QUIET_SCANS == 0)
		return false;
	pthread_mutex_lock(&p->lock);
	bool suspect = t->suspect;

	pthread_mutex_unlock(&p->lock);
	return !suspect;
}

/* What of it could not be looked into. */
static void note_limits(const struct nt_task *t, struct nt_procs_stats *ret)
{
	ret->unlooked += nt_more_unlooked(t);
	if (t->flags & NT_TASK_UNREADABLE && !ret->unreadable++)
		ret->refused_pid = t->pid;
	ret->unlisted += !!(t->flags & NT_TASK_UNLISTED);
}

/* Takes over the new list of processes; what ended is dropped from the index. */
static int merge(struct nt_procs *p, uint32_t n_pid, bool hinted, struct nt_procs_stats *ret)
{
	struct nt_task **next = malloc((n_pid ? n_pid : 1) * sizeof(*next));
	struct nt_task **old = p->task;
	uint32_t n = 0, o = 0, n_old = p->n_task, out = 0;
	int err = 0;

	if (!next)
		return -ENOMEM;
	for (uint32_t i = 0; i < n_pid; i++) {
		struct nt_task *t = NULL;

		while (o < n_old && old[o]->pid < p->pid[i].pid)
			old[o++]->flags |= NT_TASK_GONE;
		bool fresh = o >= n_old || old[o]->pid != p->pid[i].pid;
		if (!fresh) {
			t = old[o++];
		} else {
			t = calloc(1, sizeof(*t));
			if (!t) {
				err = -ENOMEM;
				break;
			}
			t->pid = t->tid = p->pid[i].pid;
		}
		bool same = !fresh && t->dir_ino == p->pid[i].ino;
		t->dir_ino = p->pid[i].ino;
		if (!same)
			t->flags |= NT_TASK_RETRY;
		if (same && t->flags & NT_TASK_KERNEL) {
			next[n++] = t;
			continue;
		}
		if (same && is_passed_over(p, t, hinted)) {
			note_limits(t, ret);
			next[n++] = t;
			continue;
		}
		bool young = !fresh && t->flags & NT_TASK_YOUNG;
		if (young)
			t->flags &= ~(uint32_t)NT_TASK_YOUNG;
		int got = nt_task_check(p, t, fresh);
		if (t->flags & NT_TASK_GONE) {
			if (fresh)
				task_free(t);
			continue;
		}
		if (young && t->n_own)
			nt_task_read_name(p, t);
		if (!got)
			got = nt_task_check_suspects(p, t);
		if (got < 0)
			err = got;
		if (!(t->flags & NT_TASK_UNREADABLE)) {
			/* Without a descriptor the first thread may have ended, not the process. */
			bool ended = got && !nt_task_has_fds(p, t);
			int more = !t->deep_scan || ended ? nt_more_find(p, t) :
							    nt_more_check(p, t, got);
			if (more < 0)
				err = more;
			got |= more;
		}
		note_limits(t, ret);
		ret->rescanned += got != 0;
		next[n++] = t;
	}
	while (o < n_old)
		old[o++]->flags |= NT_TASK_GONE;
	for (uint32_t i = 0; i < n_old; i++)
		if (old[i]->flags & NT_TASK_GONE)
			nt_more_drop(p, old[i]);
	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < n_old; i++) {
		if (!(old[i]->flags & NT_TASK_GONE))
			continue;
		if (nt_owners_drop(&p->owners, old[i]))
			p->generation++;
		nt_task_set_netns(p, old[i], 0);
		old[out++] = old[i];
	}
	p->task = next;
	p->n_task = n;
	pthread_mutex_unlock(&p->lock);
	for (uint32_t i = 0; i < out; i++)
		task_free(old[i]);
	free(old);
	return err;
}

int nt_procs_scan(struct nt_procs *p, struct nt_procs_stats *ret)
{
	uint64_t begin = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	struct nt_procs_stats stats = { 0 };
	struct stat self;
	bool hinted, whole;
	int64_t n_pid;
	int err;

	pthread_mutex_lock(&p->scan_lock);
	p->compares = own_numbers(p);
	pthread_mutex_lock(&p->lock);
	hinted = p->hinted || p->misses.open;
	pthread_mutex_unlock(&p->lock);
	n_pid = list_pids(p, hinted);
	if (n_pid < 0) {
		pthread_mutex_unlock(&p->scan_lock);
		return (int)n_pid;
	}
	/* The own process has descriptors, so a size of 0 means that sizes are not reported. */
	p->sized = fstatat(p->root, "self/fd", &self, 0) ? !p->procfs : self.st_size > 0;
	whole = lists_all(p, (uint32_t)n_pid);
	pthread_mutex_lock(&p->lock);
	p->scan++;
	if (nt_owners_begin(&p->owners, p->scan))
		p->generation++;
	hinted = p->hinted || p->misses.open;
	p->since = p->hinted ? p->scan - 1 : p->misses.newest;
	p->hinted = false;
	p->trust = p->reports;
	pthread_mutex_unlock(&p->lock);
	err = merge(p, (uint32_t)n_pid, hinted, &stats);
	if (p->scan > 1 && p->n_task)
		stats.rescanned += slices(p, hinted);

	pthread_mutex_lock(&p->lock);
	p->whole = whole && !err && !stats.unreadable && !stats.unlooked;
	p->oldest = oldest_reading(p);
	nt_misses_sweep(&p->misses, &p->owners, p->oldest, p->scan);
	stats.processes = p->n_task;
	stats.sockets = p->owners.used;
	stats.generation = p->generation;
	stats.netns_count = p->netns_count;
	stats.hidden = !whole;
	stats.not_found = p->misses.in_vain;
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_unlock(&p->scan_lock);
	stats.cpu_ns = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
	*ret = stats;
	return err;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Where an inode stands among the kernel's own; NULL: nowhere. */
static uint32_t *number_at(struct nt_procs *p, uint32_t inode)
{
	return p->n_kernel ? bsearch(&inode, p->kernel, p->n_kernel, sizeof(inode), by_number) :
			     NULL;
}

int nt_procs_find(struct nt_procs *p, uint32_t inode, struct nt_proc *ret)
{
	uint32_t n;

	if (!inode) {
		*ret = (struct nt_proc){ 0 };
		return 0;
	}
	pthread_mutex_lock(&p->lock);
	n = nt_owners_get(&p->owners, inode, ret, 1);
	if (!n) {
		*ret = (struct nt_proc){ .owner = NT_OWNER_UNKNOWN };
		if (number_at(p, inode))
			ret->owner = NT_OWNER_KERNEL;
		else if (nt_misses_ask(&p->misses, inode, p->scan))
			ret->owner = p->whole ? NT_OWNER_NOT_FOUND : NT_OWNER_HIDDEN;
	}
	pthread_mutex_unlock(&p->lock);
	return n > 0;
}

int nt_procs_former(struct nt_procs *p, uint32_t inode, struct nt_proc *ret)
{
	pthread_mutex_lock(&p->lock);
	int found = nt_owners_former(&p->owners, inode, ret);

	pthread_mutex_unlock(&p->lock);
	return found;
}

int nt_procs_kernel(struct nt_procs *p, const uint32_t *inodes, uint32_t n)
{
	uint32_t *kernel = malloc((n ? n : 1) * sizeof(*kernel));

	if (!kernel)
		return -ENOMEM;
	if (n)
		memcpy(kernel, inodes, n * sizeof(*kernel));
	qsort(kernel, n, sizeof(*kernel), by_number);
	pthread_mutex_lock(&p->lock);
	uint32_t *old = p->kernel;
	p->kernel = kernel;
	p->n_kernel = n;
	pthread_mutex_unlock(&p->lock);
	free(old);
	return 0;
}

int nt_procs_complete(struct nt_procs *p)
{
	pthread_mutex_lock(&p->lock);
	int whole = p->whole;
	pthread_mutex_unlock(&p->lock);
	return whole;
}

int nt_procs_owners(struct nt_procs *p, uint32_t inode, struct nt_proc *ret, uint32_t max)
{
	pthread_mutex_lock(&p->lock);
	uint32_t n = nt_owners_get(&p->owners, inode, ret, max);
	pthread_mutex_unlock(&p->lock);
	return (int)n;
}

uint32_t nt_procs_generation(struct nt_procs *p)
{
	pthread_mutex_lock(&p->lock);
	uint32_t generation = p->generation;

	pthread_mutex_unlock(&p->lock);
	return generation;
}

int nt_procs_hint(struct nt_procs *p)
{
	pthread_mutex_lock(&p->lock);
	p->hinted = true;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

int nt_procs_gone(struct nt_procs *p, uint32_t inode)
{
	pthread_mutex_lock(&p->lock);
	uint32_t n = nt_owners_suspect(&p->owners, inode);
	uint32_t *kernel = number_at(p, inode);

	/* The number may be another socket's next. */
	if (kernel) {
		memmove(kernel, kernel + 1,
			(size_t)(p->kernel + --p->n_kernel - kernel) * sizeof(*kernel));
	}
	p->reports = true;
	pthread_mutex_unlock(&p->lock);
	return (int)n;
}

int nt_procs_netns(struct nt_procs *p, uint32_t *inodes, uint32_t *pids, uint32_t max)
{
	uint32_t n = 0;

	pthread_mutex_lock(&p->lock);
	uint32_t *at = calloc(p->n_netns + 1, sizeof(*at));
	if (!at) {
		pthread_mutex_unlock(&p->lock);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < p->n_netns; i++) {
		if (!p->netns[i].refs)
			continue;
		if (n < max) {
			inodes[n] = p->netns[i].inode;
			pids[n] = 0;
		}
		at[i] = n++;
	}
	for (uint32_t i = 0; i < p->n_task; i++) {
		const struct nt_task *t = p->task[i];

		if (t->netns && at[t->netns - 1] < max && !pids[at[t->netns - 1]])
			pids[at[t->netns - 1]] = t->pid;
	}
	pthread_mutex_unlock(&p->lock);
	free(at);
	return (int)n;
}
