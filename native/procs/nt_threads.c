/* SPDX-License-Identifier: MIT */
/* The threads of a process: their state, how long they ran, how long they waited for a CPU. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nt_api.h"
#include "nt_procs.h"

/* The file's first bytes as text; -errno. */
static int read_text(int dir, const char *name, char *ret, size_t room)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, ret, room - 1);
	int err = n < 0 ? -errno : 0;

	close(fd);
	if (!err)
		ret[n] = '\0';
	return err;
}

/* `name` is its schedstat; 0 or -errno; -ENOENT, -ESRCH: it has ended. */
static int read_times(int dir, const char *name, struct nt_thread *ret)
{
	char text[256];
	unsigned long long cpu_ns, run_delay_ns;
	int err = read_text(dir, name, text, sizeof(text));

	if (err)
		return err;
	if (sscanf(text, "%llu %llu", &cpu_ns, &run_delay_ns) != 2)
		return -EPROTO;
	*ret = (struct nt_thread){ .cpu_ns = cpu_ns, .run_delay_ns = run_delay_ns };
	return 0;
}

int nt_thread_times(const char *proc_root, uint32_t pid, uint32_t tid, struct nt_thread *ret)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/%u/task/%u/schedstat", proc_root, pid, tid) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	int err = read_times(AT_FDCWD, path, ret);

	ret->tid = tid;
	return err;
}

/* The same. */
static int read_thread(int tasks, const char *tid, struct nt_thread *ret)
{
	char name[32], text[256];

	snprintf(name, sizeof(name), "%.10s/schedstat", tid);
	int err = read_times(tasks, name, ret);

	if (err)
		return err;
	ret->tid = (uint32_t)strtoul(tid, NULL, 10);
	snprintf(name, sizeof(name), "%.10s/stat", tid);
	err = read_text(tasks, name, text, sizeof(text));
	if (err)
		return err;
	/* A name may hold anything, but has 15 bytes, escaped up to 4 times as long. */
	const char *end = strrchr(text, ')'), *begin = strchr(text, '(');

	if (begin && end > begin)
		snprintf(ret->comm, sizeof(ret->comm), "%.*s", (int)(end - begin - 1), begin + 1);
	if (end && end[1] == ' ' && end[2] > ' ' && end[2] < 0x7f)
		ret->state = (uint8_t)end[2];
	return 0;
}

/* Adds those of one read of the directory; the first failure that is not a thread's end. */
static int read_some(int tasks, const char *buf, long n, struct nt_thread *ret, uint32_t max,
		     uint32_t *found, uint32_t *filled)
{
	for (long at = 0; at < n;) {
		const struct nt_dirent *d = (const void *)(buf + at);

		at += d->len;
		if (d->name[0] < '0' || d->name[0] > '9')
			continue;
		++*found;
		if (*filled >= max)
			continue;
		int err = read_thread(tasks, d->name, ret + *filled);

		if (err == -ENOENT && *found == 1 && faccessat(tasks, d->name, F_OK, 0) == 0)
			return -ENOSYS; /* the thread is there and its times are not */
		if (!err)
			++*filled;
		else if (err != -ENOENT && err != -ESRCH)
			return err;
	}
	return 0;
}

int nt_threads_read(const char *proc_root, uint32_t pid, struct nt_thread *ret, uint32_t max)
{
	char path[4096], buf[8192] __attribute__((aligned(8)));
	uint32_t found = 0, filled = 0;
	int err = 0;
	long n = 0;

	if (snprintf(path, sizeof(path), "%s/%u/task", proc_root, pid) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	int tasks = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (tasks < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	memset(ret, 0, max * sizeof(*ret));
	while (!err && (n = syscall(SYS_getdents64, tasks, buf, sizeof(buf))) > 0)
		err = read_some(tasks, buf, n, ret, max, &found, &filled);
	if (!err && n < 0)
		err = errno == ENOENT ? -ESRCH : -errno;
	close(tasks);
	/* Those that ended while they were read count for nothing; the rest of ret has tid 0. */
	return err ? err : (int)found;
}
