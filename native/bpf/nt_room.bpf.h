/* SPDX-License-Identifier: GPL-2.0 */
/* Storage is charged to the socket's option memory, which is its program's: a small part is taken. */
#ifndef NT_ROOM_BPF_H
#define NT_ROOM_BPF_H

#include "nt_core.h"

#define NT_OPTMEM_SHARE 20 /* one part in so many of optmem_max at most */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct netns_core {
	int sysctl_optmem_max;
};

struct net___core {
	struct netns_core core;
};
#pragma clang attribute pop

/* Kernels before 6.9 have one limit for all, which programs cannot read: 20 KiB by default. */
static __always_inline bool nt_has_room(struct sock *sk, u32 bytes)
{
	struct net___core *net = (void *)BPF_CORE_READ(sk, __sk_common.skc_net.net);

	if (!bpf_core_field_exists(net->core.sysctl_optmem_max))
		return true;
	int most = 0;

	bpf_core_read(&most, sizeof(most), &net->core.sysctl_optmem_max);
	return bytes <= (u32)most / NT_OPTMEM_SHARE;
}

#endif
