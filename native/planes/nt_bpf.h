/* SPDX-License-Identifier: MIT */
/* What the hosts of all BPF planes need. Only built with NT_WITH_BPF. */
#ifndef NT_BPF_H
#define NT_BPF_H

#include <stdbool.h>
#include <stdint.h>

/* libbpf prints nothing from here on: nt_bpf_log() has its warnings. */
void nt_bpf_quiet(void);
/*
 * What this kernel has, by its BTF: a load that is refused takes as long as one that is not. Where
 * that cannot be read: why, and all false.
 */
struct nt_bpf_kernel {
	int unread;	    /* -errno */
	bool keeps_records; /* of sockets, for programs on tracepoints: Linux 5.11 */
	bool tells_ready;   /* sk_data_ready: 6.3 */
	bool stamps;	    /* BPF timestamping: 6.15 */
	bool tells_sends;   /* tcp_sendmsg_locked: 6.16 */
};
const struct nt_bpf_kernel *nt_bpf_kernel(void);
/* One line why a plane is off, for `why` (n bytes): err is the -errno of open, load or attach. */
void nt_bpf_reason(int err, const char *what, char *why, uint32_t n);
/* Reads a BPF iterator (struct bpf_link's descriptor) to its end: buf of *n bytes grows in *ret. */
int nt_bpf_iter_read(int link_fd, uint8_t **buf, uint32_t *n, uint32_t *cap);
struct bpf_map;
struct bpf_program;
/* Attaches an iterator over the elements of a map; NULL and errno. */
struct bpf_link *nt_bpf_iter_over(const struct bpf_program *program, const struct bpf_map *map);
/*
 * Some hosts forbid iterators over the elements of maps, so that records of sockets are read through
 * files. A load goes by nt_bpf_by_files(), and is repeated if nt_bpf_try_files(its -errno) says so;
 * what worked is where the next one begins.
 */
bool nt_bpf_by_files(void);
bool nt_bpf_try_files(int err);
/* For qsort and bsearch: cookies, or records that begin with one. */
int nt_bpf_by_cookie(const void *a, const void *b);
/*
 * Of records of size bytes that begin with a cookie one of each cookie stays: an iterator over
 * files writes one for each file of a socket.
 */
void nt_bpf_once_each(uint8_t *buf, uint32_t *n, uint32_t size);
/* Runs an iterator for its effect alone, inside the network namespace ns_fd (-1: the caller's own). */
int nt_bpf_iter_run(int link_fd, int ns_fd);
/* The same for the numbers that it writes: at most max are kept; returns how many there were. */
int nt_bpf_iter_numbers(int link_fd, int ns_fd, uint32_t *ret, uint32_t max);
/* What to add to a time of a BPF program, the host's, for CLOCK_MONOTONIC of this time namespace. */
int64_t nt_timens_ns(void);
uint64_t nt_ktime_ns(void); /* now, as BPF programs have it */
int nt_bpf_cpus(void);	    /* possible CPUs: values of a per-CPU map */

/* Keys of a map of network namespaces are these from now on; on failure some may be missing. */
int nt_bpf_spaces(int map, const uint32_t *netns, uint32_t n);

struct bpf_object;
struct nt_prog;
struct nt_wait;
struct nt_stages;

/* The object's programs that are loaded; returns how many, fills at most max. */
int nt_bpf_programs(const struct bpf_object *object, struct nt_prog *ret, uint32_t max);

/* Descriptors of the maps that hold the sockets' records (struct nt_ws, struct nt_tx_sock). */
int nt_wait_records_fd(const struct nt_wait *w);
int nt_stages_records_fd(const struct nt_stages *s);

#endif
