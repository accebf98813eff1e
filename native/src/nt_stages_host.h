/* SPDX-License-Identifier: MIT */
/* The stages plane's host; only built with NT_WITH_BPF. */
#ifndef NT_STAGES_HOST_H
#define NT_STAGES_HOST_H

#include <stdbool.h>

#include "nt_hist.h"
#include "nt_planes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../bpf/nt_stages.h"
#include "stages.skel.h"

/* Records as they were last read, by cookie: open addressing. */
struct bases {
	struct nt_tx_rec **v;
	uint32_t mask, live;
};

struct fine {
	uint64_t cookie;
	uint64_t max_ns[NT_PARTS]; /* of the interval */
	bool read, whole;
	struct nt_tx_fine now, last, start;
	uint32_t nic_now[NT_FINE], nic_last[NT_FINE], nic_start[NT_FINE];
	uint64_t nic_max_ns; /* of the interval */
};

struct total {
	uint64_t now[NT_FINE], last[NT_FINE], start[NT_FINE];
	uint64_t now_sum, last_sum, start_sum, max_ns, run_max_ns;
};

struct nt_stages {
	pthread_mutex_t lock;
	struct stages_bpf *skel;
	int cgroup_fd;
	int method; /* enum nt_stages_method */
	int n_cpus;
	uint64_t *wanted;
	uint32_t n_wanted;
	uint32_t udp; /* selected UDP sockets that the walks found */
	struct bases bases;
	uint32_t reads;
	struct fine *fine[NT_TX_FINE];
	uint32_t n_fine;
	struct nt_tx_cpu *cpus;
	struct nt_tx_counts *counts;
	struct total totals[NT_PARTS + 1];	/* the last of the NIC */
	struct ring_buffer *nics;		/* NULL: by tracepoints no NIC's stamps come */
	struct nt_stages_nic *nic_to, *nic_end; /* where nt_stages_nics puts them */
	struct nt_stages_placed *placed;	/* of this interval */
	uint32_t n_placed;
	uint8_t *buf;
	uint32_t n_buf, buf_cap;
	uint32_t read_epoch; /* of the last read */
};

/* Leaves the tracepoints that every packet passes. */
void nt_tx_detach_path(struct nt_stages *s);
/* nt_stages_nic.c */
int nt_tx_nics_open(struct nt_stages *s);
/* Counts what was placed as of this interval; tells the engine, whose lock is held. */
void nt_tx_nics_count(struct nt_stages *s);
void nt_tx_nics_tell(struct nt_stages *s, struct nt_engine *e);
/* nt_stages_read.c */
struct fine *nt_tx_fine_of(struct nt_stages *s, uint64_t cookie);
void nt_tx_bases_free(struct bases *b);
/* A table of n slots with the bases of sockets that the engine knows; NULL: all. */
int nt_tx_bases_rehash(struct bases *b, uint32_t n, const struct nt_engine *keep);

#endif
