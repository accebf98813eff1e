/* SPDX-License-Identifier: MIT */
/* Reads one process: its descriptors, name, start time and network namespace. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nt_procs.h"

static const unsigned long PF_KTHREAD = 0x00200000; /* include/linux/sched.h */

/* A name made of digits alone, below 2^32. */
bool nt_parse_u32(const char *s, uint32_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)v;
	return true;
}

/* "PREFIX[123]" → 123. */
static bool parse_link(const char *link, ssize_t n, const char *prefix, uint32_t *ret)
{
	size_t k = strlen(prefix);
	char digits[16];

	if (n < (ssize_t)k + 3 || memcmp(link, prefix, k) != 0 || link[k] != '[' ||
	    link[n - 1] != ']' || (size_t)n - k - 2 >= sizeof(digits))
		return false;
	memcpy(digits, link + k + 1, (size_t)n - k - 2);
	digits[(size_t)n - k - 2] = 0;
	return nt_parse_u32(digits, ret);
}

static void task_path(char *path, uint32_t pid, const char *name)
{
	char digits[10];
	int n = 0;

	/* Several hundred times a scan: snprintf would be a tenth of its cost. */
	do
		digits[n++] = (char)('0' + pid % 10);
	while (pid /= 10);
	while (n)
		*path++ = digits[--n];
	*path++ = '/';
	strcpy(path, name);
}

static int by_fd(const void *a, const void *b)
{
	uint32_t x = ((const struct nt_fd *)a)->fd, y = ((const struct nt_fd *)b)->fd;

	return (x > y) - (x < y);
}

/* Moves a process to a namespace (inode 0: none). Called with the lock held. */
void nt_task_set_netns(struct nt_procs *p, struct nt_task *t, uint32_t inode)
{
	uint32_t at = UINT32_MAX, i;

	if (t->netns) {
		struct nt_netns *ns = &p->netns[t->netns - 1];

		if (ns->inode == inode)
			return;
		if (!--ns->refs)
			p->netns_count--;
		t->netns = 0;
	}
	if (!inode)
		return;
	for (i = 0; i < p->n_netns; i++) {
		if (p->netns[i].refs && p->netns[i].inode == inode)
			break;
		if (!p->netns[i].refs)
			at = i;
	}
	if (i == p->n_netns) {
		if (at == UINT32_MAX) {
			if (p->n_netns == p->max_netns) {
				uint32_t max = p->max_netns * 2 + 16;
				struct nt_netns *netns = realloc(p->netns, max * sizeof(*netns));

				if (!netns)
					return;
				p->netns = netns;
				p->max_netns = max;
			}
			at = p->n_netns++;
		}
		i = at;
		p->netns[i] = (struct nt_netns){ .inode = inode };
		p->netns_count++;
	}
	p->netns[i].refs++;
	t->netns = i + 1;
}

void nt_task_read_netns(struct nt_procs *p, struct nt_task *t)
{
	char path[NT_PROCS_NAME], link[NT_PROCS_LINK];
	uint32_t inode = 0;
	ssize_t n;

	task_path(path, t->pid, "ns/net");
	n = readlinkat(p->root, path, link, sizeof(link));
	if (n < 0 || !parse_link(link, n, "net:", &inode))
		inode = 0;
	pthread_mutex_lock(&p->lock);
	nt_task_set_netns(p, t, inode);
	pthread_mutex_unlock(&p->lock);
}

/* Name and start time from /proc/PID/stat: "pid (comm) S …", flags are field 9, the start 22. */
void nt_task_read_name(struct nt_procs *p, struct nt_task *t)
{
	char path[NT_PROCS_NAME], text[1024], comm[16] = "";
	uint64_t start = 0;

	task_path(path, t->pid, "stat");
	int fd = openat(p->root, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return;
	text[n] = 0;
	/* The name may hold any byte, ')' and newlines too: its end is the last ')'. */
	char *open = memchr(text, '(', (size_t)n), *end = memrchr(text, ')', (size_t)n);
	if (!open || !end || end < open)
		return;
	size_t len = (size_t)(end - open - 1);
	if (len > sizeof(comm) - 1)
		len = sizeof(comm) - 1;
	memcpy(comm, open + 1, len);
	char *s = end + 1;
	for (int field = 2; s && field < 22; field++) {
		s = strchr(s, ' ');
		s += s != NULL;
		if (s && field + 1 == 9 && strtoul(s, NULL, 10) & PF_KTHREAD)
			t->flags |= NT_TASK_KERNEL;
	}
	if (s)
		start = strtoull(s, NULL, 10);
	pthread_mutex_lock(&p->lock);
	if (t->start_ticks != start || memcmp(t->comm, comm, sizeof(comm)) != 0) {
		t->start_ticks = start;
		memcpy(t->comm, comm, sizeof(comm));
		if (t->n_own)
			p->generation++;
	}
	pthread_mutex_unlock(&p->lock);
}

static int push_fd(struct nt_procs *p, uint32_t fd, uint32_t inode)
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

/* Reads one descriptor; pushes it if it is a socket. -EACCES: the process is another user's. */
static int read_link(struct nt_procs *p, int dir, const char *name, uint32_t fd)
{
	char link[NT_PROCS_LINK];
	uint32_t inode;
	ssize_t n = readlinkat(dir, name, link, sizeof(link));

	if (n < 0)
		return errno == EACCES || errno == EPERM ? -EACCES : 0; /* else: just closed */
	if (parse_link(link, n, "socket:", &inode) && inode)
		return push_fd(p, fd, inode);
	return 0;
}

/*
 * Reads the descriptors from `from` on, at least `want` of them if there are as many. *next:
 * where to continue, UINT32_MAX at the end. In procfs a directory's position is the
 * descriptor + 2 (proc_readfd_common); elsewhere all are read.
 */
static int read_fds(struct nt_procs *p, int dir, uint32_t from, uint32_t want, uint32_t *next)
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
			err = read_link(p, dir, d->name, fd);
			if (err)
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
static int commit(struct nt_procs *p, struct nt_task *t, uint32_t lo, uint64_t hi)
{
	int64_t n;

	/* A new owner needs its name before anybody can find it. */
	if (p->n_fd && !t->n_own)
		nt_task_read_name(p, t);
	pthread_mutex_lock(&p->lock);
	n = nt_owners_replace(&p->owners, t, lo, hi, p->fd, p->n_fd);
	if (n > 0)
		p->generation++;
	pthread_mutex_unlock(&p->lock);
	return n < 0 ? (int)n : 0;
}

static void drop(struct nt_procs *p, struct nt_task *t)
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

	t->flags &= ~(uint32_t)(NT_TASK_UNREADABLE | NT_TASK_RETRY);
	t->next_fd = 0;
	if (!from)
		t->pass_scan = p->scan;
	task_path(path, t->pid, "fd");
	dir = openat(p->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		err = -errno;
	} else {
		err = read_fds(p, dir, from, want, &next);
		close(dir);
		if (!err)
			err = commit(p, t, from, next == UINT32_MAX ? UINT64_MAX : next);
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
		t->flags |= NT_TASK_UNREADABLE;
		drop(p, t);
		return 0;
	case -ENOENT:
	case -ESRCH:
		t->read_scan = p->scan;
		drop(p, t);
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

/* Looks at one process; reads it if it changed. Returns 1 if it did. */
int nt_task_check(struct nt_procs *p, struct nt_task *t, bool fresh)
{
	char path[NT_PROCS_NAME];
	struct nt_fdkey key = { 0 };
	struct stat st;
	int err;

	task_path(path, t->pid, "fd");
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
			drop(p, t);
			fresh = true;
		}
	} else if (key.ino != t->key.ino) {
		fresh = true;
	}
	if (fresh)
		t->flags = p->scan > 1 ? NT_TASK_YOUNG : 0;
	t->key = key;
	t->change_scan = p->scan;
	if (p->procfs && p->sized && key.ino && !key.size) {
		/* No descriptors, so nothing is hidden: a kernel thread or a zombie. */
		t->flags &= ~(uint32_t)(NT_TASK_UNREADABLE | NT_TASK_RETRY);
		t->next_fd = 0;
		if (fresh)
			nt_task_read_name(p, t);
		drop(p, t);
		return 1;
	}
	err = nt_task_read(p, t);
	if (fresh && !(t->flags & NT_TASK_UNREADABLE))
		nt_task_read_netns(p, t);
	return err < 0 ? err : 1;
}

/* The first suspect descriptor from position *i on, or -1. */
static int64_t next_suspect(struct nt_procs *p, struct nt_task *t, uint32_t *i)
{
	int64_t fd = -1;

	pthread_mutex_lock(&p->lock);
	while (*i < t->n_own && !(p->owners.sock[t->own[*i]].flags & NT_SOCK_SUSPECT))
		(*i)++;
	if (*i < t->n_own)
		fd = p->owners.sock[t->own[*i]].fd;
	else
		t->suspect = false;
	pthread_mutex_unlock(&p->lock);
	return fd;
}

/* Looks again at those descriptors whose sockets were reported closed. Returns 1 if it did. */
int nt_task_check_suspects(struct nt_procs *p, struct nt_task *t)
{
	char path[NT_PROCS_NAME];
	uint32_t i = 0;
	int64_t fd = next_suspect(p, t, &i);
	int dir, err = 0;

	if (fd < 0)
		return 0;
	task_path(path, t->pid, "fd");
	dir = openat(p->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0; /* ended or changed hands: the next stat tells */
	for (; fd >= 0 && !err; fd = next_suspect(p, t, &i)) {
		uint32_t before = t->n_own;

		snprintf(path, sizeof(path), "%u", (uint32_t)fd);
		p->n_fd = 0;
		err = read_link(p, dir, path, (uint32_t)fd);
		if (!err)
			err = commit(p, t, (uint32_t)fd, (uint64_t)fd + 1);
		i += t->n_own == before;
	}
	close(dir);
	if (err)
		t->flags |= NT_TASK_RETRY;
	return err == -EACCES ? 1 : err ? err : 1;
}

bool nt_task_has_fds(const struct nt_procs *p, const struct nt_task *t)
{
	if (t->flags & (NT_TASK_UNREADABLE | NT_TASK_GONE))
		return false;
	return !(p->procfs && p->sized) || t->key.size;
}

