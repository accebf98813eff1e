/* SPDX-License-Identifier: GPL-2.0 */
/* Sockets that the kernel opened for itself: tunnels, NFS. The iterators write their inodes. */
#ifndef NT_WAIT_KERN_BPF_H
#define NT_WAIT_KERN_BPF_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct sock___kern {
	u8 sk_kern_sock : 1;
};

struct inode {
	unsigned long i_ino;
};

struct socket_alloc {
	struct inode vfs_inode;
};
#pragma clang attribute pop

static __always_inline void put_if_kernel(struct seq_file *seq, struct sock *sk)
{
	struct sock___kern *kern = (struct sock___kern *)sk;

	if (!BPF_CORE_READ_BITFIELD_PROBED(kern, sk_kern_sock))
		return;
	struct socket_alloc *alloc = (struct socket_alloc *)BPF_CORE_READ(sk, sk_socket);
	u32 inode = alloc ? (u32)BPF_CORE_READ(alloc, vfs_inode.i_ino) : 0;

	if (inode)
		bpf_seq_write(seq, &inode, sizeof(inode));
}

SEC("iter/tcp")
int wait_kernel_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;

	if (skc && skc->skc_state != NT_TCP_TIME_WAIT && skc->skc_state != NT_TCP_NEW_SYN_RECV)
		put_if_kernel(ctx->meta->seq, (struct sock *)skc);
	return 0;
}

SEC("iter/udp")
int wait_kernel_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *sk = ctx->udp_sk;

	if (sk)
		put_if_kernel(ctx->meta->seq, (struct sock *)sk);
	return 0;
}

#endif
