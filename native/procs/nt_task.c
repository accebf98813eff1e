/* SPDX-License-Identifier: MIT */
/* Reads the descriptors of one process: all, a part, or what must have changed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nt_procs.h"

enum { CHANGES_FDS = 256 }; /* a process with fewer sockets is read whole when it changed */

static int by_fd(const void *a, const void *b)
{
	uint32_t x = ((const struct nt_fd *)a)->fd, y = ((const struct nt_fd *)b)->fd;

	return (x > y) - (x < y);
}

int nt_task_push(struct nt_procs *p, uint32_t fd, uint32_t inode)
{
	if (p->n_fd == p->max_fd) {
		uint32_t max = p->max_fd * 2 + 256;
		struct nt_fd *v = realloc(p->fd, max * sizeof(*v));

		if (!v)
			return -ENOMEM;
		p->fd = v;
		p->max_fd = max;
	}
	p->fd[p->n_fd++] = (struct nt_fd){ .fd = fd, .inode = inode };
	return 0;
}

/*
 * Reads one descriptor and pushes it if it is a socket. Returns 0 if there is none by that name,
 * 1 if there is; -EACCES: the process is another user's.
 */
static int read_link(struct nt_procs *p, struct nt_task *t, int dir, const char *name, uint32_t fd)
{
	char link[NT_PROCS_LINK];
	uint32_t inode;
	ssize_t n = readlinkat(dir, name, link, sizeof(link));

	if (n < 0 && (errno == EACCES || errno == EPERM))
		return -EACCES;
	if (n < 0)
		/* Closed meanwhile; any other failure (a path too long to be read) is no socket. */
		return errno != ENOENT && errno != ESRCH;
	if (nt_is_ring(link, n) && nt_more_ring(t, fd))
		return -ENOMEM;
	if (nt_parse_link(link, n, "socket:", &inode) && inode && nt_task_push(p, fd, inode))
		return -ENOMEM;
	return 1;
}

/*
 * Reads the descriptors from `from` on, at least `want` of them if there are as many. *next:
 * where to continue, UINT32_MAX at the end. In procfs a directory's position is the
 * descriptor + 2 (proc_readfd_common); elsewhere all are read.
 */
static int read_fds(struct nt_procs *p, struct nt_task *t, int dir, uint32_t from, uint32_t want,
		    uint32_t *next)
{
	size_t room = sizeof(p->buf);
	uint32_t seen = 0, last = 0, fd;
	bool sorted = true;
	long n;

	p->n_fd = 0;
	*next = UINT32_MAX;
	if (from && lseek(dir, (off_t)from + 2, SEEK_SET) < 0)
		return -errno;
	if (want < 1024)
		room = want * sizeof(struct nt_dirent) + 64;
	while ((n = syscall(SYS_getdents64, dir, p->buf, room)) > 0) {
		for (long at = 0; at < n;) {
			struct nt_dirent *d = (struct nt_dirent *)(p->buf + at);
			int err;

			at += d->len;
			if (!nt_parse_u32(d->name, &fd))
				continue;
			sorted &= fd >= last;
			last = fd;
			seen++;
			err = read_link(p, t, dir, d->name, fd);
			if (err < 0)
				return err;
		}
		if (seen >= want) {
			*next = last + 1;
			break;
		}
	}
	if (n < 0)
		return -errno;
	if (!sorted)
		qsort(p->fd, p->n_fd, sizeof(*p->fd), by_fd);
	return 0;
}

/* Puts what read_fds found in place of lo <= descriptor < hi. */
int nt_task_commit(struct nt_procs *p, struct nt_task *t, uint32_t lo, uint64_t hi)
{
	int64_t n;

	/* A new owner needs its name before a lookup can find it. */
	if (p->n_fd && !t->n_own)
		nt_task_read_name(p, t);
	pthread_mutex_lock(&p->lock);
	n = nt_owners_replace(&p->owners, t, lo, hi, p->fd, p->n_fd);
	if (n > 0)
		p->generation++;
	pthread_mutex_unlock(&p->lock);
	return n < 0 ? (int)n : 0;
}

void nt_task_drop(struct nt_procs *p, struct nt_task *t)
{
	pthread_mutex_lock(&p->lock);
	if (nt_owners_drop(&p->owners, t))
		p->generation++;
	pthread_mutex_unlock(&p->lock);
}

/*
 * Reads descriptors of a process: at least `want` from next_fd on, see read_fds. A process that
 * ends meanwhile has none. Errors that pass are tried again in the next scan.
 */
int nt_task_read_part(struct nt_procs *p, struct nt_task *t, uint32_t want)
{
	uint32_t from = t->next_fd, next = UINT32_MAX;
	char path[NT_PROCS_NAME];
	int dir, err;

	t->flags &= ~(uint32_t)(NT_TASK_UNREADABLE | NT_TASK_UNLISTED | NT_TASK_RETRY);
	t->next_fd = 0;
	if (!from)
		t->pass_scan = p->scan;
	nt_task_path(path, t->tid, "fd");
	dir = openat(p->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		err = -errno;
	} else {
		err = read_fds(p, t, dir, from, want, &next);
		close(dir);
		if (!err)
			err = nt_task_commit(p, t, from, next == UINT32_MAX ? UINT64_MAX : next);
	}
	switch (err) {
	case 0:
		if (next == UINT32_MAX)
			t->read_scan = t->pass_scan;
		else
			t->next_fd = next;
		return 0;
	case -EACCES:
	case -EPERM:
		t->flags |= NT_TASK_UNREADABLE | (dir < 0 ? NT_TASK_UNLISTED : 0);
		nt_task_drop(p, t);
		return 0;
	case -ENOENT:
	case -ESRCH:
		t->read_scan = p->scan;
		nt_task_drop(p, t);
		return 0;
	default: /* ENOMEM, EMFILE, ENFILE */
		t->flags |= NT_TASK_RETRY;
		return err;
	}
}

int nt_task_read(struct nt_procs *p, struct nt_task *t)
{
	t->next_fd = 0;
	return nt_task_read_part(p, t, UINT32_MAX);
}

/* The key holds the number of descriptors. */
static bool counted(const struct nt_procs *p, const struct nt_task *t)
{
	return p->procfs && p->sized && t->key.ino;
}

/* The first suspect descriptor from position *i on, or -1. */
static int64_t next_suspect(struct nt_procs *p, struct nt_task *t, uint32_t *i)
{
	int64_t fd = -1;

	pthread_mutex_lock(&p->lock);
	if (!t->suspect)
		*i = t->n_own;
	while (*i < t->n_own && !(p->owners.sock[t->own[*i]].flags & NT_SOCK_SUSPECT))
		(*i)++;
	if (*i < t->n_own)
		fd = p->owners.sock[t->own[*i]].fd;
	else
		t->suspect = false;
	pthread_mutex_unlock(&p->lock);
	return fd;
}

/* Reads the suspect descriptors again. */
static int read_suspects(struct nt_procs *p, struct nt_task *t, int dir)
{
	char name[NT_PROCS_NAME];
	uint32_t i = 0;
	int64_t fd;
	int err = 0;

	while (!err && (fd = next_suspect(p, t, &i)) >= 0) {
		uint32_t before = t->n_own;

		snprintf(name, sizeof(name), "%u", (uint32_t)fd);
		p->n_fd = 0;
		err = read_link(p, t, dir, name, (uint32_t)fd);
		if (err >= 0)
			err = nt_task_commit(p, t, (uint32_t)fd, (uint64_t)fd + 1);
		i += t->n_own == before;
	}
	return err;
}

/*
 * Reads the descriptors that are not known to be sockets, lowest first, as the kernel gives
 * them out, until as many are accounted for as there are. -EAGAIN: that does not come out
 * even, or would take as long as reading all.
 */
static int read_gaps(struct nt_procs *p, struct nt_task *t, int dir)
{
	/* Our own descriptor of the directory was not there when the others were counted. */
	int64_t own = t->pid == (uint32_t)getpid() ? dir : -1;
	uint32_t probes = t->n_own / 2 + 64, i = 0;
	int64_t seen = t->n_own;
	char name[NT_PROCS_NAME];

	for (uint32_t fd = 0; seen < t->key.size; fd++) {
		/* Only this thread changes what a process is known to hold. */
		while (i < t->n_own && p->owners.sock[t->own[i]].fd < fd)
			i++;
		if (fd == own || (i < t->n_own && p->owners.sock[t->own[i]].fd == fd))
			continue;
		if (!probes--)
			return -EAGAIN;
		snprintf(name, sizeof(name), "%u", fd);
		p->n_fd = 0;
		int err = read_link(p, t, dir, name, fd);
		if (err < 0)
			return err;
		seen += err;
		if (p->n_fd)
			err = nt_task_commit(p, t, fd, (uint64_t)fd + 1);
		if (err < 0)
			return err;
	}
	return seen == t->key.size ? 0 : -EAGAIN;
}

/* What changed in a large process, from the reports of closed sockets. -EAGAIN: read it all. */
static int read_changes(struct nt_procs *p, struct nt_task *t)
{
	char path[NT_PROCS_NAME];
	int dir, err;

	nt_task_path(path, t->tid, "fd");
	dir = openat(p->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -EAGAIN;
	err = read_suspects(p, t, dir);
	if (!err)
		err = read_gaps(p, t, dir);
	close(dir);
	return err ? -EAGAIN : 0;
}

int nt_task_check(struct nt_procs *p, struct nt_task *t, bool fresh)
{
	char path[NT_PROCS_NAME];
	struct nt_fdkey key = { 0 };
	struct stat st;
	int err;

	nt_task_path(path, t->tid, "fd");
	if (fstatat(p->root, path, &st, 0)) {
		if (errno != EACCES && errno != EPERM) {
			t->flags |= NT_TASK_GONE;
			return 0;
		}
	} else {
		key = (struct nt_fdkey){
			.ino = st.st_ino,
			.size = st.st_size,
			.mtime_ns = st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec,
			.uid = st.st_uid,
		};
	}
	if (!fresh && !(t->flags & NT_TASK_RETRY) && key.ino == t->key.ino &&
	    key.size == t->key.size && key.mtime_ns == t->key.mtime_ns && key.uid == t->key.uid)
		return 0;
	if (t->n_own) {
		uint64_t start = t->start_ticks;

		nt_task_read_name(p, t);
		if (t->start_ticks != start) {
			/* Another process: nothing of the one before is true. */
			nt_task_drop(p, t);
			fresh = true;
		}
	} else if (key.ino != t->key.ino) {
		fresh = true;
	}
	if (fresh) {
		t->flags = p->scan > 1 ? NT_TASK_YOUNG : 0;
		t->deep_scan = 0;
		nt_more_drop(p, t);
	}
	t->key = key;
	t->change_scan = p->scan;
	if (counted(p, t) && !key.size) {
		/* No descriptors, so nothing is hidden: a kernel thread or a zombie. */
		t->flags &= ~(uint32_t)(NT_TASK_UNREADABLE | NT_TASK_UNLISTED | NT_TASK_RETRY);
		t->next_fd = 0;
		if (fresh)
			nt_task_read_name(p, t);
		nt_task_drop(p, t);
		return 1;
	}
	if (!fresh && p->trust && t->n_own > CHANGES_FDS && counted(p, t) &&
	    !(t->flags & NT_TASK_RETRY) && !read_changes(p, t))
		return 1;
	err = nt_task_read(p, t);
	if (fresh && t->tid == t->pid && !(t->flags & NT_TASK_UNREADABLE))
		nt_task_read_netns(p, t);
	return err < 0 ? err : 1;
}

bool nt_task_has_fds(const struct nt_procs *p, const struct nt_task *t)
{
	if (t->flags & (NT_TASK_UNREADABLE | NT_TASK_GONE))
		return false;
	return !counted(p, t) || t->key.size;
}

int nt_task_check_suspects(struct nt_procs *p, struct nt_task *t)
{
	char path[NT_PROCS_NAME];
	uint32_t i = 0;
	int dir, err;

	if (next_suspect(p, t, &i) < 0)
		return 0;
	nt_task_path(path, t->tid, "fd");
	dir = openat(p->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0; /* ended or changed hands: the next stat shows which */
	err = read_suspects(p, t, dir);
	/* Where one closes others open; the count may be the same by chance. */
	if (!err && counted(p, t) && read_gaps(p, t, dir))
		err = -EAGAIN;
	close(dir);
	if (err)
		err = nt_task_read(p, t);
	return err ? err : 1;
}
