/* SPDX-License-Identifier: MIT */
/* Who a process is: its name, start time and network namespace. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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
bool nt_parse_link(const char *link, ssize_t n, const char *prefix, uint32_t *ret)
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

void nt_task_path(char *path, uint32_t pid, const char *name)
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

	nt_task_path(path, t->pid, "ns/net");
	n = readlinkat(p->root, path, link, sizeof(link));
	if (n < 0 || !nt_parse_link(link, n, "net:", &inode))
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

	nt_task_path(path, t->pid, "stat");
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
