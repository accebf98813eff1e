// SPDX-License-Identifier: GPL-2.0
/*
 * Where TCP sends spend their time, through the kernel's BPF timestamping (Linux 6.15).
 *
 * A sockops program at the root cgroup sees every send on a socket whose SK_BPF_CB_FLAGS
 * has the TX bit, and asks for the stamps of one in N. It shares that hook with others: it
 * always returns 1, never writes a reply, and leaves at once for what it does not use.
 */
#include "nt_core.h"
#include "nt_hist.bpf.h"
#include "nt_room.bpf.h"
#include "nt_stages.h"

char LICENSE[] SEC("license") = "GPL";

enum { SOL_SOCKET = 1, SK_BPF_CB_FLAGS = 1009, SK_BPF_CB_TX = 1 };
enum { OP_PASSIVE_ESTABLISHED = 5, OP_ACTIVE_ESTABLISHED = 4 };
enum { OP_SCHED = 16, OP_SND_SW = 17, OP_SND_HW = 18, OP_ACK = 19, OP_SENDMSG = 20 };
/* SOF_TIMESTAMPING_TX_{HARDWARE,SOFTWARE,SCHED,ACK,COMPLETION} */
#define TS_RECORD 0x40303U
/* SKBTX_HW_TSTAMP_NOBPF, SKBTX_SW_TSTAMP, SKBTX_SCHED_TSTAMP; SKBTX_BPF */
#define SKB_OWN 0x43U
#define SKB_BPF 0x80U
#define ACK_OWN 1U /* TSTAMP_ACK_SK */
enum { NT_MSG_DONTWAIT = 0x40 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct skb_shared_hwtstamps {
	s64 hwtstamp;
};

struct skb_shared_info {
	u8 tx_flags;
	unsigned short gso_size, gso_segs;
	struct skb_shared_hwtstamps hwtstamps;
	u32 tskey;
};

struct bpf_sock_ops_kern {
	struct sock *sk;
	struct sk_buff *skb;
};

struct tcp_skb_cb {
	u8 txstamp_ack : 2;
};

struct tcp_sock___clock {
	u64 tcp_clock_cache; /* CLOCK_MONOTONIC, read for each segment that arrives */
};

struct iov_iter {
	unsigned long count;
};

struct msghdr {
	struct iov_iter msg_iter;
	unsigned int msg_flags;
};
#pragma clang attribute pop

/* Weak: without them the programs that need them are left out. */
extern int bpf_sock_ops_enable_tx_tstamp(struct bpf_sock_ops_kern *skops, u64 flags) __ksym __weak;
extern void *bpf_cast_to_kern_ctx(void *) __ksym __weak;
extern void *bpf_rdonly_cast(const void *, u32)
__ksym __weak;

/* The kernel stamps TCP sends; else tracepoints follow its segments. Set before loading. */
const volatile bool by_stamps = true;
/* With its calls: stages_copy is loaded. */
const volatile bool sees_calls;

/* Small, on every selected socket; the record comes with the first stamped send. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nt_tx_mark);
} marks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nt_tx_sock);
} sockets SEC(".maps");

/* Network namespaces whose new sockets are to be switched on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NT_TX_SPACES);
	__type(key, u32);
	__type(value, u8);
} spaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, NT_TX_PENDING);
	__type(key, struct nt_tx_key);
	__type(value, struct nt_tx_pending);
} spill SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NT_TX_WANTED);
	__type(key, u64);
	__type(value, u8);
} wanted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NT_TX_FINE);
	__type(key, u64);
	__type(value, struct nt_tx_fine);
} fine SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NT_PARTS);
	__type(key, u32);
	__type(value, struct nt_tx_cpu);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct nt_tx_counts);
} counts SEC(".maps");

/* Set by the helper while the programs run. */
volatile __u32 epoch = 1;
volatile __u32 every = 1;   /* stamp one send in so many */
volatile __u32 refined;	    /* sockets with fine buckets */
volatile __u32 everything;  /* all sockets, not the wanted ones */
volatile __u32 clear_every; /* the walk clears every flag, whoever set it */
/* What the last walk did. */
__u32 walk_set, walk_cleared, walk_foreign, walk_failed, walk_udp;

static __always_inline struct nt_tx_counts *this_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&counts, &zero);
}

/* 1 in N: this one? */
static __always_inline bool chosen(const struct nt_tx_mark *m)
{
	u32 n = every;

	return n <= 1 || (m->sends + 1) % n == 0;
}

/*
 * Time of one stage. Stamps of two CPUs may have crossed while a place was taken again. A global
 * function: verified once, not for each stage.
 */
__attribute__((noinline)) int nt_tx_put(struct nt_tx_rec *r, struct nt_tx_fine *f, u32 part,
					u64 from, u64 to)
{
	if (!r || part >= NT_PARTS || to < from)
		return 0;
	u64 ns = to - from;
	u32 now = epoch, slot = now & 1, lg = nt_log2(ns), octave = nt_octave(lg);
	u32 bucket = nt_fine(ns, lg);

	if (bucket >= NT_FINE || octave >= NT_OCTAVES)
		return 0;
	struct nt_tx_stage *t = &r->stages[part];

	t->octaves[octave]++;
	t->count++;
	t->sum_ns += ns;
	if (ns > t->max_ns[slot])
		t->max_ns[slot] = ns;
	if (f)
		f->buckets[part][bucket]++;
	struct nt_tx_cpu *c = bpf_map_lookup_elem(&totals, &part);

	if (!c)
		return 0;
	c->sum_ns += ns;
	c->buckets[bucket]++;
	if (c->epoch[slot] != now) {
		c->epoch[slot] = now;
		c->max_ns[slot] = 0;
	}
	if (ns > c->max_ns[slot])
		c->max_ns[slot] = ns;
	return 0;
}

/* All stages of a send, from its call (0: not known) to its ACK. A global function too. */
__attribute__((noinline)) int nt_tx_put_all(struct nt_tx_rec *r, struct nt_tx_fine *f,
					    const struct nt_tx_pending *p, u64 acked_ns)
{
	if (!r || !p)
		return 0;
	if (p->call_ns) {
		nt_tx_put(r, f, NT_PART_COPY, p->call_ns + p->sndbuf_ns, p->copied_ns);
		if (p->sndbuf_ns)
			nt_tx_put(r, f, NT_PART_SNDBUF, 0, p->sndbuf_ns);
	}
	if (p->sched_ns && !(p->dropped & NT_TX_DROPPED_TCP))
		nt_tx_put(r, f, NT_PART_TCP, p->copied_ns, p->sched_ns);
	if (p->sched_ns && p->first_ns && !(p->dropped & NT_TX_DROPPED_QDISC))
		nt_tx_put(r, f, NT_PART_QDISC, p->sched_ns, p->first_ns);
	if (p->last_ns)
		nt_tx_put(r, f, NT_PART_ACK, p->last_ns, acked_ns);
	nt_tx_put(r, f, NT_PART_TOTAL, p->call_ns ? p->call_ns : p->copied_ns, acked_ns);
	return 0;
}

static __always_inline struct nt_tx_pending *find(struct nt_tx_sock *s, u32 tskey)
{
#pragma unroll
	for (u32 i = 0; i < NT_TX_RING; i++)
		if (s->ring[i].tskey == tskey && s->ring[i].copied_ns)
			return &s->ring[i];
	if (!s->spilled)
		return 0;
	struct nt_tx_key key = { .cookie = s->rec.cookie, .tskey = tskey };

	return bpf_map_lookup_elem(&spill, &key);
}

/* True if there was one. */
static __always_inline bool forget(struct nt_tx_sock *s, u32 tskey)
{
#pragma unroll
	for (u32 i = 0; i < NT_TX_RING; i++)
		if (s->ring[i].tskey == tskey && s->ring[i].copied_ns) {
			s->ring[i].copied_ns = 0;
			return true;
		}
	if (!s->spilled)
		return false;
	struct nt_tx_key key = { .cookie = s->rec.cookie, .tskey = tskey };

	if (bpf_map_delete_elem(&spill, &key))
		return false;
	s->spilled--;
	return true;
}

static __always_inline bool remember(struct nt_tx_sock *s, const struct nt_tx_pending *p)
{
	/* Not always the first: a NIC may report a send whose place is free already. */
#pragma unroll
	for (u32 i = 0; i < NT_TX_RING; i++) {
		u32 at = (p->nth + i) % NT_TX_RING;

		if (!s->ring[at].copied_ns) {
			s->ring[at] = *p;
			return true;
		}
	}
	struct nt_tx_key key = { .cookie = s->rec.cookie, .tskey = p->tskey };

	if (bpf_map_update_elem(&spill, &key, p, BPF_ANY))
		return false;
	s->spilled++;
	return true;
}

/* Before the other programs: what may be refused comes first, as it ends the load. */
#include "nt_stages_iter.bpf.h"
#include "nt_stages_call.bpf.h"

/* The socket's record, made if it has none; handle: what the storage helpers take for sk. */
static __always_inline struct nt_tx_sock *
record_of(void *handle, struct sock *sk, const struct nt_tx_mark *m, struct nt_tx_counts *c)
{
	struct nt_tx_sock *s = bpf_sk_storage_get(&sockets, handle, 0, 0);

	if (s)
		return s;
	if (nt_has_room(sk, sizeof(*m) + sizeof(*s)))
		s = bpf_sk_storage_get(&sockets, handle, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		__sync_fetch_and_add(&c->no_storage, 1);
		return 0;
	}
	s->rec.cookie = m->cookie;
	s->rec.born_ns = bpf_ktime_get_ns();
	return s;
}

static __always_inline void touch(struct nt_tx_rec *r)
{
	u32 now = epoch, slot = now & 1;

	r->touched = now;
	if (r->epoch[slot] != now) {
		r->epoch[slot] = now;
		for (u32 i = 0; i < NT_PARTS; i++)
			r->stages[i].max_ns[slot] = 0;
	}
}

static __always_inline struct nt_tx_fine *fine_of(u64 cookie)
{
	return refined ? bpf_map_lookup_elem(&fine, &cookie) : 0;
}

/* To read from only: what it points to is then no trusted pointer (see nt_netns_of). */
static __always_inline struct bpf_sock_ops_kern *readable(struct bpf_sock_ops *ops)
{
	return bpf_rdonly_cast(bpf_cast_to_kern_ctx(ops),
			       bpf_core_type_id_kernel(struct bpf_sock_ops_kern));
}

static __always_inline void sent(struct bpf_sock_ops *ops, struct bpf_sock *sk,
				 struct nt_tx_mark *m, struct nt_tx_counts *c)
{
	struct bpf_sock_ops_kern *k = readable(ops);
	struct nt_tx_pending p = { .call_ns = m->call_ns, .sndbuf_ns = m->sndbuf_ns };

	m->call_ns = m->sndbuf_ns = 0;
	if (!is_stamped(m))
		return;
	struct sk_buff *skb = k->skb;
	struct skb_shared_info *info = bpf_rdonly_cast(
		skb->head + skb->end, bpf_core_type_id_kernel(struct skb_shared_info));
	struct tcp_skb_cb *cb = bpf_rdonly_cast(&skb->cb[0],
						bpf_core_type_id_kernel(struct tcp_skb_cb));
	u8 asked = info->tx_flags;

	if (k->sk->sk_tsflags & TS_RECORD || asked & SKB_OWN ||
	    BPF_CORE_READ_BITFIELD(cb, txstamp_ack) & ACK_OWN) {
		/* The program's own keys must stay what they are. */
		__sync_fetch_and_add(&c->own_stamps, 1);
		return;
	}
	struct nt_tx_sock *s = record_of(sk, k->sk, m, c);

	if (!s)
		return;
	if (asked & SKB_BPF && forget(s, info->tskey)) {
		s->rec.merged++;
		__sync_fetch_and_add(&c->merged, 1);
	}
	if (bpf_sock_ops_enable_tx_tstamp(bpf_cast_to_kern_ctx(ops), 0))
		return;
	p.nth = ++s->rec.sampled;
	p.merged = s->rec.merged;
	p.tskey = info->tskey;
	p.copied_ns = bpf_ktime_get_ns();
	s->rec.touched = epoch;
	__sync_fetch_and_add(&c->sampled, 1);
	if (!remember(s, &p))
		__sync_fetch_and_add(&c->full, 1);
}

/* ACKs come in order: stamped sends before this one that are still open get none any more. */
static __always_inline u32 give_up(struct nt_tx_sock *s, u32 nth, u32 merged)
{
	u32 gone = nth - 1 - merged - s->rec.done - s->rec.lost;

	if ((s32)gone <= 0)
		return 0;
#pragma unroll
	for (u32 i = 0; i < NT_TX_RING; i++)
		if (s->ring[i].copied_ns && (s32)(s->ring[i].nth - nth) < 0)
			s->ring[i].copied_ns = 0;
	s->rec.lost += gone;
	return gone;
}

/* When the segment came whose ACK is looked at; TCP has read the clock for it. */
static __always_inline u64 acked_at(struct sock *sk, u64 left_ns)
{
	u64 at_ns = 0;

	if (bpf_core_field_exists(((struct tcp_sock___clock *)0)->tcp_clock_cache)) {
		struct tcp_sock___clock *tp =
			bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock___clock));

		at_ns = tp->tcp_clock_cache;
	}
	return at_ns > left_ns ? at_ns : bpf_ktime_get_ns();
}

static __always_inline void acknowledged(struct nt_tx_sock *s, struct sock *sk, u32 tskey,
					 struct nt_tx_counts *c)
{
	struct nt_tx_pending *p = find(s, tskey);
	struct nt_tx_rec *r = &s->rec;

	if (!p)
		return;
	touch(r);
	nt_tx_put_all(r, fine_of(r->cookie), p, acked_at(sk, p->last_ns));
	if (p->departures > 1) {
		r->resent += p->departures - 1;
		__sync_fetch_and_add(&c->resent, p->departures - 1);
	}
	u32 gone = give_up(s, p->nth, p->merged);

	if (gone)
		__sync_fetch_and_add(&c->lost, gone);
	r->done++;
	__sync_fetch_and_add(&c->done, 1);
	if (s->spilled)
		forget(s, tskey);
	else
		p->copied_ns = 0;
	if (r->sampled == r->done + r->merged + r->lost)
		s->spilled = 0;
}

#include "nt_stages_nic.bpf.h"

/* Read, change our bit, write. 1: set now, 2: it was set before, 0: neither. */
static __always_inline int switch_on(void *sk)
{
	int flags = 0;

	if (bpf_getsockopt(sk, SOL_SOCKET, SK_BPF_CB_FLAGS, &flags, sizeof(flags)))
		return 0;
	if (flags & SK_BPF_CB_TX)
		return NT_TX_FOREIGN;
	flags |= SK_BPF_CB_TX;
	if (bpf_setsockopt(sk, SOL_SOCKET, SK_BPF_CB_FLAGS, &flags, sizeof(flags)))
		return 0;
	return NT_TX_OURS;
}

/* A connection that is new while all are sampled. */
static __always_inline void opened(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	u32 space = nt_netns_of(readable(ops)->sk);

	if (!everything || !bpf_map_lookup_elem(&spaces, &space))
		return;
	struct nt_tx_mark *m = bpf_sk_storage_get(&marks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (m && !m->cookie) {
		m->cookie = bpf_get_socket_cookie(ops);
		m->flags = switch_on(ops);
	}
}

SEC("sockops")
int stages_ops(struct bpf_sock_ops *ops)
{
	u32 op = ops->op;
	struct bpf_sock *sk;

	if (op < OP_SCHED || op > OP_SENDMSG) {
		if (op != OP_ACTIVE_ESTABLISHED && op != OP_PASSIVE_ESTABLISHED)
			return 1;
		sk = ops->sk;
		if (sk)
			opened(ops, sk);
		return 1;
	}
	sk = ops->sk;
	if (!sk)
		return 1;
	struct nt_tx_counts *c = this_cpu();

	if (!c)
		return 1;
	c->runs++;
	if (op == OP_SENDMSG) {
		struct nt_tx_mark *m = bpf_sk_storage_get(&marks, sk, 0, 0);

		if (m)
			sent(ops, sk, m, c);
		return 1;
	}
	struct nt_tx_sock *s = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (!s)
		return 1;
	struct bpf_sock_ops_kern *k = readable(ops);
	struct sk_buff *skb = k->skb;
	struct skb_shared_info *info = bpf_rdonly_cast(
		skb->head + skb->end, bpf_core_type_id_kernel(struct skb_shared_info));
	u32 tskey = info->tskey;

	if (op == OP_ACK) {
		acknowledged(s, k->sk, tskey, c);
		return 1;
	}
	if (op == OP_SND_HW) {
		stamped_by_nic(s, skb, info, c);
		return 1;
	}
	struct nt_tx_pending *p = find(s, tskey);

	if (!p)
		return 1;
	u64 now = bpf_ktime_get_ns();

	if (op == OP_SCHED && !p->sched_ns)
		p->sched_ns = now;
	if (op == OP_SND_SW) {
		if (!p->first_ns)
			p->first_ns = now;
		p->last_ns = now;
		p->departures++;
	}
	return 1;
}

static __always_inline void not_sent(struct nt_tx_pending *p)
{
	if (!p->sched_ns)
		p->dropped |= NT_TX_DROPPED_TCP;
	else if (!p->first_ns)
		p->dropped |= NT_TX_DROPPED_QDISC;
}

/* Puts the selection in force: sets the flag where it is wanted, clears it where it was ours. */
SEC("iter/tcp")
int stages_walk(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;

	if (!skc || skc->skc_state == NT_TCP_TIME_WAIT || skc->skc_state == NT_TCP_NEW_SYN_RECV)
		return 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(skc);

	if (!tp)
		return 0;
	if (by_stamps && clear_every) {
		int flags = 0;

		if (bpf_getsockopt(skc, SOL_SOCKET, SK_BPF_CB_FLAGS, &flags, sizeof(flags)) ||
		    !(flags & SK_BPF_CB_TX))
			return 0;
		flags &= ~SK_BPF_CB_TX;
		if (bpf_setsockopt(skc, SOL_SOCKET, SK_BPF_CB_FLAGS, &flags, sizeof(flags)))
			walk_failed++;
		else
			walk_cleared++;
		return 0;
	}
	if (skc->skc_state == NT_TCP_LISTEN)
		return 0;
	u64 cookie = bpf_get_socket_cookie(tp);
	bool want = everything || bpf_map_lookup_elem(&wanted, &cookie);
	struct nt_tx_mark *m = bpf_sk_storage_get(&marks, tp, 0, 0);

	if (want && !m) {
		m = bpf_sk_storage_get(&marks, tp, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!m) {
			walk_failed++;
			return 0;
		}
		m->cookie = cookie;
		if (!by_stamps)
			return 0;
		m->flags = switch_on(skc);
		walk_set += m->flags == NT_TX_OURS;
		walk_foreign += m->flags == NT_TX_FOREIGN;
		if (!m->flags) {
			walk_failed++;
			bpf_sk_storage_delete(&marks, tp);
		}
	} else if (!want && m) {
		int flags = 0;

		if (by_stamps && m->flags & NT_TX_OURS &&
		    !bpf_getsockopt(skc, SOL_SOCKET, SK_BPF_CB_FLAGS, &flags, sizeof(flags))) {
			flags &= ~SK_BPF_CB_TX;
			if (bpf_setsockopt(skc, SOL_SOCKET, SK_BPF_CB_FLAGS, &flags, sizeof(flags)))
				walk_failed++;
			else
				walk_cleared++;
		}
		bpf_sk_storage_delete(&marks, tp);
		bpf_sk_storage_delete(&sockets, tp);
	}
	return 0;
}

#include "nt_stages_path.bpf.h"
