/* SPDX-License-Identifier: MIT */
/* What the engine keeps of the path plane from one interval to the next; no BPF is needed for it. */
#ifndef NT_PATH_STATE_H
#define NT_PATH_STATE_H

#include <linux/types.h>

#include "nt_engine.h"
#include "nt_hist.h"

#include "../bpf/nt_path.h"

/* Body of NT_S_PATH; the fine buckets of the hook follow it. */
struct nt_path_head {
	uint64_t sum_ns;
	uint64_t max_ns; /* of the interval */
	struct nt_path_counts counts;
	uint32_t read; /* of the plane, from 1 */
	uint32_t pad;
};

/* One hook: what the kernel has, what it had at the last read and when the run began. */
struct nt_path_sums {
	struct nt_path_head head; /* of the last read */
	uint64_t now[NT_FINE], last[NT_FINE], start[NT_FINE];
	uint64_t last_sum, start_sum;
	uint64_t run_max_ns;
};

struct nt_paths {
	struct nt_path_sums hooks[NT_PATH_HOOKS];
	uint32_t read;
};

/* nt_path_apply.c; the engine's lock is held. */
int nt_path_apply(struct nt_engine *e, const struct nt_section *head, const uint8_t *body);

#endif
