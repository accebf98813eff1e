/* SPDX-License-Identifier: MIT */
/* The stages plane's host; only built with NT_WITH_BPF. */
#ifndef NT_STAGES_HOST_H
#define NT_STAGES_HOST_H

#include <stdbool.h>

#include "nt_stages_state.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "stages.skel.h"

struct nt_stages {
	pthread_mutex_t lock;
	struct stages_bpf *skel;
	int cgroup_fd;
	int method;    /* enum nt_stages_method */
	bool by_files; /* how the records are read */
	int n_cpus;
	uint64_t *wanted;
	uint32_t n_wanted;
	uint32_t udp; /* selected UDP sockets that the walks found */
	uint32_t reads;
	uint64_t fine[NT_TX_FINE]; /* cookies of those with fine buckets */
	uint32_t n_fine;
	struct nt_tx_cpu *cpus;
	struct nt_tx_counts *counts;
	struct ring_buffer *nics;		/* NULL: by tracepoints no NIC's stamps come */
	struct nt_stages_nic *nic_to, *nic_end; /* where nt_stages_nics puts them */
	struct nt_stages_placed *placed;	/* of the interval that the next read ends */
	uint32_t n_placed;
	uint8_t *buf;
	uint32_t n_buf, buf_cap;
	struct nt_stages_fine *fined; /* of the last read */
	uint32_t n_fined, fined_cap;
	struct {
		struct nt_stages_head head;
		uint64_t buckets[NT_PARTS][NT_FINE];
	} total; /* as it is handed over */
};

/* Leaves the tracepoints that every packet passes. */
void nt_tx_detach_path(struct nt_stages *s);
/* nt_stages_nic.c */
int nt_tx_nics_open(struct nt_stages *s);

#endif
