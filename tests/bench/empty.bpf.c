// SPDX-License-Identifier: GPL-2.0
/* The tracepoints of TCP that the RX wait plane needs, and nothing done there. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sk_data_ready")
int empty_ready(void *ctx)
{
	return 0;
}

SEC("tp_btf/tcp_rcv_space_adjust")
int empty_taken(void *ctx)
{
	return 0;
}
