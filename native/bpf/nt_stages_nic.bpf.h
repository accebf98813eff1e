/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The part of stages.bpf.c that receives NICs' timestamps. They count in the NIC's own time, which user
 * space alone can convert to the system's: each goes there as it is.
 */
#ifndef NT_STAGES_NIC_BPF_H
#define NT_STAGES_NIC_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, NT_TX_NIC_BYTES);
} nics SEC(".maps");

/*
 * The NIC may report later than the ACK: a place that was given up still knows what it held, until
 * another send takes it.
 */
static __always_inline u64 left_at(struct nt_tx_sock *s, u32 tskey)
{
#pragma unroll
	for (u32 i = 0; i < NT_TX_RING; i++)
		if (s->ring[i].tskey == tskey && s->ring[i].last_ns)
			return s->ring[i].last_ns;
	struct nt_tx_pending *p = find(s, tskey);

	return p ? p->last_ns : 0;
}

static __always_inline void stamped_by_nic(struct nt_tx_sock *s, struct sk_buff *skb,
					   const struct skb_shared_info *info,
					   struct nt_tx_counts *c)
{
	struct nt_tx_nic n = { .cookie = s->rec.cookie, .left_ns = left_at(s, info->tskey) };

	if (!n.left_ns) { /* its place was taken, or it was another tool's */
		__sync_fetch_and_add(&c->nic_lost, 1);
		return;
	}
	n.hw_ns = (u64)info->hwtstamps.hwtstamp;
	n.ifindex = (u32)skb->dev->ifindex;
	n.netns = skb->dev->nd_net.net->ns.inum;
	if (bpf_ringbuf_output(&nics, &n, sizeof(n), BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&c->nic_lost, 1);
}

#endif
