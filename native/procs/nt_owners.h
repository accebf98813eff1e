/* SPDX-License-Identifier: MIT */
/* Index of socket descriptors by inode. It takes no lock: the process table does. */
#ifndef NT_OWNERS_H
#define NT_OWNERS_H

#include <stdbool.h>
#include <stddef.h>

#include "nt_wire.h"

/* Signs that a descriptor table changed, without reading it. */
struct nt_fdkey {
	uint64_t ino; /* of /proc/PID/fd: another one means another process */
	int64_t size; /* number of descriptors, Linux >= 6.2 (proc_fd_getattr) */
	int64_t mtime_ns;
	uint32_t uid;
};

enum nt_task_flag {
	NT_TASK_UNREADABLE = 1,
	NT_TASK_UNLISTED = 32, /* ... and not even which descriptors it has is said */
	NT_TASK_GONE = 2,
	NT_TASK_YOUNG = 4,   /* began since the scan before: exec may change its name soon */
	NT_TASK_KERNEL = 16, /* a kernel thread: never has descriptors */
	NT_TASK_RETRY = 8,   /* a passing error: read again whatever the key says */
};

/*
 * A table of descriptors: the one of a process (what /proc/PID/fd shows, its first thread's). In
 * its `more` are those of threads that have one of their own, and in the `more` of either the
 * files registered with io_uring instances. nt_more.c says more.
 */
struct nt_task {
	uint32_t pid;
	uint32_t tid;  /* whose descriptors these are: pid, or another thread of the process */
	uint32_t ring; /* 1 + descriptor of the io_uring instance that holds them; 0: the table */
	uint32_t flags;
	uint64_t dir_ino; /* of /proc/PID, as the listing shows it */
	uint64_t start_ticks;
	char comm[16];
	struct nt_fdkey key;
	uint32_t netns;	      /* 1 + slot, 0 unknown */
	uint32_t read_scan;   /* scan in which the last complete reading began */
	uint32_t pass_scan;   /* scan in which the running one began, while next_fd */
	uint32_t next_fd;     /* where it continues; 0: none is running */
	uint32_t change_scan; /* scan that last saw the key change */
	uint32_t deep_scan;   /* scan that last looked for `more`; 0: none has */
	uint32_t unlooked;    /* places among them that could not be looked into */
	uint64_t again_ns;    /* one of `more`: not to be searched before, on the monotonic clock */
	struct nt_task *more, *next;
	bool suspect; /* some socket of it was reported closed */
	uint32_t n_own, max_own;
	uint32_t *own; /* handles of its sockets, ascending by descriptor */
};

struct nt_fd {
	uint32_t fd;
	uint32_t inode;
};

enum nt_sock_flag {
	NT_SOCK_DUP = 1,     /* an earlier descriptor of the same process is the same socket */
	NT_SOCK_SUSPECT = 2, /* its socket was reported closed */
};

struct nt_sock {
	uint32_t inode;
	uint32_t fd;
	uint32_t next; /* in its bucket, or in the free list; 0 ends */
	uint32_t flags;
	struct nt_task *task;
};

/* A process that held a socket and does no more: it closed it, or ended. */
struct nt_former {
	uint32_t inode;
	uint32_t scan; /* that found it out */
	struct nt_proc proc;
};

struct nt_owners {
	struct nt_sock *sock; /* handle = index; 0 is never used */
	uint32_t n_sock, max_sock, free, used;
	uint32_t *head;
	uint32_t n_head; /* power of two */
	struct nt_former *former;
	uint32_t n_former, max_former, scan;
	bool sorted; /* former, by inode */
};

void nt_owners_free(struct nt_owners *o);
/*
 * Replaces the sockets that a process holds at lo <= descriptor < hi. now is ascending.
 * Returns how many were added or removed, or -ENOMEM with nothing changed.
 */
int64_t nt_owners_replace(struct nt_owners *o, struct nt_task *task, uint32_t lo, uint64_t hi,
			  const struct nt_fd *now, uint32_t n);
/* Drops all sockets of a process; returns how many. */
uint32_t nt_owners_drop(struct nt_owners *o, struct nt_task *task);
/* Fills at most max owners of an inode, ascending by pid; returns how many there are. */
uint32_t nt_owners_get(const struct nt_owners *o, uint32_t inode, struct nt_proc *ret,
		       uint32_t max);
bool nt_owners_has(const struct nt_owners *o, uint32_t inode);
/* The first process that held it when one last did, at most two scans ago. */
bool nt_owners_former(struct nt_owners *o, uint32_t inode, struct nt_proc *ret);
/* A scan begins: forgets who held sockets two scans ago. Returns how many. */
uint32_t nt_owners_begin(struct nt_owners *o, uint32_t scan);
/* Marks the descriptors of an inode for another look; returns how many. */
uint32_t nt_owners_suspect(struct nt_owners *o, uint32_t inode);

/* Inodes that were asked for and found nowhere. */
struct nt_miss {
	uint32_t inode;
	uint32_t first,
		last; /* scan before the search for it began, and before the last question */
	bool searching;
	bool settled; /* a search has ended */
};

struct nt_misses {
	struct nt_miss *slot;
	uint32_t n_slot, used; /* n_slot: power of two */
	uint32_t open;	       /* searched for */
	uint32_t in_vain;      /* searches that have ended, each socket's first */
	uint32_t newest;       /* of these, the last beginning of a search */
	uint32_t next, wait;   /* scan of the next search for all that was not found; scans to it */
};

void nt_misses_free(struct nt_misses *m);
/* Whether a search for it has ended. The first question begins one. */
bool nt_misses_ask(struct nt_misses *m, uint32_t inode, uint32_t scan);
/*
 * Forgets those that are found by now or that were not asked for in a long time, and ends the
 * searches that began before `oldest`, the scan in which the longest unread process was last
 * read. What was not found is searched for again, ever more seldom, since it may come to light
 * where nothing shows a change.
 */
void nt_misses_sweep(struct nt_misses *m, const struct nt_owners *o, uint32_t oldest,
		     uint32_t scan);

#endif
