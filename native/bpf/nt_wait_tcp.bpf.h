/* SPDX-License-Identifier: GPL-2.0 */
/* TCP's deliveries: a ring of their times, whose entries merge when it is full. Part of wait.bpf.c. */
#ifndef NT_WAIT_TCP_BPF_H
#define NT_WAIT_TCP_BPF_H

/*
 * The ring is full: the neighbours closest in time become one, with the earlier time. Without
 * branches in the loops, whose every path the verifier would follow.
 */
static __always_inline void merge(struct nt_ws *s)
{
	u64 least = s->at_ns[(s->head + 1) % NT_RING] - s->at_ns[s->head % NT_RING];
	u32 best = 0;

	for (u32 i = 1; i + 1 < NT_RING; i++) {
		u32 a = (s->head + i) % NT_RING, b = (a + 1) % NT_RING;
		u64 more = s->at_ns[b] - s->at_ns[a] - least;
		u64 less = (u64)((s64)more >> 63); /* all ones if it is closer */

		barrier_var(less);
		least += more & less;
		best += (i - best) & (u32)less;
	}
	u32 a = (s->head + best) % NT_RING, b = (a + 1) % NT_RING;
	u32 early = s->merged[a] & NT_EARLY;
	u32 sum = (s->merged[a] & (NT_EARLY - 1)) + (s->merged[b] & (NT_EARLY - 1));
	/* What the older part of an entry is early by adds up with each merge. */
	u64 span_us = (least + 999) / 1000;

	if (sum > 2)
		span_us += s->span_us;
	if (span_us > s->span_us)
		s->span_us = span_us < 0xffffffffULL ? (u32)span_us : 0xffffffffU;
	s->seq[a] = s->seq[b];
	s->merged[a] = (u16)(early | (sum < NT_EARLY ? sum : NT_EARLY - 1));
	for (u32 i = 1; i + 1 < NT_RING; i++) {
		u32 behind = (best - i) >> 31; /* 1 if it follows them */

		barrier_var(behind);
		u32 to = (s->head + i) % NT_RING, from = (to + behind) % NT_RING;

		s->at_ns[to] = s->at_ns[from];
		s->seq[to] = s->seq[from];
		s->merged[to] = s->merged[from];
	}
	s->used = NT_RING - 1;
}

/* loose: end is of any segment that arrives, perhaps older than what was noted. */
static __always_inline void note_tcp(struct nt_ws *s, struct nt_wait_cpu *c, u32 end, bool early,
				     bool loose)
{
	s32 ahead = (s32)(end - s->newest);

	if (ahead < (loose ? -(1 << 30) : -1)) {
		/* Another connection on the same socket. */
		s->used = 0;
		s->flags &= ~NT_WS_SEEDED;
	} else if (ahead <= 0) {
		return; /* a FIN alone, urgent data, or nothing new */
	}
	s->newest = end;
	if (s->used >= NT_RING) {
		merge(s);
		c->merges++;
	}
	if (!s->used)
		s->span_us = 0;
	u32 at = (s->head + s->used) % NT_RING;

	s->at_ns[at] = bpf_ktime_get_ns();
	s->seq[at] = end;
	s->merged[at] = early ? NT_EARLY | 1 : 1;
	if (early)
		s->flags |= NT_WS_EARLY;
	s->used++;
}

/* The data waited for accept() too: it counts for its listener. Verified once, not in every turn. */
__attribute__((noinline)) int nt_wait_early(struct nt_accept_key *at, struct nt_wait_cpu *c,
					    u64 wait_ns, u32 weight)
{
	static const struct nt_accept nothing;
	u32 now = epoch, slot = now & 1, octave = nt_octave(nt_log2(wait_ns));
	struct nt_accept_key key;
	struct nt_accept *a;

	if (!at || !c)
		return 0;
	key = *at; /* kernels before 6.2 take a key from the stack alone */
	a = bpf_map_lookup_elem(&accepts, &key);
	if (!a) {
		bpf_map_update_elem(&accepts, &key, &nothing, BPF_NOEXIST);
		a = bpf_map_lookup_elem(&accepts, &key);
		if (!a) {
			c->listeners_full++;
			return 0;
		}
	}
	__sync_fetch_and_add(&a->sum_ns, wait_ns * weight);
	if (octave < NT_OCTAVES)
		__sync_fetch_and_add(&a->octaves[octave], weight);
	if (a->epoch[slot] != now) {
		a->epoch[slot] = now;
		a->max_ns[slot] = 0;
	}
	if (wait_ns > a->max_ns[slot])
		a->max_ns[slot] = wait_ns;
	return 0;
}

/*
 * What poll() would say of data up to `end`: not before SO_RCVLOWAT is reached, unless the window
 * is full, and not of an urgent byte that stands next in the stream.
 */
static __always_inline bool is_enough(struct sock *sk, u32 end)
{
	struct inet_connection_sock *icsk = (void *)sk;
	struct tcp_sock *tp = (void *)sk;
	u32 next = BPF_CORE_READ(tp, copied_seq);
	s32 wanted = BPF_CORE_READ(sk, sk_rcvlowat), queued = (s32)(end - next);

	if (queued <= 0)
		return false;
	if (BPF_CORE_READ(sk, sk_shutdown) & NT_RCV_SHUTDOWN)
		return true;
	if (wanted <= 0)
		wanted = 1;
	if (BPF_CORE_READ(tp, urg_data) && BPF_CORE_READ(tp, urg_seq) == next &&
	    !(BPF_CORE_READ(sk, __sk_common.skc_flags) >> NT_SOCK_URGINLINE & 1))
		wanted++;
	if (queued >= wanted)
		return true;
	s32 window = (s32)(BPF_CORE_READ(tp, rcv_wup) + BPF_CORE_READ(tp, rcv_wnd) - end);

	return window <= (s32)BPF_CORE_READ(icsk, icsk_ack.rcv_mss);
}

/* rcv_nxt without the FIN that may be counted in it. */
static __always_inline u32 data_end(struct sock *sk, struct tcp_sock *tp)
{
	return tp->rcv_nxt - (sk->sk_shutdown & NT_RCV_SHUTDOWN ? 1 : 0);
}

#endif
