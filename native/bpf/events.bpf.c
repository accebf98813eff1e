// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to sockets, as it happens: retransmissions, drops, resets, errors, states, ends.
 *
 * Everything is counted; a record is written as long as its type stays within the limit. Where a
 * tracepoint's arguments differ between kernels there are alternatives, and the helper loads one.
 * A packet belongs to the socket that the kernel names, never to the task that happens to run.
 */
#include "nt_core.h"
#include "nt_event_last.bpf.h"
#include "nt_event_put.bpf.h"
#include "nt_events.h"

char LICENSE[] SEC("license") = "GPL";

enum { NOT_SPECIFIED = 2 };
enum { KERNEL_THREAD = 0x00200000 };
enum skb_drop_reason { SKB_DROP_REASON_CPU_BACKLOG = 1 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct tcp_skb_cb {
	u32 seq;
	u16 tcp_gso_segs;
};

struct skb_shared_info {
	unsigned short gso_size, gso_segs;
};
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, NT_EV_RING_BYTES);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct nt_ev_cpu);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nt_ev_sock);
} sockets SEC(".maps");

/* Drops by reason and socket: one map is filled while the helper empties the other. */
struct drops {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NT_EV_DROPS);
	__type(key, struct nt_ev_drop_key);
	__type(value, struct nt_drop);
} drops_even SEC(".maps"), drops_odd SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, NT_EV_REASONS);
	__type(key, u32);
	__type(value, u64);
} reasons SEC(".maps");

/* Network namespaces to report, unless it is all. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NT_EV_SPACES);
	__type(key, u32);
	__type(value, u8);
} spaces SEC(".maps");

/* Set by the helper while the programs run. */
volatile __u32 epoch;
volatile __u32 some_spaces;			     /* those in the map, not all */
volatile __u64 gap_ns = 1000000000ULL / NT_EV_PER_S; /* between two records of a type */
volatile __u64 burst_ns = 1000000000ULL;	     /* silence that saves up records */
/* Before the programs are loaded: the helper's PID namespace; 0: the first one. */
const volatile __u64 pidns_dev, pidns_ino;

/* By type: when the bucket will be full again. */
__u64 filled_ns[NT_EV_TYPES];

/* --- counting and recording --- */

static __always_inline struct nt_ev_cpu *this_cpu(void)
{
	u32 zero = 0;
	struct nt_ev_cpu *c = bpf_map_lookup_elem(&cpus, &zero);

	if (c)
		c->runs++;
	return c;
}

/* The token bucket, kept as the time at which it will be full. */
static __always_inline bool allowed(u32 type, u64 now)
{
	u64 *filled = &filled_ns[type % NT_EV_TYPES], gap = gap_ns, burst = burst_ns;

	for (int i = 0; i < 4; i++) {
		u64 was = *(volatile u64 *)filled, from = was > now ? was : now;

		if (from - now + gap > burst)
			return false;
		if (__sync_val_compare_and_swap(filled, was, from + gap) == was)
			return true;
	}
	return false;
}

/* Counts one, and gives a record of `size` zeroed bytes unless there were too many. */
static __always_inline void *begin(struct nt_ev_cpu *c, u32 type, u64 now, u32 size)
{
	struct nt_event *e;

	__sync_fetch_and_add(&c->seen[type], 1);
	if (!allowed(type, now)) {
		__sync_fetch_and_add(&c->suppressed[type], 1);
		return 0;
	}
	e = bpf_ringbuf_reserve(&records, size, 0);
	if (!e) {
		__sync_fetch_and_add(&c->lost[type], 1);
		return 0;
	}
	__builtin_memset(e, 0, size);
	e->at_ns = now;
	e->type = type;
	return e;
}

static __always_inline void end(void *e)
{
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

static __always_inline bool is_wanted(u32 netns)
{
	return !some_spaces || bpf_map_lookup_elem(&spaces, &netns);
}

static __always_inline bool is_here(struct sock *sk)
{
	return !some_spaces || is_wanted(nt_netns_of(sk));
}

/*
 * The process inside whose call on the socket this runs: the socket's lock says whether there
 * is one. Not of a kernel thread.
 */
static __always_inline void note_owner(struct nt_ev_sock *s, struct sock *sk)
{
	struct bpf_pidns_info ids = {};
	struct task_struct *task, *leader;

	if (!sk->sk_lock.owned)
		return;
	task = (void *)bpf_get_current_task();
	if (BPF_CORE_READ(task, flags) & KERNEL_THREAD)
		return;
	if (!pidns_ino)
		s->pid = (u32)(bpf_get_current_pid_tgid() >> 32);
	else if (!bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino, &ids, sizeof(ids)))
		s->pid = ids.tgid;
	else
		s->pid = 0; /* invisible from here */
	leader = BPF_CORE_READ(task, group_leader);
	bpf_core_read_str(s->comm, sizeof(s->comm), &leader->comm);
	s->flags |= NT_EVF_OWNER;
}

/* --- retransmissions --- */

/*
 * Since 6.17 attempts that failed before the segment was counted are traced as well, so the
 * segments are those that total_retrans grew by.
 */
static __always_inline int retransmitted(struct sock *sk, struct sk_buff *skb, int err)
{
	struct nt_ev_sock *s = bpf_sk_storage_get(&sockets, sk, 0, 0);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct tcp_skb_cb *cb = (void *)skb->cb;
	struct nt_ev_cpu *c = this_cpu();
	struct nt_event *e;
	u32 segs;

	if (!c || !tp || !is_here(sk))
		return 0;
	if (s) {
		segs = tp->total_retrans - s->total_retrans;
		s->total_retrans = tp->total_retrans;
	} else {
		segs = err ? 0 : BPF_CORE_READ(cb, tcp_gso_segs);
		s = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (s)
			s->total_retrans = tp->total_retrans;
	}
	__sync_fetch_and_add(&c->segs_retrans, segs);
	if (err)
		__sync_fetch_and_add(&c->failed, 1);
	e = begin(c, NT_EV_RETRANSMIT, bpf_ktime_get_ns(), sizeof(*e));
	if (!e)
		return 0;
	put_socket(e, sk, bpf_get_socket_cookie(sk));
	put_tcp(e, sk);
	put_owner(e, s);
	e->ahead = BPF_CORE_READ(cb, seq) - tp->snd_una;
	e->len = skb->len;
	e->segs = segs;
	e->err = err;
	end(e);
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmit_err, struct sock *sk, struct sk_buff *skb, int err) /* Linux 6.17 */
{
	return retransmitted(sk, skb, err);
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmit, struct sock *sk, struct sk_buff *skb)
{
	return retransmitted(sk, skb, 0);
}

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(retransmit_synack, struct sock *sk, struct request_sock *req)
{
	struct nt_ev_cpu *c = this_cpu();
	struct nt_event *e;

	if (!c || !is_here(sk))
		return 0;
	__sync_fetch_and_add(&c->segs_retrans, 1);
	e = begin(c, NT_EV_RETRANSMIT, bpf_ktime_get_ns(), sizeof(*e));
	if (!e)
		return 0;
	put_socket(e, sk, bpf_get_socket_cookie(sk));
	e->state = NT_TCP_SYN_RECV;
	e->flags |= NT_EVF_SYNACK;
	put_ends(&req->__req_common, &e->sport, &e->dport, e->src, e->dst);
	e->retransmits = BPF_CORE_READ(req, num_retrans) + 1; /* counted after this is traced */
	e->segs = 1;
	end(e);
	return 0;
}

/* --- drops --- */

static __always_inline void *drop_map(void)
{
	return epoch & 1 ? (void *)&drops_odd : (void *)&drops_even;
}

/* What TCP sends and merges as one packet is many on the wire. */
static __always_inline u32 segs_of(struct sk_buff *skb)
{
	unsigned char *head = BPF_CORE_READ(skb, head);
	const struct skb_shared_info *info = (const void *)(head + BPF_CORE_READ(skb, end));
	u32 size = BPF_CORE_READ(info, gso_size), segs = BPF_CORE_READ(info, gso_segs);

	if (!size)
		return 1;
	return segs ? segs : skb->len / size + 1; /* a guest's: not counted yet */
}

static __always_inline void count_drop(struct nt_ev_cpu *c, struct nt_ev_drop_key *key,
				       struct sock *sk, u32 segs, u64 now)
{
	u64 one = 1, *total = bpf_map_lookup_elem(&reasons, &key->reason);
	struct nt_drop fresh = {}, *d;

	if (total)
		__sync_fetch_and_add(total, 1);
	else if (bpf_map_update_elem(&reasons, &key->reason, &one, BPF_NOEXIST))
		c->unreasoned++;
	d = bpf_map_lookup_elem(drop_map(), key);
	if (!d) {
		fresh.cookie = key->cookie;
		fresh.reason = key->reason;
		fresh.netns = key->netns;
		if (sk) {
			fresh.family = sk->__sk_common.skc_family;
			fresh.state = sk->__sk_common.skc_state;
			fresh.proto = is_full(fresh.state) ? sk->sk_protocol : NT_IPPROTO_TCP;
			if (is_inet(fresh.family))
				put_ends(&sk->__sk_common, &fresh.sport, &fresh.dport, fresh.src,
					 fresh.dst);
		}
		bpf_map_update_elem(drop_map(), key, &fresh, BPF_NOEXIST);
		d = bpf_map_lookup_elem(drop_map(), key);
	}
	if (!d) {
		__sync_fetch_and_add(&c->unplaced, 1);
		return;
	}
	__sync_fetch_and_add(&d->count, 1);
	__sync_fetch_and_add(&d->segs, segs);
	d->last_ns = now;
}

/* Made here and not yet received again: what a CPU's backlog refuses has come but has no device. */
static __always_inline bool is_leaving(struct sk_buff *skb, u32 reason)
{
	if (skb->skb_iif)
		return false;
	return !bpf_core_enum_value_exists(enum skb_drop_reason, SKB_DROP_REASON_CPU_BACKLOG) ||
	       reason != bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_CPU_BACKLOG);
}

/* sk: that received the packet, else that sent it, else NULL. */
static __always_inline int dropped(struct sk_buff *skb, struct sock *sk, u64 cookie, bool received,
				   u32 reason)
{
	u16 family = 0, protocol = bpf_ntohs(skb->protocol);
	struct nt_ev_drop_key key = { .cookie = cookie, .reason = reason };
	u64 now = bpf_ktime_get_ns();
	u32 segs = segs_of(skb);
	struct nt_ev_cpu *c;
	struct nt_event *e;

	if (sk)
		family = sk->__sk_common.skc_family;
	/* Neither netlink nor Unix sockets. */
	if (!is_inet(family) && !BPF_CORE_READ(skb, dev) &&
	    (sk || (protocol != ETH_IP && protocol != ETH_IPV6)))
		return 0;
	key.netns = sk ? nt_netns_of(sk) : netns_of(skb);
	c = this_cpu();
	if (!c || !is_wanted(key.netns))
		return 0;
	count_drop(c, &key, sk, segs, now);
	e = begin(c, NT_EV_DROP, now, sizeof(*e));
	if (!e)
		return 0;
	if (sk)
		put_socket(e, sk, cookie);
	else
		e->netns = key.netns;
	bool leaving = !(sk && received) && is_leaving(skb, reason);

	if (!sk || !is_inet(e->family)) {
		e->flags |= leaving ? NT_EVF_FROM_PACKET | NT_EVF_LEAVING : NT_EVF_FROM_PACKET;
		put_packet(e, skb, leaving);
	} else if (!e->dport) {
		put_packet(e, skb, leaving); /* not connected: the packet has both ends */
	}
	e->reason = reason;
	e->len = skb->len;
	e->segs = segs;
	end(e);
	return 0;
}

/*
 * Helpers do not take skb->sk, so its cookie is what was asked for before: a poll, or the
 * program that follows its states.
 */
static __always_inline int dropped_with(struct sk_buff *skb, u32 reason)
{
	struct sock *sk = skb->sk;

	if (!sk)
		return dropped(skb, NULL, 0, true, reason);
	return dropped(skb, sk, sk->__sk_common.skc_cookie.counter, false, reason);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop_rx, struct sk_buff *skb, void *location, u32 reason, struct sock *rx_sk)
{
	if (!rx_sk || is_null(ctx, 3)) /* Linux 6.11 */
		return dropped_with(skb, reason);
	return dropped(skb, rx_sk, bpf_get_socket_cookie(rx_sk), true, reason);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop_reason, struct sk_buff *skb, void *location, u32 reason) /* Linux 5.17 */
{
	return dropped_with(skb, reason);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop, struct sk_buff *skb, void *location)
{
	return dropped_with(skb, NOT_SPECIFIED);
}

/* --- resets and errors --- */

static __always_inline int reset_sent(void *ctx, struct sock *sk, struct sk_buff *skb, u32 reason)
{
	struct nt_ev_cpu *c = this_cpu();
	struct nt_event *e;
	u32 netns = 0;

	if (sk && !is_null(ctx, 0))
		netns = nt_netns_of(sk);
	else if (skb && !is_null(ctx, 1))
		netns = netns_of(skb);
	if (!c || !is_wanted(netns))
		return 0;
	e = begin(c, NT_EV_RESET_SENT, bpf_ktime_get_ns(), sizeof(*e));
	if (sk && !is_null(ctx, 0) && is_full(sk->__sk_common.skc_state)) {
		struct nt_ev_sock *s = bpf_sk_storage_get(&sockets, sk, 0, 0);

		if (s)
			s->flags |= NT_EVF_RESET_OUT;
		if (e)
			put_owner(e, s);
	}
	if (!e)
		return 0;
	if (sk && !is_null(ctx, 0)) {
		put_socket(e, sk, bpf_get_socket_cookie(sk));
	} else if (skb && !is_null(ctx, 1)) {
		e->netns = netns;
		e->flags |= NT_EVF_FROM_PACKET;
		put_packet(e, skb, false); /* that it answers */
	}
	e->reason = reason;
	end(e);
	return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent_reason, struct sock *sk, struct sk_buff *skb, u32 reason) /* Linux 6.10 */
{
	return reset_sent(ctx, sk, skb, reason);
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent_plain, struct sock *sk, struct sk_buff *skb)
{
	return reset_sent(ctx, sk, skb, 0);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset_received, struct sock *sk)
{
	struct nt_ev_sock *s = bpf_sk_storage_get(&sockets, sk, 0, 0);
	struct nt_ev_cpu *c = this_cpu();
	struct nt_event *e;

	if (!c || !is_here(sk))
		return 0;
	if (s)
		s->flags |= NT_EVF_RESET_IN;
	e = begin(c, NT_EV_RESET_RECEIVED, bpf_ktime_get_ns(), sizeof(*e));
	if (!e)
		return 0;
	put_socket(e, sk, bpf_get_socket_cookie(sk));
	put_tcp(e, sk);
	put_owner(e, s);
	end(e);
	return 0;
}

SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(error_report, struct sock *sk)
{
	int err = sk->sk_err;
	struct nt_ev_cpu *c;
	struct nt_event *e;

	if (!err) /* something in the error queue, a stamp perhaps */
		return 0;
	c = this_cpu();
	if (!c || !is_here(sk))
		return 0;
	e = begin(c, NT_EV_ERROR, bpf_ktime_get_ns(), sizeof(*e));
	if (!e)
		return 0;
	put_socket(e, sk, bpf_get_socket_cookie(sk));
	if (e->proto == NT_IPPROTO_TCP)
		put_owner(e, bpf_sk_storage_get(&sockets, sk, 0, 0));
	e->err = err;
	end(e);
	return 0;
}

/* --- states, and the end --- */

SEC("tp_btf/tcp_cong_state_set")
int BPF_PROG(cong_state, struct sock *sk, u8 to)
{
	struct inet_connection_sock *icsk = (void *)sk;
	u8 from = BPF_CORE_READ_BITFIELD_PROBED(icsk, icsk_ca_state);
	struct nt_ev_cpu *c;
	struct nt_event *e;

	/* A socket that is closed begins anew for its next connection (tcp_disconnect). */
	if (from == to || sk->__sk_common.skc_state == NT_TCP_CLOSE)
		return 0;
	c = this_cpu();
	if (!c || !is_here(sk))
		return 0;
	e = begin(c, NT_EV_CONG, bpf_ktime_get_ns(), sizeof(*e));
	if (!e)
		return 0;
	put_socket(e, sk, bpf_get_socket_cookie(sk));
	put_tcp(e, sk);
	put_owner(e, bpf_sk_storage_get(&sockets, sk, 0, 0));
	e->new_ca_state = to;
	end(e);
	return 0;
}

static __always_inline void closed(struct nt_ev_cpu *c, struct sock *sk, struct nt_ev_sock *s,
				   u64 cookie, u64 now)
{
	struct nt_closed *d = begin(c, NT_EV_CLOSED, now, sizeof(*d));
	struct tcp_sock *tp;

	if (!d)
		return;
	put_socket(&d->ev, sk, cookie);
	put_tcp(&d->ev, sk);
	put_owner(&d->ev, s);
	d->ev.new_state = NT_TCP_CLOSE;
	d->ev.err = sk->sk_err;
	if (s)
		d->born_ns = s->born_ns;
	/* Without an error only this side can end it so: it is about to send a reset. */
	if ((d->ev.state == NT_TCP_ESTABLISHED || d->ev.state == NT_TCP_CLOSE_WAIT) && !d->ev.err &&
	    !(d->ev.flags & NT_EVF_RESET_IN))
		d->ev.flags |= NT_EVF_RESET_OUT;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp && d->ev.state != NT_TCP_LISTEN)
		put_last(d, sk, tp);
	put_times(d, sk);
	end(d);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, struct sock *sk, int from, int to)
{
	u64 now = bpf_ktime_get_ns();
	struct nt_ev_sock *s;
	struct nt_ev_cpu *c;
	struct nt_event *e;

	if (from == to || sk->sk_protocol != NT_IPPROTO_TCP || !is_inet(sk->__sk_common.skc_family))
		return 0;
	c = this_cpu();
	if (!c || !is_here(sk))
		return 0;
	s = bpf_sk_storage_get(&sockets, sk, 0,
			       to == NT_TCP_CLOSE ? 0 : BPF_SK_STORAGE_GET_F_CREATE);
	if (s) {
		bool accepted = from == NT_TCP_LISTEN && to == NT_TCP_SYN_RECV;
		struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

		if (tp)
			s->total_retrans = to == NT_TCP_SYN_SENT ? 0 : tp->total_retrans;
		if (to == NT_TCP_SYN_SENT || to == NT_TCP_LISTEN || accepted) {
			s->born_ns = now;
			s->flags = accepted ? NT_EVF_PASSIVE : 0;
		}
		if (to == NT_TCP_FIN_WAIT1)
			s->flags |= NT_EVF_FIN_FIRST;
		else if (to == NT_TCP_CLOSE_WAIT)
			s->flags |= NT_EVF_FIN_BY_PEER;
		note_owner(s, sk);
	} else if (to != NT_TCP_CLOSE) {
		__sync_fetch_and_add(&c->no_storage, 1);
	}
	/* A connection that is being made has neither its addresses nor its cookie yet. */
	if (from == NT_TCP_LISTEN && to != NT_TCP_CLOSE)
		return 0;
	u64 cookie = bpf_get_socket_cookie(sk);

	if (to == NT_TCP_CLOSE) {
		closed(c, sk, s, cookie, now);
		return 0;
	}
	e = begin(c, NT_EV_STATE, now, sizeof(*e));
	if (!e)
		return 0;
	put_socket(e, sk, cookie);
	put_owner(e, s);
	e->state = from;
	e->new_state = to;
	end(e);
	return 0;
}
