/* SPDX-License-Identifier: MIT */
/* The process table from the inside: nt_procs.c decides what to read, the others read. */
#ifndef NT_PROCS_H
#define NT_PROCS_H

#include <pthread.h>
#include <sys/types.h>

#include "nt_owners.h"

enum { NT_PROCS_NAME = 32, NT_PROCS_LINK = 64, NT_PROCS_BUF = 32768 };

struct nt_netns {
	uint32_t inode;
	uint32_t refs; /* processes inside; 0: the slot is free */
};

struct nt_pid {
	uint32_t pid;
	uint64_t ino; /* of /proc/PID */
};

struct nt_procs {
	pthread_mutex_t scan_lock; /* one scan at a time; taken before lock */
	pthread_mutex_t lock; /* guards the index, the namespaces, the misses and what is below */
	struct nt_owners owners;
	struct nt_misses misses;
	uint32_t *kernel; /* sockets of the kernel's own, ascending */
	uint32_t n_kernel;
	struct nt_netns *netns;
	uint32_t n_netns, max_netns, netns_count;
	struct nt_task **task; /* ascending by pid */
	uint32_t n_task;
	uint32_t generation, scan;
	uint32_t oldest;    /* every process was read completely in this scan or later */
	bool hinted, whole; /* whole: the last scan could read every process there is */
	bool reports;	    /* closed sockets are reported, see nt_procs_gone */

	/* Of the scanning thread alone. */
	int root;
	bool procfs, sized;
	bool trust;	    /* reports, as of the beginning of the scan */
	uint32_t since;	    /* a search wants processes read in a later scan than this */
	uint32_t slice_pid; /* the slices continue at this process */
	uint32_t part_pid;  /* and the parts of large processes at this one */
	struct nt_pid *pid;
	uint32_t n_pid, max_pid;
	uint64_t threads; /* as counted before they were listed; 0: not known */
	bool compares;	  /* kcmp() takes the numbers that /proc has for threads */
	struct nt_fd *fd;
	uint32_t n_fd, max_fd;
	char buf[NT_PROCS_BUF] __attribute__((aligned(8)));
};

struct nt_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* A name made of digits alone, below 2^32. */
bool nt_parse_u32(const char *s, uint32_t *ret);
/* "PREFIX[123]" → 123. */
bool nt_parse_link(const char *link, ssize_t n, const char *prefix, uint32_t *ret);
/* PID/NAME; path has NT_PROCS_NAME bytes. */
void nt_task_path(char *path, uint32_t pid, const char *name);
/*
 * Looks at one process and reads it if it changed. Returns 1 if it did, 0 if not; -errno for
 * errors that pass. Sets NT_TASK_GONE if there is no such process any more.
 */
int nt_task_check(struct nt_procs *p, struct nt_task *t, bool fresh);
/* Looks again at the descriptors whose sockets were reported closed. Returns 1 if it did. */
int nt_task_check_suspects(struct nt_procs *p, struct nt_task *t);
/* Reads all descriptors, or at least `want` from where the last part ended. */
int nt_task_read(struct nt_procs *p, struct nt_task *t);
int nt_task_read_part(struct nt_procs *p, struct nt_task *t, uint32_t want);
void nt_task_read_name(struct nt_procs *p, struct nt_task *t);
void nt_task_read_netns(struct nt_procs *p, struct nt_task *t);
/* Moves a process to a namespace (inode 0: none). Called with the lock held. */
void nt_task_set_netns(struct nt_procs *p, struct nt_task *t, uint32_t inode);
/* Puts the sockets of p->fd in place of those at lo <= descriptor < hi. */
int nt_task_commit(struct nt_procs *p, struct nt_task *t, uint32_t lo, uint64_t hi);
/* Appends to p->fd. */
int nt_task_push(struct nt_procs *p, uint32_t fd, uint32_t inode);
/* Forgets the sockets of a table. */
void nt_task_drop(struct nt_procs *p, struct nt_task *t);
/*
 * Looks for the descriptors of a process that /proc/PID/fd does not show, see struct nt_task, and
 * reads them. Returns 1 if it looked, 0 if that was too early; -errno for errors that pass.
 */
int nt_more_find(struct nt_procs *p, struct nt_task *t);
/* Reads again what changed of those found before; moved: their table did. 1 if something did. */
int nt_more_check(struct nt_procs *p, struct nt_task *t, bool moved);
void nt_more_drop(struct nt_procs *p, struct nt_task *t);
/* Remembers that a descriptor is an io_uring instance. */
int nt_more_ring(struct nt_task *t, uint32_t fd);
bool nt_is_ring(const char *link, ssize_t n);
/* How many of a process's tables could not be looked into. */
uint32_t nt_more_unlooked(const struct nt_task *t);
/* False if it is known to hold no descriptor that could be read. */
bool nt_task_has_fds(const struct nt_procs *p, const struct nt_task *t);

#endif
