// SPDX-License-Identifier: GPL-2.0
/* Every send of every TCP socket here passes the hooks of TX stages, and none is stamped. */
#include "nt_core.h"

char LICENSE[] SEC("license") = "GPL";

enum { SOL_SOCKET = 1, SK_BPF_CB_FLAGS = 1009, SK_BPF_CB_TX = 1 };

SEC("sockops")
int flag_ops(struct bpf_sock_ops *ops)
{
	return 1;
}

SEC("tp_btf/tcp_sendmsg_locked")
int flag_copy(void *ctx)
{
	return 0;
}

SEC("iter/tcp")
int flag_select(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	int flags = SK_BPF_CB_TX;

	if (skc && skc->skc_state == NT_TCP_ESTABLISHED)
		bpf_setsockopt(skc, SOL_SOCKET, SK_BPF_CB_FLAGS, &flags, sizeof(flags));
	return 0;
}
