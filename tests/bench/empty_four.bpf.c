// SPDX-License-Identifier: GPL-2.0
/* All tracepoints of the RX wait plane that TCP passes where functions cannot be followed. */
#include "empty.bpf.c"

SEC("tp_btf/sock_recv_length")
int empty_received(void *ctx)
{
	return 0;
}

SEC("tp_btf/sock_send_length")
int empty_sent(void *ctx)
{
	return 0;
}
