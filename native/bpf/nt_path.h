/* SPDX-License-Identifier: GPL-2.0 */
/* What the path programs and the helper share. */
#ifndef NT_PATH_SHARED_H
#define NT_PATH_SHARED_H

#include "nt_hist.h"

/* enum nt_path_hook */
#define NT_PATH_HOOKS 7

/* One hook on this CPU. */
struct nt_path_cpu {
	__u64 sum_ns;
	__u64 max_ns[2]; /* of the epochs in epoch[] */
	__u64 epoch[2];
	__u64 unstamped; /* packets without a time of reception: before stamping was on, or local */
	__u64 foreign;	 /* stamped by another clock: a time of departure */
	__u64 impossible;   /* from the future, or older than a minute */
	__u64 head_of_line; /* read late for want of an earlier segment: the network's time */
	__u64 buckets[NT_FINE];
};

#endif
