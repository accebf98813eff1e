/* SPDX-License-Identifier: GPL-2.0 */
/* The iterators of stages.bpf.c that the helper reads each tick. */
#ifndef NT_STAGES_ITER_BPF_H
#define NT_STAGES_ITER_BPF_H

/* A record that changed since the last read, or has sends that no ACK has covered. */
static __always_inline void put_record(struct seq_file *seq, struct nt_tx_rec *r)
{
	if (r->touched + 1 >= epoch || r->sampled != r->done + r->merged + r->lost)
		bpf_seq_write(seq, r, sizeof(*r));
}

SEC("iter/bpf_sk_storage_map")
int stages_read(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct nt_tx_sock *s = ctx->value;

	if (s && ctx->sk)
		put_record(ctx->meta->seq, &s->rec);
	return 0;
}

/* The same where iterators over a map's elements are refused: once for each file of a socket. */
SEC("iter/task_file")
int stages_read_files(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = nt_sock_of(ctx->file);
	struct nt_tx_sock *s = sk ? bpf_sk_storage_get(&sockets, sk, 0, 0) : NULL;

	if (s)
		put_record(ctx->meta->seq, &s->rec);
	return 0;
}

#endif
