// SPDX-License-Identifier: GPL-2.0
/* Somebody else's sockops program: a SYN timeout of three seconds. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("sockops")
int syn_timeout(struct bpf_sock_ops *ops)
{
	if (ops->op == BPF_SOCK_OPS_TIMEOUT_INIT)
		ops->reply = 3 * 250; /* jiffies at 250 Hz */
	return 1;
}
