/* SPDX-License-Identifier: GPL-2.0 */
/* The part of stages.bpf.c that looks into the calls: when they began, and what they waited for. */
#ifndef NT_STAGES_CALL_BPF_H
#define NT_STAGES_CALL_BPF_H

/*
 * Sockets whose next send is to be stamped while one in N is, at a hash of their cookies: others
 * leave without a look-up. If another one takes a place, the send is not stamped, as its call was
 * not seen, but one after it.
 */
#define NT_DUE_LOG2 12
volatile __u64 due[1 << NT_DUE_LOG2];

static __always_inline volatile __u64 *due_at(u64 cookie)
{
	return &due[(cookie * 0x9e3779b97f4a7c15ULL) >> (64 - NT_DUE_LOG2)];
}

/* Whether to stamp the send that has just been copied. */
static __always_inline bool is_stamped(struct nt_tx_mark *m)
{
	u32 n = every, nth;

	if (n <= 1 || !sees_calls) {
		bool stamp = chosen(m);

		m->sends++;
		return stamp;
	}
	nth = m->sends % n;
	if (nth + 1 == n) {
		if (*due_at(m->cookie) != m->cookie) {
			/* By chance, so that two that share a place do not take it in turn for ever. */
			if (bpf_get_prandom_u32() & 1)
				*due_at(m->cookie) = m->cookie;
			return false;
		}
		*due_at(m->cookie) = 0;
	} else if (nth + 2 == n) {
		*due_at(m->cookie) = m->cookie;
	}
	m->sends++;
	return nth + 1 == n;
}

/*
 * Every look of a send at the write queue. A call goes on if as much was queued since its last
 * look as it has less to copy; if that is nothing it slept for want of space. A call that may
 * not sleep ends instead, and the same bytes are then a new one. Where there was room, though, and
 * bytes were copied before, it has only let the receive side catch up and looks again.
 */
SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(stages_copy, struct sock *sk, struct msghdr *msg)
{
	if (!(sk->sk_bpf_cb_flags & SK_BPF_CB_TX))
		return 0; /* the cheapest look: every send on this host comes here */
	u64 cookie = (u64)sk->__sk_common.skc_cookie.counter;

	if (every > 1 && *due_at(cookie) != cookie)
		return 0;
	struct nt_tx_mark *m = bpf_sk_storage_get(&marks, sk, 0, 0);

	if (!m || !chosen(m))
		return 0;
	/* Kernels that have this tracepoint have the cast, which is no call. */
	struct tcp_sock *tp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	u64 now = bpf_ktime_get_ns(), left = msg->msg_iter.count;
	u32 write_seq = tp->write_seq;
	bool again = left == m->left && !(m->copied && m->had_room);

	if (!m->call_ns || m->left - left != (u32)(write_seq - m->write_seq) ||
	    (again && msg->msg_flags & NT_MSG_DONTWAIT)) {
		m->call_ns = now;
		m->sndbuf_ns = 0;
		m->copied = 0;
	} else if (again) {
		m->sndbuf_ns += now - m->step_ns;
	} else if (left != m->left) {
		m->copied = 1;
	}
	m->had_room = !tp->notsent_lowat && sk->sk_wmem_queued < sk->sk_sndbuf;
	m->step_ns = now;
	m->left = left;
	m->write_seq = write_seq;
	return 0;
}

#endif
