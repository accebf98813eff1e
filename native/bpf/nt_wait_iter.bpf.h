/* SPDX-License-Identifier: GPL-2.0 */
/* The iterators of wait.bpf.c: what is unread when it starts, and what the helper reads each tick. */
#ifndef NT_WAIT_ITER_BPF_H
#define NT_WAIT_ITER_BPF_H

/* The iterator's value can be read at constant offsets only. */
static __always_inline u64 noted_at(const struct nt_ws *s, u32 entry)
{
	u64 at = 0;

	entry %= NT_RING;
#pragma unroll
	for (u32 i = 0; i < NT_RING; i++)
		if (i == entry)
			at = s->at_ns[i];
	return at;
}

static __always_inline void oldest_udp(const struct nt_ws *s, u32 queued, struct nt_ws_out *out)
{
	u32 h = s->newest, shift = s->shift & 15;

	if (!queued)
		return;
	if (queued > h && !(s->flags & NT_WS_DRAINED)) {
		out->oldest_ns = attached_ns;
		out->oldest_bounded = 1;
		return;
	}
	if (!h)
		return;
	if (queued > h)
		queued = h; /* the others have no notice yet */
	u32 wanted = h - queued, entry = wanted >> shift, newest = (h - 1) >> shift;
	u64 span_ns;

	if (newest - entry >= NT_RING) {
		out->oldest_ns = noted_at(s, newest + 1);
		out->oldest_bounded = 1;
		return;
	}
	out->oldest_ns = between(noted_at(s, entry),
				 entry == newest ? s->last_ns : noted_at(s, entry + 1), wanted,
				 h - 1, shift, &span_ns);
}

/* Of a socket with a sample since the last tick, or with data unread now. */
static __always_inline void put_record(struct seq_file *seq, const struct nt_ws *s, struct sock *sk)
{
	struct nt_ws_out out = {};
	/* The helper began a new epoch: what happened since may be in its slot already. */
	u32 now = epoch;
	u32 this_epoch = now & 1 ? s->epoch[1] : s->epoch[0];
	u32 last_epoch = now & 1 ? s->epoch[0] : s->epoch[1];
	u64 this_max = now & 1 ? s->max_ns[1] : s->max_ns[0];
	u64 last_max = now & 1 ? s->max_ns[0] : s->max_ns[1];

	if (s->flags & NT_WS_UDP) {
		if (!sample_shift || chosen(s->cookie))
			oldest_udp(s, udp_queued(sk), &out);
	} else if (s->used &&
		   (s32)(BPF_CORE_READ((struct tcp_sock *)sk, copied_seq) - s->newest) < 0 &&
		   is_enough(sk, BPF_CORE_READ((struct tcp_sock *)sk, rcv_nxt))) {
		out.oldest_ns = noted_at(s, s->head);
		out.oldest_bounded = s->flags & NT_WS_SEEDED;
	}
	if (this_epoch != now && last_epoch != now - 1 && !out.oldest_ns)
		return;
	out.cookie = s->cookie;
	out.sum_ns = s->sum_ns;
	out.count = s->count;
	out.bounded = s->bounded;
	out.approx = s->approx;
	if (s->flags & NT_WS_UDP) {
		out.udp = 1;
		out.above_ns = s->udp_above_ns;
		out.rx_bytes = s->rx_bytes;
		out.tx_bytes = s->tx_bytes;
		out.rx_datagrams = s->rx_datagrams;
		out.tx_datagrams = s->tx_datagrams;
	} else {
		out.above_ns = s->above_ns;
	}
	if (last_epoch == now - 1)
		out.max_ns = last_max;
	if (this_epoch == now && this_max > out.max_ns)
		out.max_ns = this_max;
#pragma unroll
	for (u32 i = 0; i < NT_OCTAVES; i++)
		out.octaves[i] = s->octaves[i];
	bpf_seq_write(seq, &out, sizeof(out));
}

SEC("iter/bpf_sk_storage_map")
int wait_read(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct nt_ws *s = ctx->value;
	struct sock *sk = ctx->sk;

	/* Each read once: the verifier forgets what a check said of another read. */
	barrier_var(s);
	barrier_var(sk);
	if (s && sk)
		put_record(ctx->meta->seq, s, sk);
	return 0;
}

/* The same where iterators over a map's elements are refused: once for each file of a socket. */
SEC("iter/task_file")
int wait_read_files(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = nt_sock_of(ctx->file);
	struct nt_ws *s = sk ? bpf_sk_storage_get(&sockets, sk, 0, 0) : NULL;

	if (s)
		put_record(ctx->meta->seq, s, sk);
	return 0;
}

/* Sockets that hold unread data when nettop starts: it is older by an unknown time. */
SEC("iter/tcp")
int wait_seed(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;

	if (!skc || skc->skc_state == NT_TCP_TIME_WAIT || skc->skc_state == NT_TCP_NEW_SYN_RECV ||
	    skc->skc_state == NT_TCP_LISTEN)
		return 0;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(skc);

	if (!tp)
		return 0;
	struct sock *sk = (struct sock *)tp;
	u32 end = tp->rcv_nxt - (BPF_CORE_READ(sk, sk_shutdown) & NT_RCV_SHUTDOWN ? 1 : 0);

	if ((s32)(end - tp->copied_seq) <= 0)
		return 0;
	u64 cookie = bpf_get_socket_cookie(tp);

	if (!chosen(cookie))
		return 0;
	if (!nt_has_room(sk, sizeof(struct nt_ws)))
		return 0;
	struct nt_ws *s = bpf_sk_storage_get(&sockets, tp, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!s || s->used || s->cookie)
		return 0;
	s->cookie = cookie;
	s->place = (u8)(round << 1);
	s->newest = end;
	s->at_ns[0] = bpf_ktime_get_ns();
	s->seq[0] = end;
	s->merged[0] = 1;
	s->used = 1;
	s->flags |= NT_WS_SEEDED;
	return 0;
}

#endif
