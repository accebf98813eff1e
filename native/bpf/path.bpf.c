// SPDX-License-Identifier: GPL-2.0
/*
 * Where received packets spend their time before the program has them: from the stamp of their
 * reception to functions of the IP, UDP and TCP layers. Host-wide, by fentry; the stamps are there
 * only while some socket asks for them.
 *
 * A stamp is a time of CLOCK_REALTIME; programs can read CLOCK_TAI, and the helper sets how far
 * apart the two are.
 */
#include "nt_core.h"
#include "nt_hist.bpf.h"

#include "nt_plane_path.cdef.h"

#include "nt_path.h"

char LICENSE[] SEC("license") = "GPL";

enum { MOST_NS_LOG2 = 36 }; /* 69 s: no packet is that old */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
/* Linux 6.10; before, one bit says whether the stamp is a time of departure. */
struct sk_buff___typed {
	u8 tstamp_type : 2;
};

struct sk_buff___one_bit {
	u8 mono_delivery_time : 1;
};

struct sk_buff___stamp {
	s64 tstamp;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct tcp_sock___ooo {
	struct rb_root out_of_order_queue;
	struct sk_buff *ooo_last_skb; /* of a queue that is not empty */
};

struct tcp_skb_cb___end {
	u32 end_seq;
};

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

/* Up to Linux 7.0, and from 7.1 on. */
struct scm_timestamping_internal___spec {
	struct timespec64 ts[3];
};

struct scm_timestamping_internal {
	s64 ts[3];
};
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NT_PATH_HOOKS);
	__type(key, u32);
	__type(value, struct nt_path_cpu);
} hooks SEC(".maps");

/* Out-of-order segments that a socket has had. */
struct gap {
	u32 seen;  /* rcv_ooopack */
	u32 until; /* what was sent up to here may have waited for a segment */
	u32 open;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct gap);
} gaps SEC(".maps");

volatile __u32 epoch = 1;
volatile __s64 tai_minus_realtime_ns;

static __always_inline void put(u32 hook, s64 stamp_ns)
{
	struct nt_path_cpu *c = bpf_map_lookup_elem(&hooks, &hook);

	if (!c)
		return;
	if (!stamp_ns) {
		c->unstamped++;
		return;
	}
	s64 ns = (s64)bpf_ktime_get_tai_ns() - tai_minus_realtime_ns - stamp_ns;

	if (ns < 0 || ns >> MOST_NS_LOG2) {
		c->impossible++;
		return;
	}
	u32 now = epoch, slot = now & 1, bucket = nt_fine((u64)ns, nt_log2((u64)ns));

	if (bucket >= NT_FINE)
		return;
	c->buckets[bucket]++;
	c->sum_ns += (u64)ns;
	if (c->epoch[slot] != now) {
		c->epoch[slot] = now;
		c->max_ns[slot] = 0;
	}
	if ((u64)ns > c->max_ns[slot])
		c->max_ns[slot] = (u64)ns;
}

static __always_inline void put_packet(u32 hook, struct sk_buff *skb)
{
	struct sk_buff___typed *typed = (void *)skb;
	struct sk_buff___one_bit *bit = (void *)skb;
	struct sk_buff___stamp *stamp = (void *)skb;
	u64 other = 0;

	if (bpf_core_field_exists(typed->tstamp_type))
		other = BPF_CORE_READ_BITFIELD_PROBED(typed, tstamp_type);
	else if (bpf_core_field_exists(bit->mono_delivery_time))
		other = BPF_CORE_READ_BITFIELD_PROBED(bit, mono_delivery_time);
	if (other) {
		struct nt_path_cpu *c = bpf_map_lookup_elem(&hooks, &hook);

		if (c)
			c->foreign++;
		return;
	}
	put(hook, BPF_CORE_READ(stamp, tstamp));
}

SEC("fentry/ip_rcv_core")
int BPF_PROG(path_ip, struct sk_buff *skb)
{
	put_packet(NT_PATH_IP, skb);
	return 0;
}

SEC("fentry/ip6_rcv_core")
int BPF_PROG(path_ip6, struct sk_buff *skb)
{
	put_packet(NT_PATH_IP, skb);
	return 0;
}

SEC("fentry/tcp_v4_rcv")
int BPF_PROG(path_tcp, struct sk_buff *skb)
{
	put_packet(NT_PATH_TCP, skb);
	return 0;
}

SEC("fentry/tcp_v6_rcv")
int BPF_PROG(path_tcp6, struct sk_buff *skb)
{
	put_packet(NT_PATH_TCP, skb);
	return 0;
}

SEC("fentry/udp_rcv")
int BPF_PROG(path_udp, struct sk_buff *skb)
{
	put_packet(NT_PATH_UDP, skb);
	return 0;
}

SEC("fentry/udpv6_rcv")
int BPF_PROG(path_udp6, struct sk_buff *skb)
{
	put_packet(NT_PATH_UDP, skb);
	return 0;
}

SEC("fentry/tcp_queue_rcv")
int BPF_PROG(path_tcp_queue, struct sock *sk, struct sk_buff *skb)
{
	put_packet(NT_PATH_TCP_QUEUED, skb);
	return 0;
}

SEC("fentry/__udp_enqueue_schedule_skb")
int BPF_PROG(path_udp_queue, struct sock *sk, struct sk_buff *skb)
{
	put_packet(NT_PATH_UDP_QUEUED, skb);
	return 0;
}

/* True while what is read may have waited for an earlier segment. */
static __always_inline bool behind_a_gap(struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct gap *g;

	if (!tp || !bpf_core_field_exists(tp->rcv_ooopack))
		return false;
	g = bpf_sk_storage_get(&gaps, tp, 0, tp->rcv_ooopack ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!g)
		return false;
	if (g->seen != tp->rcv_ooopack) {
		struct tcp_sock___ooo *queue = (void *)tp;

		g->seen = tp->rcv_ooopack;
		g->until = tp->rcv_nxt;
		g->open = 1;
		if (BPF_CORE_READ(queue, out_of_order_queue.rb_node)) {
			struct sk_buff *last = BPF_CORE_READ(queue, ooo_last_skb);
			struct tcp_skb_cb___end *cb = (void *)&last->cb[0];

			g->until = BPF_CORE_READ(cb, end_seq);
		}
	}
	if (g->open && (s32)(tp->copied_seq - g->until) > 0)
		g->open = 0;
	return g->open;
}

SEC("fentry/tcp_recv_timestamp")
int BPF_PROG(path_tcp_read, void *msg, struct sock *sk, void *tss)
{
	u32 hook = NT_PATH_TCP_READ;
	struct nt_path_cpu *c = bpf_map_lookup_elem(&hooks, &hook);
	s64 stamp = 0;

	if (!c)
		return 0;
	if (behind_a_gap(sk)) {
		c->head_of_line++;
		return 0;
	}
	if (bpf_core_type_size(struct scm_timestamping_internal) == 24) {
		struct scm_timestamping_internal *t = tss;

		stamp = BPF_CORE_READ(t, ts[0]);
	} else {
		struct scm_timestamping_internal___spec *t = tss;
		s64 sec = BPF_CORE_READ(t, ts[0].tv_sec), ns = BPF_CORE_READ(t, ts[0].tv_nsec);

		stamp = sec * 1000000000LL + ns;
	}
	put(hook, stamp);
	return 0;
}

SEC("fentry/skb_consume_udp")
int BPF_PROG(path_udp_read, struct sock *sk, struct sk_buff *skb, int len)
{
	if (len >= 0) /* a bad checksum is no read */
		put_packet(NT_PATH_UDP_READ, skb);
	return 0;
}
