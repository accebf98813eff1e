// SPDX-License-Identifier: GPL-2.0
/* BPF timestamping of every send of every TCP socket here, and nothing done with the stamps. */
#include "nt_core.h"

char LICENSE[] SEC("license") = "GPL";

enum { SOL_SOCKET = 1, SK_BPF_CB_FLAGS = 1009, SK_BPF_CB_TX = 1, OP_SENDMSG = 20 };

struct bpf_sock_ops_kern {
	struct sock *sk;
} __attribute__((preserve_access_index));

extern int bpf_sock_ops_enable_tx_tstamp(struct bpf_sock_ops_kern *skops, u64 flags) __ksym;
extern void *bpf_cast_to_kern_ctx(void *) __ksym;

SEC("sockops")
int empty_ops(struct bpf_sock_ops *ops)
{
	if (ops->op == OP_SENDMSG)
		bpf_sock_ops_enable_tx_tstamp(bpf_cast_to_kern_ctx(ops), 0);
	return 1;
}

SEC("tp_btf/tcp_sendmsg_locked")
int empty_copy(void *ctx)
{
	return 0;
}

SEC("iter/tcp")
int empty_select(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	int flags = SK_BPF_CB_TX;

	if (skc && skc->skc_state == NT_TCP_ESTABLISHED)
		bpf_setsockopt(skc, SOL_SOCKET, SK_BPF_CB_FLAGS, &flags, sizeof(flags));
	return 0;
}
