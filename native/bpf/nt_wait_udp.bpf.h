/* SPDX-License-Identifier: GPL-2.0 */
/* The part of wait.bpf.c that pairs datagrams with their reads, by the length of the queue. */
#ifndef NT_WAIT_UDP_BPF_H
#define NT_WAIT_UDP_BPF_H

/* So near together two readers may both have come when one queue length was left: 50 µs. */
#define NT_TOGETHER 49U

/*
 * Twice as many enqueues to an entry, so that the ring covers a longer queue. Half of the ring is
 * then older than all that is known: it gets the oldest time.
 */
static __always_inline void stretch(struct nt_ws *s)
{
	u64 kept[NT_RING / 2];
	u32 newest = (s->newest - 1) >> s->shift;
	u64 oldest = s->at_ns[(newest + 1) % NT_RING];

	for (u32 i = 0; i < NT_RING / 2; i++)
		kept[i] = s->at_ns[((newest >> 1) - i) * 2 % NT_RING];
	for (u32 i = 0; i < NT_RING / 2; i++)
		s->at_ns[((newest >> 1) - i) % NT_RING] = kept[i];
	for (u32 i = NT_RING / 2; i < NT_RING; i++)
		s->at_ns[((newest >> 1) - i) % NT_RING] = oldest;
	s->shift++;
}

static __always_inline u32 udp_queued(struct sock *sk)
{
	u32 reader = 0;

	bpf_core_read(&reader, sizeof(reader), &((struct udp_sock *)sk)->reader_queue.qlen);
	return sk->sk_receive_queue.qlen + reader;
}

/* The queue is empty: numbers begin anew, so that the ring's entries begin with the first one. */
static __always_inline void drained(struct nt_ws *s)
{
	s->newest = s->taken = s->shift = 0;
	s->flags |= NT_WS_DRAINED;
}

static __always_inline void note_udp(struct nt_ws *s, u32 queued)
{
	u64 now = bpf_ktime_get_ns();

	bpf_spin_lock(&s->lock);
	s->last_ns = now;
	if (!queued) { /* read before its notice */
		drained(s);
		bpf_spin_unlock(&s->lock);
		return;
	}
	u32 h = s->newest++;

	/* As long as the oldest that is queued still lies in the ring. */
	if (h && queued >= (NT_RING - 1) << (s->shift & 15) && s->shift < 15)
		stretch(s);
	if (!(h & ((1U << (s->shift & 15)) - 1)))
		s->at_ns[(h >> (s->shift & 15)) % NT_RING] = now;
	bpf_spin_unlock(&s->lock);
}

/*
 * When datagram number `wanted` came: between two noted ones the time is shared out evenly.
 * *span_ns: how far they are apart, 0 if it was noted itself.
 */
static __always_inline u64 between(u64 from, u64 to, u32 wanted, u32 newest, u32 shift,
				   u64 *span_ns)
{
	u32 first = wanted >> shift << shift, steps = 1U << shift;

	*span_ns = 0;
	if (wanted == first || to <= from)
		return from;
	if (newest - first < steps)
		steps = newest - first;
	*span_ns = to - from;
	return from + (to - from) * (wanted - first) / steps;
}

static __always_inline void take_udp(struct nt_ws *s, struct nt_wait_cpu *c, u32 queued, u32 bytes)
{
	u64 now = bpf_ktime_get_ns(), at, span_ns = 0;
	bool bounded = false;

	bpf_spin_lock(&s->lock);
	u32 h = s->newest, shift = s->shift & 15, wanted = h - 1 - queued;
	bool together = (u32)(now >> 10) - s->taken_at <= NT_TOGETHER;

	if (queued >= h && !(s->flags & NT_WS_DRAINED)) {
		/* Enqueued before the first notice. */
		at = attached_ns;
		bounded = true;
	} else {
		if ((s32)(wanted - s->taken) >= 0)
			s->taken = wanted + 1;
		else if (!together)
			wanted = s->taken; /* one that is queued has no notice yet */
		u32 entry = wanted >> shift, newest = (h - 1) >> shift;

		if ((s32)wanted < 0) {
			at = s->last_ns;
		} else if ((s32)(wanted - h) >= 0) {
			at = now; /* read before its notice */
		} else if (newest - entry >= NT_RING) {
			at = s->at_ns[(newest + 1) % NT_RING];
			bounded = true;
		} else {
			u64 to = entry == newest ? s->last_ns : s->at_ns[(entry + 1) % NT_RING];

			at = between(s->at_ns[entry % NT_RING], to, wanted, h - 1, shift, &span_ns);
		}
	}
	s->taken_at = (u32)(now >> 10);
	s->rx_bytes += bytes;
	s->rx_datagrams++;
	note_standing(&s->udp_above_ns, at && at <= now ? now - at : 0, now, !queued);
	if (!queued)
		drained(s);
	bpf_spin_unlock(&s->lock);
	if (!at || at > now)
		return;
	if (span_ns * 33 > now - at)
		s->approx++;
	sample(s, c, now - at, 1, bounded);
}

#endif
