/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that /proc/PID/fd does not show. It shows the table of the process's first thread:
 * another thread may have one of its own (unshare(CLONE_FILES)), or be the only one left. And
 * files may be registered with an io_uring instance, under no descriptor at all; its fdinfo lists
 * them. (What is in flight in a Unix socket's message, nothing lists.)
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "nt_engine.h"
#include "nt_procs.h"

static const char RING[] = "anon_inode:[io_uring]";

enum {
	MORE_MOST = 1024, /* tables of one process */
	AGAIN_SHARE = 20, /* one is searched at most so many times its own duration after that */
	LIST_TRIES = 3,	  /* an instance that is busy lists nothing */
	LIST_WAIT_NS = 50000,
	TASK_NLINK = 2, /* links of /proc/PID/task beside one for each thread */
};

/* Names of socket files before they were listed as socket:[inode]. */
static const char *const UNNAMED[] = {
	"TCP", "TCPv6", "UDP", "UDPv6", "UDP-Lite", "UDPLITEv6", "MPTCP", "MPTCPv6",
};

static struct nt_task *add(struct nt_task *t, uint32_t tid, uint32_t ring)
{
	struct nt_task *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->pid = t->pid;
	x->tid = tid;
	x->ring = ring;
	x->next = t->more;
	t->more = x;
	return x;
}

static void forget(struct nt_procs *p, struct nt_task *x)
{
	nt_more_drop(p, x);
	nt_task_drop(p, x);
	free(x);
}

void nt_more_drop(struct nt_procs *p, struct nt_task *t)
{
	while (t->more) {
		struct nt_task *x = t->more;

		t->more = x->next;
		forget(p, x);
	}
}

static void forget_gone(struct nt_procs *p, struct nt_task *t)
{
	struct nt_task **link = &t->more;

	while (*link) {
		struct nt_task *x = *link;

		if (x->flags & NT_TASK_GONE) {
			*link = x->next;
			forget(p, x);
		} else {
			link = &x->next;
		}
	}
}

bool nt_is_ring(const char *link, ssize_t n)
{
	return n == sizeof(RING) - 1 && !memcmp(link, RING, (size_t)n);
}

int nt_more_ring(struct nt_task *t, uint32_t fd)
{
	for (struct nt_task *x = t->more; x; x = x->next)
		if (x->ring == fd + 1)
			return 0;
	return add(t, t->tid, fd + 1) ? 0 : -ENOMEM;
}

/* 1 if two threads use the same table of descriptors, 0 if not, -errno. */
static int same_table(const struct nt_procs *p, uint32_t a, uint32_t b)
{
	if (!p->compares)
		return -ENOSYS;
	long order = syscall(SYS_kcmp, (pid_t)a, (pid_t)b, KCMP_FILES, 0UL, 0UL);

	return order < 0 ? -errno : order == 0;
}

/* A thread beside the first one: its table becomes one of `more` unless it is known. */
static int look_at_thread(struct nt_procs *p, struct nt_task *t, uint32_t tid, uint32_t *n)
{
	char path[NT_PROCS_NAME];
	struct stat st;
	int same = same_table(p, t->tid, tid);

	if (same == 1 || same == -ESRCH)
		return 0;
	nt_task_path(path, tid, "fd");
	if (fstatat(p->root, path, &st, 0)) {
		t->unlooked += errno == EACCES || errno == EPERM;
		return 0; /* else: ended */
	}
	if (p->sized && !st.st_size)
		return 0; /* it ends */
	if (same < 0 && (!p->sized || st.st_size == t->key.size)) {
		t->unlooked++; /* the same one, most likely */
		return 0;
	}
	for (struct nt_task *x = t->more; x; x = x->next) {
		if (x->ring)
			continue;
		if (x->tid == tid ||
		    ((!p->sized || x->key.size == st.st_size) && same_table(p, x->tid, tid) == 1)) {
			x->flags &= ~(uint32_t)NT_TASK_GONE;
			return 0;
		}
	}
	if (*n >= MORE_MOST) {
		t->unlooked++;
		return 0;
	}
	++*n;
	struct nt_task *x = add(t, tid, 0);
	if (!x)
		return -ENOMEM;
	x->key.size = st.st_size;
	x->flags = NT_TASK_RETRY;
	return 0;
}

static int look_at_threads(struct nt_procs *p, struct nt_task *t)
{
	char path[NT_PROCS_NAME];
	uint32_t tid, n = 0;
	struct stat st;
	long got = 0;
	int dir, err = 0;

	nt_task_path(path, t->pid, "task");
	if (fstatat(p->root, path, &st, 0) || st.st_nlink <= TASK_NLINK + 1) {
		for (struct nt_task *x = t->more; x; x = x->next)
			if (!x->ring)
				x->flags |= NT_TASK_GONE;
		return 0;
	}
	dir = openat(p->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	for (struct nt_task *x = t->more; x; x = x->next) {
		if (x->ring)
			continue;
		x->flags |= NT_TASK_GONE;
		n++;
	}
	while (!err && (got = syscall(SYS_getdents64, dir, p->buf, sizeof(p->buf))) > 0) {
		for (long at = 0; !err && at < got;) {
			struct nt_dirent *d = (struct nt_dirent *)(p->buf + at);

			at += d->len;
			if (nt_parse_u32(d->name, &tid) && tid != t->tid)
				err = look_at_thread(p, t, tid, &n);
		}
	}
	if (got < 0 && !err && errno != ENOENT && errno != ESRCH) /* those: it ended meanwhile */
		err = -errno;
	close(dir);
	return err;
}

/* "   12: NAME": slot and name; NULL: another line. */
static char *slot_of(char *line, uint32_t *slot)
{
	char *end;
	unsigned long n;

	while (*line == ' ')
		line++;
	if (*line < '0' || *line > '9')
		return NULL;
	n = strtoul(line, &end, 10);
	if (end[0] != ':' || end[1] != ' ' || n > UINT32_MAX)
		return NULL;
	*slot = (uint32_t)n;
	end += 2;
	end[strcspn(end, "\n")] = 0;
	return end;
}

/*
 * Reads the list of registered files; *unnamed: sockets of no known inode. Returns 1, 0 if there
 * is no list, -EAGAIN if there is only a number: none are there, or the instance is busy.
 */
static int read_list(struct nt_procs *p, FILE *f, uint32_t *unnamed)
{
	uint32_t count = 0, lines = 0, slot, inode;
	char *line = NULL, *name;
	size_t room = 0;
	bool listed = false;
	int err = 0;

	*unnamed = 0;
	p->n_fd = 0;
	while (!err && getline(&line, &room, f) > 0) {
		if (!listed) {
			listed = sscanf(line, "UserFiles: %u", &count) == 1;
			continue;
		}
		name = slot_of(line, &slot);
		if (!name)
			break;
		lines++;
		if (nt_parse_link(name, (ssize_t)strlen(name), "socket:", &inode) && inode)
			err = nt_task_push(p, slot, inode);
		for (size_t i = 0; i < sizeof(UNNAMED) / sizeof(*UNNAMED); i++)
			*unnamed += !strcmp(name, UNNAMED[i]);
	}
	free(line);
	if (err)
		return err;
	return listed && count && !lines ? -EAGAIN : listed;
}

/* What it cost since `begin` (CPU time) decides when it may be searched again. */
static void not_before(struct nt_task *x, uint64_t begin)
{
	uint64_t cost = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin;

	x->again_ns = nt_clock_ns(CLOCK_MONOTONIC) + AGAIN_SHARE * cost;
}

static bool is_there(const struct nt_procs *p, const struct nt_task *x)
{
	char name[NT_PROCS_NAME], path[NT_PROCS_NAME], link[NT_PROCS_LINK];

	snprintf(name, sizeof(name), "fd/%u", x->ring - 1);
	nt_task_path(path, x->tid, name);
	ssize_t n = readlinkat(p->root, path, link, sizeof(link));
	return n < 0 ? errno != ENOENT && errno != ESRCH : nt_is_ring(link, n);
}

/* Reads the files registered with an instance. It is GONE if there is none by that descriptor. */
static int read_ring(struct nt_procs *p, struct nt_task *x)
{
	uint64_t begin = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	char name[NT_PROCS_NAME], path[NT_PROCS_NAME];
	int listed = 0, err;

	if (!is_there(p, x)) {
		x->flags |= NT_TASK_GONE;
		return 1;
	}
	pthread_mutex_lock(&p->lock);
	x->suspect = false;
	pthread_mutex_unlock(&p->lock);
	snprintf(name, sizeof(name), "fdinfo/%u", x->ring - 1);
	nt_task_path(path, x->tid, name);
	for (int i = 0; listed != 1 && i < LIST_TRIES; i++) {
		const struct timespec moment = { .tv_nsec = LIST_WAIT_NS };

		if (i)
			nanosleep(&moment, NULL);
		int fd = openat(p->root, path, O_RDONLY | O_CLOEXEC);
		FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
		if (!f) {
			err = -errno;
			if (fd >= 0)
				close(fd);
			if (err == -ENOMEM || err == -EMFILE || err == -ENFILE)
				return err;
			break;
		}
		listed = read_list(p, f, &x->unlooked);
		fclose(f);
		if (listed < 0 && listed != -EAGAIN)
			return listed;
	}
	if (!listed)
		x->unlooked = 1;
	err = listed ? nt_task_commit(p, x, 0, UINT64_MAX) : 0;
	if (!err)
		x->read_scan = p->scan;
	not_before(x, begin);
	return err ? err : 1;
}

static int read_table(struct nt_procs *p, struct nt_task *x)
{
	uint64_t begin = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int err = nt_task_check(p, x, false);

	if (!err && !(x->flags & NT_TASK_GONE))
		err = nt_task_read(p, x);
	not_before(x, begin);
	return err < 0 ? err : 1;
}

/* Those of one table that are due are read; in *oldest the scan of the longest unread one. */
static int read_more(struct nt_procs *p, struct nt_task *t, uint32_t *oldest)
{
	int err = 0;

	for (struct nt_task *x = t->more; x; x = x->next) {
		int got = 0;

		if (nt_clock_ns(CLOCK_MONOTONIC) >= x->again_ns && x->read_scan != p->scan)
			got = x->ring ? read_ring(p, x) : read_table(p, x);
		if (got < 0)
			err = got;
		if (x->flags & NT_TASK_GONE)
			continue;
		if (x->more && read_more(p, x, oldest) < 0)
			err = -ENOMEM;
		if (x->n_own)
			nt_task_read_name(p, x);
		if (nt_task_has_fds(p, x) && x->read_scan < *oldest)
			*oldest = x->read_scan;
	}
	forget_gone(p, t);
	return err;
}

uint32_t nt_more_unlooked(const struct nt_task *t)
{
	uint32_t n = t->unlooked;

	for (const struct nt_task *x = t->more; x; x = x->next)
		n += nt_more_unlooked(x) + !!(x->flags & NT_TASK_UNREADABLE);
	return n;
}

int nt_more_find(struct nt_procs *p, struct nt_task *t)
{
	uint32_t oldest = p->scan;
	int err;

	if (t->flags & NT_TASK_KERNEL) {
		t->deep_scan = p->scan;
		return 0;
	}
	t->unlooked = 0;
	err = look_at_threads(p, t);
	if (!err)
		err = read_more(p, t, &oldest);
	if (err)
		return err;
	t->deep_scan = oldest ? oldest : 1;
	return 1;
}

int nt_more_check(struct nt_procs *p, struct nt_task *t, bool moved)
{
	bool changed = false;

	for (struct nt_task *x = t->more; x; x = x->next) {
		int got = 0;

		if (!x->ring)
			got = nt_task_check(p, x, false);
		else if (moved && !is_there(p, x))
			x->flags |= NT_TASK_GONE;
		else if (!x->read_scan ||
			 (x->suspect && nt_clock_ns(CLOCK_MONOTONIC) >= x->again_ns))
			got = read_ring(p, x);
		if (!got && !x->ring)
			got = nt_task_check_suspects(p, x);
		if (got < 0)
			return got;
		if (x->more && !(x->flags & NT_TASK_GONE))
			got |= nt_more_check(p, x, got);
		changed |= got || x->flags & NT_TASK_GONE;
	}
	if (changed)
		forget_gone(p, t);
	return changed;
}
