/* SPDX-License-Identifier: GPL-2.0 */
/* What an event says of its socket or packet. */
#ifndef NT_EVENT_PUT_BPF_H
#define NT_EVENT_PUT_BPF_H

#include "nt_core.h"

#include <bpf/bpf_endian.h>

#include "nt_plane_events.cdef.h"

#include "nt_events.h"

enum { ETH_IP = 0x0800, ETH_IPV6 = 0x86dd };

/*
 * A NULL argument of the tracepoint. Verifiers take the arguments of some for never NULL, and
 * remove a plain comparison.
 */
static __always_inline bool is_null(void *ctx, u32 nth)
{
	u64 raw = 0;

	bpf_probe_read_kernel(&raw, sizeof(raw), (char *)ctx + nth * 8);
	return !raw;
}

/* --- who --- */

static __always_inline u32 netns_of(struct sk_buff *skb)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);

	return dev ? BPF_CORE_READ(dev, nd_net.net, ns.inum) : 0;
}

static __always_inline bool is_inet(u16 family)
{
	return family == NT_AF_INET || family == NT_AF_INET6;
}

static __always_inline bool is_full(u8 state)
{
	return state != NT_TCP_TIME_WAIT && state != NT_TCP_NEW_SYN_RECV;
}

/* Both ends of a socket, a request or a TIME_WAIT. */
static __always_inline void put_ends(struct sock_common *k, u16 *sport, u16 *dport, u8 *src,
				     u8 *dst)
{
	*sport = k->skc_num;
	*dport = bpf_ntohs(k->skc_dport);
	if (k->skc_family == NT_AF_INET) {
		*(u32 *)src = k->skc_rcv_saddr;
		*(u32 *)dst = k->skc_daddr;
	} else if (bpf_core_field_exists(k->skc_v6_daddr)) {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			((u32 *)src)[i] = k->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			((u32 *)dst)[i] = k->skc_v6_daddr.in6_u.u6_addr32[i];
		}
	}
}

static __always_inline void put_socket(struct nt_event *e, struct sock *sk, u64 cookie)
{
	e->cookie = cookie;
	e->netns = nt_netns_of(sk);
	e->family = sk->__sk_common.skc_family;
	e->state = sk->__sk_common.skc_state;
	e->proto = is_full(e->state) ? sk->sk_protocol : NT_IPPROTO_TCP;
	if (is_inet(e->family))
		put_ends(&sk->__sk_common, &e->sport, &e->dport, e->src, e->dst);
	/* A socket that closes has given its port back, and remembers it here. */
	if (!e->sport && is_full(e->state) && is_inet(e->family)) {
		struct inet_sock *inet = (void *)sk;

		e->sport = bpf_ntohs(BPF_CORE_READ(inet, inet_sport));
	}
}

static __always_inline void put_owner(struct nt_event *e, struct nt_ev_sock *s)
{
	if (!s)
		return;
	e->flags |= s->flags;
	e->pid = s->pid;
	__builtin_memcpy(e->comm, s->comm, sizeof(e->comm));
}

/* What TCP is doing on the socket. */
static __always_inline void put_tcp(struct nt_event *e, struct sock *sk)
{
	struct inet_connection_sock *icsk = (void *)sk;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp)
		return;
	e->ca_state = BPF_CORE_READ_BITFIELD_PROBED(icsk, icsk_ca_state);
	e->timer = BPF_CORE_READ(icsk, icsk_pending);
	e->retransmits = BPF_CORE_READ(icsk, icsk_retransmits);
	e->snd_cwnd = tp->snd_cwnd;
	e->rtt_us = tp->srtt_us >> 3;
}

static __always_inline void turn(struct nt_event *e)
{
	u16 port = e->sport;

	e->sport = e->dport;
	e->dport = port;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		u32 word = ((u32 *)e->src)[i];

		((u32 *)e->src)[i] = ((u32 *)e->dst)[i];
		((u32 *)e->dst)[i] = word;
	}
}

/* The addresses of a packet that came in; of one on its way out, whose ends are the other way. */
static __always_inline void put_packet(struct nt_event *e, struct sk_buff *skb, bool leaving)
{
	u16 protocol = bpf_ntohs(skb->protocol), ports[2] = {};
	unsigned char *ip = skb->head + skb->network_header;
	u32 length = 40;

	if (protocol == ETH_IP) {
		u8 first = 0;

		bpf_probe_read_kernel(&first, 1, ip);
		if (first >> 4 != 4)
			return;
		length = (first & 15) * 4;
		bpf_probe_read_kernel(&e->proto, 1, ip + 9);
		bpf_probe_read_kernel(e->dst, 4, ip + 12);
		bpf_probe_read_kernel(e->src, 4, ip + 16);
		e->family = NT_AF_INET;
	} else if (protocol == ETH_IPV6) {
		u8 first = 0;

		bpf_probe_read_kernel(&first, 1, ip);
		if (first >> 4 != 6)
			return;
		bpf_probe_read_kernel(&e->proto, 1, ip + 6);
		bpf_probe_read_kernel(e->dst, 16, ip + 8);
		bpf_probe_read_kernel(e->src, 16, ip + 24);
		e->family = NT_AF_INET6;
	} else {
		return;
	}
	if (e->proto != NT_IPPROTO_TCP && e->proto != NT_IPPROTO_UDP) {
		if (leaving)
			turn(e);
		return;
	}
	bpf_probe_read_kernel(ports, sizeof(ports), ip + length);
	e->dport = bpf_ntohs(ports[0]);
	e->sport = bpf_ntohs(ports[1]);
	if (leaving)
		turn(e);
}

#endif
