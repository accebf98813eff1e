// SPDX-License-Identifier: GPL-2.0
/*
 * How long received data waits for its program.
 *
 * TCP: sk_data_ready notes (now, rcv_nxt); tcp_rcv_space_adjust, which every kind of reader
 * passes with copied_seq already moved, takes what was copied. Both run under the socket's lock.
 *
 * UDP: sk_data_ready notes the time of enqueue number h since the queue was empty; a receive that
 * leaves q datagrams queued has read number h - 1 - q. No FIFO: a reader on another CPU may be
 * faster than the notice of its datagram, and such a queue would be off by one for ever.
 */
#include "nt_core.h"
#include "nt_hist.bpf.h"
#include "nt_room.bpf.h"
#include "nt_wait.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nt_ws);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct nt_wait_cpu);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NT_FOCUS_MAX);
	__type(key, u64);
	__type(value, struct nt_wait_fine);
} focus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NT_LISTENERS_MAX);
	__type(key, struct nt_accept_key);
	__type(value, struct nt_accept);
} accepts SEC(".maps");

/* Network namespaces to trace, unless it is all. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NT_WAIT_SPACES);
	__type(key, u32);
	__type(value, u8);
} spaces SEC(".maps");

/* Set by the helper while the programs run. */
volatile __u32 some_spaces; /* those in the map, not all */
volatile __u32 round;	    /* of choosing namespaces */
volatile __u32 epoch = 1;
volatile __u32 sample_shift;
volatile __u64 focus_bits[NT_FOCUS_BITS / 64];
volatile __u64 attached_ns;

static __always_inline struct nt_wait_cpu *this_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&cpus, &zero);
}

static __always_inline bool chosen(u64 cookie)
{
	return !(((cookie * 0x9e3779b97f4a7c15ULL) >> 40) & ((1U << (sample_shift & 31)) - 1));
}

static __always_inline void count_in_focus(u64 cookie, u32 bucket, u32 weight)
{
	u32 bit = (u32)((cookie * 0x9e3779b97f4a7c15ULL) >> 51);
	struct nt_wait_fine *fine;

	if (!(focus_bits[bit / 64 % (NT_FOCUS_BITS / 64)] >> bit % 64 & 1))
		return;
	fine = bpf_map_lookup_elem(&focus, &cookie);
	if (fine)
		__sync_fetch_and_add(&fine->buckets[bucket], weight);
}

/* A take outside its socket's record. */
static __always_inline void sum_up(struct nt_wait_cpu *c, u64 cookie, u64 wait_ns, u32 weight,
				   u32 fine)
{
	u32 now = epoch, slot = now & 1;

	if (fine >= NT_FINE)
		return;
	if (c->epoch[slot] != now) {
		c->epoch[slot] = now;
		c->max_ns[slot] = 0;
	}
	if (wait_ns > c->max_ns[slot])
		c->max_ns[slot] = wait_ns;
	c->samples += weight;
	c->sum_ns += wait_ns * weight;
	c->buckets[fine] += weight;
	count_in_focus(cookie, fine, weight);
}

/* Something happened to it in this epoch. */
static __always_inline void touch(struct nt_ws *s, u32 now)
{
	u32 slot = now & 1;

	if (s->epoch[slot] != now) {
		s->epoch[slot] = now;
		s->max_ns[slot] = 0;
	}
}

/* One take: `weight` deliveries that waited this long. */
static __always_inline void sample(struct nt_ws *s, struct nt_wait_cpu *c, u64 wait_ns, u32 weight,
				   bool bounded)
{
	u32 now = epoch, slot = now & 1;
	u32 lg = nt_log2(wait_ns), octave = nt_octave(lg), fine = nt_fine(wait_ns, lg);

	if (octave < NT_OCTAVES)
		s->octaves[octave] += weight;
	s->count += weight;
	s->sum_ns += wait_ns * weight;
	touch(s, now);
	if (wait_ns > s->max_ns[slot])
		s->max_ns[slot] = wait_ns;
	if (bounded) {
		s->bounded += weight;
		c->bounded += weight;
	}
	sum_up(c, s->cookie, wait_ns, weight, fine);
}

/* CoDel's question: whether all that was read lately had waited for long. */
static __always_inline void note_standing(u64 *above_ns, u64 wait_ns, u64 now, bool empty)
{
	if (empty || wait_ns < NT_STANDING_NS)
		*above_ns = 0;
	else if (!*above_ns)
		*above_ns = now;
}

#include "nt_wait_tcp.bpf.h"
#include "nt_wait_udp.bpf.h"
/* Before the other programs: what may be refused comes first, as it ends the load. */
#include "nt_wait_iter.bpf.h"
#include "nt_wait_kern.bpf.h"
#include "nt_split.bpf.h"

/* --- the programs --- */

static __always_inline bool is_inet(struct sock *sk)
{
	u16 family = sk->__sk_common.skc_family;

	return family == NT_AF_INET || family == NT_AF_INET6;
}

static __always_inline bool is_wanted(u32 netns)
{
	return !some_spaces || bpf_map_lookup_elem(&spaces, &netns);
}

/* Asked of a socket once in each round: the namespace is a look-up. */
static __always_inline bool is_here(struct nt_ws *s, struct sock *sk)
{
	u8 now = (u8)(round << 1);

	if ((s->place & 0xfe) != now)
		s->place = now | !is_wanted(nt_netns_of(sk));
	return !(s->place & 1);
}

static __always_inline bool is_traced(struct nt_ws *s, struct sock *sk)
{
	return (!sample_shift || chosen(s->cookie)) && is_here(s, sk);
}

/* The record of a socket, made if it is to be traced and has none; tp: NULL for UDP. */
static __always_inline struct nt_ws *traced(struct sock *sk, struct tcp_sock *tp,
					    struct nt_wait_cpu *c)
{
	/* The cheapest look; a record of UDP would have to learn of it. */
	if (tp && sample_shift) {
		u64 known = (u64)sk->__sk_common.skc_cookie.counter;

		if (known && !chosen(known))
			return NULL;
	}
	struct nt_ws *s = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (s && is_traced(s, sk))
		return s;
	if (s) {
		if (s->flags & NT_WS_UDP) { /* what comes now is not counted */
			s->newest = s->taken = s->shift = 0;
			s->flags &= ~NT_WS_DRAINED;
		}
		return NULL;
	}
	if (!is_wanted(nt_netns_of(sk)))
		return NULL;
	u64 cookie = bpf_get_socket_cookie(sk);

	if (!chosen(cookie))
		return NULL;
	if (nt_has_room(sk, sizeof(*s)))
		s = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		c->no_storage++;
		return NULL;
	}
	s->cookie = cookie;
	s->place = (u8)(round << 1);
	if (tp)
		s->newest = tp->copied_seq;
	else
		s->flags = NT_WS_UDP;
	return s;
}

/* Data of this socket became readable. */
static __always_inline int ready(struct sock *sk)
{
	if (!is_inet(sk))
		return 0;
	u16 proto = sk->sk_protocol, type = sk->sk_type;

	/* A raw socket may have either number too. */
	if (!(proto == NT_IPPROTO_TCP && type == NT_SOCK_STREAM) &&
	    !(proto == NT_IPPROTO_UDP && type == NT_SOCK_DGRAM))
		return 0;
	if (sk->__sk_common.skc_state == NT_TCP_LISTEN)
		return 0;
	struct nt_wait_cpu *c = this_cpu();

	if (!c)
		return 0;
	c->runs++;
	struct tcp_sock *tp = NULL;

	if (proto == NT_IPPROTO_TCP) {
		tp = bpf_skc_to_tcp_sock(sk);
		if (!tp)
			return 0;
	}
	struct nt_ws *s = traced(sk, tp, c);

	if (!s)
		return 0;
	if (tp) {
		/* Taken where tcp_rcv_space_adjust is not passed: urgent data, MPTCP, sockmap. */
		if (s->used && (s32)(tp->copied_seq - s->newest) >= 0) {
			s->used = 0;
			s->flags &= ~NT_WS_SEEDED;
		}
		note_tcp(s, c, data_end(sk, tp), !((struct sock *)tp)->sk_socket, false);
	} else
		note_udp(s, udp_queued(sk));
	return 0;
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(wait_ready, struct sock *sk)
{
	ready(sk);
	if (is_splitting())
		split_ready(sk); /* next to the wake-up that it looks for */
	return 0;
}

/* The function that holds that tracepoint since Linux 6.3. */
SEC("fentry/sock_def_readable")
int BPF_PROG(wait_readable, struct sock *sk)
{
	return ready(sk);
}

/*
 * Instead of these where neither can be had: each segment as it arrives, in order or
 * not, and before the protocol has looked at it.
 */
SEC("tp_btf/tcp_probe")
int BPF_PROG(wait_probe, struct sock *sk, struct sk_buff *skb)
{
	struct {
		u32 seq, end_seq, gso;
		u8 tcp_flags;
	} cb = {};
	struct nt_wait_cpu *c = this_cpu();

	if (!c || bpf_probe_read_kernel(&cb, 13, &skb->cb))
		return 0;
	c->runs++;
	u32 fin = cb.tcp_flags & 1, end = cb.end_seq - fin;

	if (!fin && (s32)(end - cb.seq) <= 0)
		return 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	/* What is too little comes with what makes it enough, or with the end. */
	if (!tp || (fin ? (s32)(end - tp->copied_seq) <= 0 : !is_enough(sk, end)))
		return 0;
	struct nt_ws *s = traced(sk, tp, c);

	if (!s)
		return 0;
	note_tcp(s, c, end, !sk->sk_socket, true);
	return 0;
}

/* The oldest entry, if all of it was copied; false: it was not, or there is none. */
static __always_inline bool take_tcp(struct nt_ws *s, struct nt_wait_cpu *c,
				     struct nt_accept_key *port, u32 copied, u64 now)
{
	u32 at = s->head % NT_RING, flags = s->flags;

	if (!s->used || (s32)(copied - s->seq[at]) < 0)
		return false;
	u64 wait = now - s->at_ns[at];
	u32 weight = s->merged[at] & (NT_EARLY - 1);

	if (s->merged[at] & NT_EARLY)
		nt_wait_early(port, c, wait, weight);

	if (weight > 1 && (u64)s->span_us * 33000 > wait)
		s->approx += weight;
	sample(s, c, wait, weight, flags & NT_WS_SEEDED);
	note_standing(&s->above_ns, wait, now, false);
	if (flags & NT_WS_SEEDED)
		s->flags = flags & ~NT_WS_SEEDED;
	s->head = (at + 1) % NT_RING;
	s->used--;
	return true;
}

/* The same as a global function: verified once, not in each turn of a loop. */
__attribute__((noinline)) int nt_wait_take(struct nt_ws_rest *rest, struct nt_wait_cpu *c,
					   struct nt_accept_key *port, u32 copied, u64 now)
{
	return rest && c && port && take_tcp((struct nt_ws *)rest, c, port, copied, now);
}

static __always_inline int taken_tcp(struct sock *sk)
{
	struct nt_wait_cpu *c = this_cpu();

	if (!c)
		return 0;
	c->runs++;
	struct nt_ws *s = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (!s || !s->used)
		return 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp)
		return 0;
	u32 copied = tp->copied_seq;
	u64 now = bpf_ktime_get_ns();
	struct nt_accept_key port = {};

	if (s->flags & NT_WS_EARLY) {
		/* Outside the loop: the verifier takes its time over each such chain. */
		port.netns = nt_netns_of(sk);
		port.port = sk->__sk_common.skc_num;
		port.family = sk->__sk_common.skc_family;
	}
	/* Mostly one delivery was waiting: it takes no call. */
	if (!take_tcp(s, c, &port, copied, now))
		return 0;
	for (u32 i = 1; i < NT_RING && s->used; i++)
		if (!nt_wait_take((struct nt_ws_rest *)s, c, &port, copied, now))
			break;
	if (!s->used)
		s->above_ns = 0;
	return 0;
}

SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(wait_tcp_taken, struct sock *sk)
{
	taken_tcp(sk);
	if (is_splitting())
		split_taken(sk);
	return 0;
}

static __always_inline int taken_udp(struct sock *sk, int bytes)
{
	struct nt_wait_cpu *c = this_cpu();

	if (!c)
		return 0;
	c->runs++;
	struct nt_ws *s = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (!s || !(s->flags & NT_WS_UDP) || !is_traced(s, sk))
		return 0;
	take_udp(s, c, udp_queued(sk), (u32)bytes);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(wait_udp_taken, struct sock *sk, int ret, int flags)
{
	if (ret < 0 || flags & (NT_MSG_PEEK | NT_MSG_ERRQUEUE) ||
	    sk->sk_protocol != NT_IPPROTO_UDP || !is_inet(sk))
		return 0;
	if (ret || !(sk->sk_shutdown & NT_RCV_SHUTDOWN)) /* else the end, not an empty datagram */
		taken_udp(sk, ret);
	if (is_splitting())
		split_taken(sk);
	return 0;
}

/* With a datagram that was copied to the program; one that it peeked at is in the queue still. */
SEC("fentry/skb_consume_udp")
int BPF_PROG(wait_udp_consumed, struct sock *sk, struct sk_buff *skb, int len)
{
	return len < 0 || skb->next || !is_inet(sk) ? 0 : taken_udp(sk, len);
}

/* So many bytes, as one datagram or (UDP_SEGMENT) as several. */
static __always_inline int sent_udp(struct sock *sk, s32 bytes)
{
	if (bytes < 0 || sk->sk_protocol != NT_IPPROTO_UDP || sk->sk_type != NT_SOCK_DGRAM)
		return 0;
	struct nt_wait_cpu *c = this_cpu();

	if (!c)
		return 0;
	c->runs++;
	struct nt_ws *s = traced(sk, NULL, c);

	if (!s || !(s->flags & NT_WS_UDP))
		return 0;
	__sync_fetch_and_add(&s->tx_bytes, bytes);
	__sync_fetch_and_add(&s->tx_datagrams, 1);
	touch(s, epoch);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(wait_udp_sent, struct sock *sk, int ret, int flags)
{
	return sk->sk_protocol == NT_IPPROTO_UDP && is_inet(sk) ? sent_udp(sk, ret) : 0;
}

/*
 * Instead of sock_recv_length and sock_send_length, which every message of TCP passes too, where
 * functions can be followed: those that UDP alone has. That of IPv6 calls the other one to send to
 * an address of IPv4.
 */
SEC("fexit/udp_sendmsg")
int BPF_PROG(wait_udp_sent_4, struct sock *sk)
{
	u64 ret = 0;

	if (sk->__sk_common.skc_family != NT_AF_INET || bpf_get_func_ret(ctx, &ret))
		return 0;
	return sent_udp(sk, (s32)ret);
}

SEC("fexit/udpv6_sendmsg")
int BPF_PROG(wait_udp_sent_6, struct sock *sk)
{
	u64 ret = 0;

	return bpf_get_func_ret(ctx, &ret) ? 0 : sent_udp(sk, (s32)ret);
}
