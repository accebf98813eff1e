/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The part of stages.bpf.c that follows datagrams, from the first device queue to the last driver.
 *
 * A send is known by its buffer's address from net_dev_queue on. The driver of a stacked device
 * queues it once more, it or a copy, on the same CPU before its net_dev_xmit; else it has left by
 * then. That is known when the buffer may be gone, so records are found by cookie.
 *
 * Of a send in segments (UDP_SEGMENT) a driver may get new buffers, a segment in each: they come in
 * the order of the queue, and the last one is the departure. A queue may split it (tbf, cake): its
 * address is then free to be that of another buffer while its segments wait. Where IPv4 numbers the
 * segments, those that were not seen to leave disturb the order for no longer than that send.
 */
#ifndef NT_STAGES_UDP_BPF_H
#define NT_STAGES_UDP_BPF_H

#define A_SEGMENT 1ULL				   /* in the place of an address */
#define NO_ID 0x10000				   /* IPv6 numbers no segments */
#define OVER_NS 1000000000			   /* so long no queue that is empty keeps a send */
enum { NOT_TAKEN = 0x10, NO_MAC_HEADER = 0xffff }; /* NETDEV_TX_BUSY: it stays in the queue */

struct flight {
	u64 queued_ns;
	u64 left_ns; /* given to a driver; 0: in a queue */
	u64 cookie;
	u32 segments; /* 0: it has none */
	u32 place;    /* with segments: its place in struct nt_tx_datagrams */
	u32 sampled;
	u32 is_segment; /* of a send, given by a device to the one below */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, NT_TX_PENDING);
	__type(key, u64); /* the buffer's address */
	__type(value, struct flight);
} flights SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, NT_TX_WANTED);
	__type(key, u64); /* the cookie */
	__type(value, struct nt_tx_datagrams);
} datagrams SEC(".maps");

/* What this CPU gives to a driver. */
struct giving {
	u64 key; /* a buffer's address, A_SEGMENT, or 0 */
	u64 cookie;
	u64 at_ns; /* a segment */
	u32 ip_id;
	u32 until; /* its send's place */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct giving);
} givings SEC(".maps");

static __always_inline struct giving *giving_here(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&givings, &zero);
}

static __always_inline u32 ip_id(const struct sk_buff *skb)
{
	u16 id = 0;

	if (skb->protocol != __builtin_bswap16(0x0800))
		return NO_ID;
	bpf_probe_read_kernel(&id, sizeof(id), skb->head + skb->network_header + 4);
	return __builtin_bswap16(id);
}

static __always_inline struct nt_tx_datagrams *datagrams_of(u64 cookie, struct nt_tx_counts *c)
{
	static const struct nt_tx_datagrams nothing;
	struct nt_tx_datagrams *d = bpf_map_lookup_elem(&datagrams, &cookie);

	if (d)
		return d;
	bpf_map_update_elem(&datagrams, &cookie, &nothing, BPF_NOEXIST);
	d = bpf_map_lookup_elem(&datagrams, &cookie);
	if (!d) {
		__sync_fetch_and_add(&c->no_storage, 1);
		return 0;
	}
	d->rec.cookie = cookie;
	d->rec.born_ns = bpf_ktime_get_ns();
	return d;
}

/* Over sends that are no longer waited for. */
static __always_inline void advance(struct nt_tx_datagrams *d)
{
#pragma unroll
	for (u32 i = 0; i < 8; i++) {
		if (d->first == d->next || d->whole[d->first % NT_TX_SEGMENTED])
			break;
		d->first++;
	}
}

/* Nothing of the send at a place is waited for any more, but for what had none behind it. */
static __always_inline void leave_place(struct nt_tx_datagrams *d, u32 at)
{
	u32 behind = d->skip[at % NT_TX_SEGMENTED];

	d->skip[at % NT_TX_SEGMENTED] = 0;
	d->left[at % NT_TX_SEGMENTED] = behind;
	d->whole[at % NT_TX_SEGMENTED] = behind ? A_SEGMENT : 0;
}

/* Its place is given up: it has left at to, or (0) its departure was not seen. */
static __always_inline void settle(u64 key, struct flight *f, u64 to, struct nt_tx_counts *c)
{
	u64 cookie = f->cookie;
	struct nt_tx_datagrams *d = bpf_map_lookup_elem(&datagrams, &cookie);

	if (d && f->segments && d->whole[f->place % NT_TX_SEGMENTED] == key)
		leave_place(d, f->place);
	if (d && f->sampled) {
		touch(&d->rec);
		if (to) {
			nt_tx_put(&d->rec, fine_of(cookie), NT_PART_QDISC, f->queued_ns, to);
			__sync_fetch_and_add(&d->rec.done, 1);
			__sync_fetch_and_add(&c->done, 1);
		} else {
			__sync_fetch_and_add(&d->rec.lost, 1);
			__sync_fetch_and_add(&c->lost, 1);
		}
	}
	bpf_map_delete_elem(&flights, &key);
}

/* A departure that was not seen, as a global function: verified once, not in each turn of a loop. */
__attribute__((noinline)) int nt_tx_unseen(u64 key, struct flight *f, struct nt_tx_counts *c)
{
	if (f && c)
		settle(key, f, 0, c);
	return 0;
}

/* The same send by another key. */
static __always_inline void rekey(u64 was, struct flight *f, u64 key)
{
	struct flight same = *f;
	u64 cookie = same.cookie;

	if (same.segments) {
		struct nt_tx_datagrams *d = bpf_map_lookup_elem(&datagrams, &cookie);

		if (d && d->whole[same.place % NT_TX_SEGMENTED] == was)
			d->whole[same.place % NT_TX_SEGMENTED] = key;
	}
	bpf_map_delete_elem(&flights, &was);
	bpf_map_update_elem(&flights, &key, &same, BPF_ANY);
}

/* It was split: from now on its place is its key, which is no address. */
static __always_inline void free_address(u64 was, struct flight *f)
{
	rekey(was, f, f->cookie << 8 | f->place % NT_TX_SEGMENTED);
}

/* The send that is known by a buffer's address; 0: none, or that buffer is a segment of one. */
static __always_inline struct flight *flight_at(u64 key, bool is_whole)
{
	struct flight *f = bpf_map_lookup_elem(&flights, &key);

	if (!f)
		return 0;
	if (f->is_segment) {
		bpf_map_delete_elem(&flights, &key);
		return 0;
	}
	if (!f->segments || is_whole)
		return f;
	free_address(key, f);
	return 0;
}

/* A driver gives what it got to the device below: the send is in a queue again. */
static __always_inline void passed_down(struct giving *g, u64 key)
{
	u64 was = g->key;
	struct flight *f = bpf_map_lookup_elem(&flights, &was);

	if (was == A_SEGMENT) {
		struct flight segment = { .cookie = g->cookie, .is_segment = 1 };

		bpf_map_update_elem(&flights, &key, &segment, BPF_ANY);
	} else if (f) {
		f->left_ns = 0;
		if (key != was)
			rekey(was, f, key);
	}
	g->key = 0;
}

/* The send at a place has ended, where that was not seen. */
static __always_inline void end_unseen(struct nt_tx_datagrams *d, u32 at, struct nt_tx_counts *c)
{
	u64 key = d->whole[at % NT_TX_SEGMENTED];
	struct flight *f = bpf_map_lookup_elem(&flights, &key);

	d->skip[at % NT_TX_SEGMENTED] = 0;
	if (f && f->cookie == d->rec.cookie)
		nt_tx_unseen(key, f, c);
	d->whole[at % NT_TX_SEGMENTED] = 0;
}

/*
 * The socket has nothing under way but this: what is still waited for has left, or was dropped,
 * where that was not seen. What was not split is waited for a while longer: netem keeps it on no
 * socket's account.
 */
static __always_inline void give_up_places(struct nt_tx_datagrams *d, const struct sk_buff *skb,
					   struct nt_tx_counts *c)
{
	u64 now = bpf_ktime_get_ns();
	u32 first = d->first;

	if (BPF_CORE_READ(skb, sk, sk_wmem_alloc.refs.counter) - 1 > (int)skb->truesize)
		return;
#pragma unroll
	for (u32 i = 0; i < 8; i++) {
		u32 at = (first + i) % NT_TX_SEGMENTED;
		u64 key = d->whole[at];

		if (first + i == d->next)
			break;
		if (!key)
			continue;
		struct flight *f = bpf_map_lookup_elem(&flights, &key);

		if (f && key >> 63 && now - f->queued_ns < OVER_NS)
			break;
		end_unseen(d, at, c);
	}
}

static __always_inline void queued_datagram(struct sk_buff *skb, struct nt_tx_mark *m,
					    struct nt_tx_counts *c)
{
	const struct skb_shared_info *info = (const void *)(skb->head + BPF_CORE_READ(skb, end));
	struct giving *g = giving_here();
	u64 key = (u64)skb;

	if (!g)
		return;
	if (g->key && g->cookie == m->cookie) {
		passed_down(g, key);
		return;
	}
	struct flight f = { .cookie = m->cookie, .sampled = chosen(m) };

	m->sends++;
	if (BPF_CORE_READ(info, gso_size))
		f.segments = BPF_CORE_READ(info, gso_segs);
	if (f.segments)
		m->flags |= NT_TX_SEGMENTS;
	/* Beside sends in segments all are followed, to know which is which. */
	if (!f.sampled && !(m->flags & NT_TX_SEGMENTS))
		return;
	struct nt_tx_datagrams *d = datagrams_of(m->cookie, c);
	struct flight *old = bpf_map_lookup_elem(&flights, &key);

	if (!d)
		return;
	if (old && old->segments && !old->left_ns)
		free_address(key, old);
	else if (old) /* a buffer of before, whose end another CPU is about to see, or was not seen */
		settle(key, old, old->left_ns, c);
	if (f.segments) {
		if (d->first != d->next)
			give_up_places(d, skb, c);
		advance(d);
		if (d->next - d->first >= NT_TX_SEGMENTED) {
			d->skip[(d->next - 1) % NT_TX_SEGMENTED] += f.segments;
			__sync_fetch_and_add(&c->full, 1);
			return;
		}
		u32 at = d->next % NT_TX_SEGMENTED;

		f.place = at;
		d->left[at] = f.segments;
		d->kept[at] = (u16)f.segments;
		d->ip_id[at] = (u16)ip_id(skb);
		d->whole[at] = key;
		d->next++;
	}
	f.queued_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&flights, &key, &f, BPF_ANY)) {
		__sync_fetch_and_add(&c->full, 1);
		return;
	}
	if (!f.sampled)
		return;
	/* Threads may share the socket. */
	__sync_fetch_and_add(&d->rec.sampled, 1);
	__sync_fetch_and_add(&c->sampled, 1);
	d->rec.touched = epoch;
}

/* One segment less of the send at a place; with the last one it is settled: left at to, or (0) lost. */
static __always_inline void segment_gone(struct nt_tx_datagrams *d, u32 at, u64 to,
					 struct nt_tx_counts *c)
{
	u64 key = d->whole[at % NT_TX_SEGMENTED];

	if (!key)
		return;
	if (d->left[at % NT_TX_SEGMENTED] > 1) {
		d->left[at % NT_TX_SEGMENTED]--;
		return;
	}
	struct flight *f = bpf_map_lookup_elem(&flights, &key);

	if (f && f->cookie == d->rec.cookie)
		settle(key, f, to, c);
	else
		leave_place(d, at);
}

static __always_inline void given_datagram(struct sk_buff *skb, const struct nt_tx_mark *m)
{
	const struct skb_shared_info *info = (const void *)(skb->head + BPF_CORE_READ(skb, end));
	u64 key = (u64)skb, now = bpf_ktime_get_ns(), cookie = m->cookie;
	bool is_whole = BPF_CORE_READ(info, gso_size);
	struct flight *f = flight_at(key, is_whole);
	struct giving *g = giving_here();

	if (!g)
		return;
	g->cookie = cookie;
	if (f && f->cookie == cookie) {
		f->left_ns = now;
		g->key = key;
		return;
	}
	if (is_whole || !(m->flags & NT_TX_SEGMENTS))
		return;
	g->key = A_SEGMENT; /* it is not a new send if it is queued again */
	g->at_ns = now;
	g->ip_id = ip_id(skb);
}

/*
 * The place of the send that a segment is of: the first, but where the segment's number shows that
 * others before it were not seen to leave.
 */
static __always_inline u32 place_of(struct nt_tx_datagrams *d, struct giving *g,
				    struct nt_tx_counts *c)
{
	u32 first = d->first, later = 0, id = g->ip_id;

	if (id == NO_ID)
		return first;
	for (; later < NT_TX_SEGMENTED; later++) {
		u32 at = (first + later) % NT_TX_SEGMENTED;
		u32 nth = (u16)(id - d->ip_id[at]), kept = d->kept[at];

		if (first + later == d->next || d->whole[at] == A_SEGMENT)
			return first;
		if (d->whole[at] && nth < kept && nth + d->left[at] >= kept) {
			d->left[at] = kept - nth;
			break;
		}
	}
	/*
	 * Read back from memory it is any number to the verifier, which would otherwise follow the
	 * second loop for each end of the first: two seconds of each start.
	 */
	*(volatile u32 *)&g->until = first + later;
	u32 until = *(volatile u32 *)&g->until;

	for (u32 i = 0; i < NT_TX_SEGMENTED && first + i != until; i++)
		end_unseen(d, first + i, c);
	d->first = until;
	return until;
}

/* A driver has a segment, which no device below was given: they leave in the order of the queue. */
static __always_inline void given_segment(struct giving *g, struct nt_tx_counts *c)
{
	u64 cookie = g->cookie;
	struct nt_tx_datagrams *d = bpf_map_lookup_elem(&datagrams, &cookie);

	if (!d || d->first == d->next)
		return;
	c->runs++;
	advance(d);
	segment_gone(d, place_of(d, g, c), g->at_ns, c);
}

/* The driver has it, and the buffer may be gone: its address alone is used. */
SEC("tp_btf/net_dev_xmit")
int BPF_PROG(stages_given, struct sk_buff *skb, int rc)
{
	struct giving *g = giving_here();
	struct nt_tx_counts *c = this_cpu();
	u64 key = (u64)skb;

	if (!g || !c)
		return 0;
	u64 was = g->key;

	g->key = 0;
	if (was == A_SEGMENT) {
		if (rc != NOT_TAKEN)
			given_segment(g, c);
		return 0;
	}
	struct flight *f = bpf_map_lookup_elem(&flights, &key);

	if (!f || !f->left_ns)
		return 0;
	c->runs++;
	if (rc == NOT_TAKEN)
		f->left_ns = 0;
	else
		settle(key, f, f->left_ns, c);
	return 0;
}

/* A queue drops what it was just given. */
static __always_inline void segment_dropped(struct nt_tx_datagrams *d, u32 at,
					    struct nt_tx_counts *c)
{
	if (d->kept[at % NT_TX_SEGMENTED])
		d->kept[at % NT_TX_SEGMENTED]--;
	segment_gone(d, at, 0, c);
}

static __always_inline void dropped_datagram(struct sk_buff *skb, u64 cookie,
					     struct nt_tx_counts *c)
{
	const struct skb_shared_info *info = (const void *)(skb->head + BPF_CORE_READ(skb, end));
	u64 key = (u64)skb;
	bool is_whole = BPF_CORE_READ(info, gso_size);

	if (skb->mac_header == (u16)NO_MAC_HEADER)
		return; /* by a firewall, before a queue had it: its address may be that of one before */
	struct flight *f = flight_at(key, is_whole);
	struct nt_tx_datagrams *d = bpf_map_lookup_elem(&datagrams, &cookie);

	if (f)
		settle(key, f, 0, c);
	else if (d && !is_whole && d->first != d->next)
		segment_dropped(d, d->next - 1, c);
}

/* What this host drops on its way out, a firewall or a queue. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(stages_drop, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	u32 protocol = sk && !skb->skb_iif ? ours(sk) : 0;

	if (!protocol)
		return 0;
	struct nt_tx_mark *m = bpf_sk_storage_get(&marks, sk, 0, 0);
	struct nt_tx_counts *c = this_cpu();

	if (!m || !c)
		return 0;
	c->runs++;
	if (protocol == NT_IPPROTO_UDP) {
		dropped_datagram(skb, m->cookie, c);
		return 0;
	}
	struct nt_tx_sock *s = bpf_sk_storage_get(&sockets, sk, 0, 0);

	if (s)
		dropped_segment(s, sk, skb);
	return 0;
}

#endif
