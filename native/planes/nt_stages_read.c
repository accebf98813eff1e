// SPDX-License-Identifier: MIT
/* Reads the stages plane's counters: ends an interval and hands the engine what was counted. */
#ifdef NT_WITH_BPF

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_bpf.h"
#include "nt_stages_host.h"

#define QUIET_READS 600 /* then a UDP socket without sends under way is forgotten */

static int read_fine(struct nt_stages *s)
{
	int map = bpf_map__fd(s->skel->maps.fine);

	s->n_fined = 0;
	if (s->n_fine > s->fined_cap) {
		struct nt_stages_fine *v = realloc(s->fined, s->n_fine * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->fined = v;
		s->fined_cap = s->n_fine;
	}
	for (uint32_t i = 0; i < s->n_fine; i++) {
		struct nt_stages_fine *f = &s->fined[s->n_fined];

		f->cookie = s->fine[i];
		s->n_fined += !bpf_map_lookup_elem(map, &f->cookie, &f->now);
	}
	return 0;
}

static int read_totals(struct nt_stages *s, uint32_t epoch, struct nt_stages_totals *t)
{
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.counts), &zero, s->counts))
		return -errno;
	for (int i = 0; i < s->n_cpus; i++) {
		t->runs += s->counts[i].runs;
		t->sampled += s->counts[i].sampled;
		t->done += s->counts[i].done;
		t->merged += s->counts[i].merged;
		t->lost += s->counts[i].lost;
		t->no_storage += s->counts[i].no_storage;
		t->resent += s->counts[i].resent;
		t->full += s->counts[i].full;
		t->own_stamps += s->counts[i].own_stamps;
		t->nic_lost += s->counts[i].nic_lost;
	}
	memset(s->total.buckets, 0, sizeof(s->total.buckets));
	for (uint32_t part = 0; part < NT_PARTS; part++) {
		uint64_t *buckets = s->total.buckets[part], sum_ns = 0, max_ns = 0;

		if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.totals), &part, s->cpus))
			return -errno;
		for (int i = 0; i < s->n_cpus; i++) {
			const struct nt_tx_cpu *c = &s->cpus[i];

			sum_ns += c->sum_ns;
			for (uint32_t k = 0; k < 2; k++)
				if (c->epoch[k] >= epoch && c->max_ns[k] > max_ns)
					max_ns = c->max_ns[k];
			for (uint32_t k = 0; k < NT_FINE; k++)
				buckets[k] += c->buckets[k];
		}
		s->total.head.sum_ns[part] = sum_ns;
		s->total.head.max_ns[part] = max_ns;
	}
	return 0;
}

static uint32_t open_of(const struct nt_tx_rec *s)
{
	return s->sampled - s->done - s->merged - s->lost;
}

static uint64_t count_open(const struct nt_stages *s)
{
	const struct nt_tx_rec *v = (const void *)s->buf;
	uint64_t open = 0;

	for (uint32_t i = 0; i < s->n_buf / sizeof(*v); i++)
		open += open_of(&v[i]);
	return open;
}

/* Records of UDP sockets behind those of TCP, on the same terms. */
static int read_datagrams(struct nt_stages *s, uint32_t epoch)
{
	int map = bpf_map__fd(s->skel->maps.datagrams);
	uint64_t key, gone[64], *before = NULL;
	struct nt_tx_datagrams d;
	uint32_t n_gone = 0;

	while (!bpf_map_get_next_key(map, before, &key)) {
		before = &key;
		if (bpf_map_lookup_elem(map, &key, &d) || !d.rec.cookie)
			continue;
		if (d.rec.touched + 1 < epoch && !open_of(&d.rec)) {
			if (d.rec.touched + QUIET_READS < epoch && n_gone < 64)
				gone[n_gone++] = key;
			continue;
		}
		if (s->buf_cap - s->n_buf < sizeof(d.rec)) {
			uint32_t bigger = s->buf_cap * 2 + 64 * (uint32_t)sizeof(d.rec);
			uint8_t *buf = realloc(s->buf, bigger);

			if (!buf)
				return -ENOMEM;
			s->buf = buf;
			s->buf_cap = bigger;
		}
		memcpy(s->buf + s->n_buf, &d.rec, sizeof(d.rec));
		s->n_buf += (uint32_t)sizeof(d.rec);
	}
	for (uint32_t i = 0; i < n_gone; i++)
		bpf_map_delete_elem(map, &gone[i]);
	return 0;
}

/* The engine's lock is held. */
static void hand_over(struct nt_stages *s, struct nt_engine *e, uint64_t at_ns)
{
	nt_deliver(e, at_ns, NT_S_STAGES, 0, &s->total, sizeof(s->total));
	nt_deliver(e, at_ns, NT_S_STAGES_WANTED, 0, s->wanted,
		   s->n_wanted * (uint32_t)sizeof(*s->wanted));
	nt_deliver(e, at_ns, NT_S_STAGES_FINE, sizeof(*s->fined), s->fined,
		   s->n_fined * (uint32_t)sizeof(*s->fined));
	nt_deliver(e, at_ns, NT_S_STAGES_SOCKETS, sizeof(struct nt_tx_rec), s->buf, s->n_buf);
	nt_deliver(e, at_ns, NT_S_STAGES_NICS, sizeof(*s->placed), s->placed,
		   s->n_placed * (uint32_t)sizeof(*s->placed));
}

int nt_stages_read(struct nt_stages *s, struct nt_engine *e, struct nt_stages_totals *ret)
{
	uint64_t cpu = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&s->lock);
	uint64_t at_ns = nt_ktime_ns();
	uint32_t epoch = s->skel->data->epoch;

	if (s->method == NT_STAGES_STAMPS && !s->udp && !s->skel->bss->everything)
		nt_tx_detach_path(s);
	s->skel->data->epoch = epoch + 1;
	struct bpf_link *records = s->by_files ? s->skel->links.stages_read_files :
						 s->skel->links.stages_read;
	int err = nt_bpf_iter_read(bpf_link__fd(records), &s->buf, &s->n_buf, &s->buf_cap);

	if (s->by_files)
		nt_bpf_once_each(s->buf, &s->n_buf, sizeof(struct nt_tx_rec));
	err = err ? err : read_datagrams(s, epoch + 1);
	err = err ? err : read_fine(s);
	err = err ? err : read_totals(s, epoch, ret);
	if (!err) {
		ret->open = count_open(s);
		ret->sockets = s->n_buf / (uint32_t)sizeof(struct nt_tx_rec);
		/* What is neither done nor open went with its socket, or with its selection. */
		ret->lost = ret->sampled - ret->done - ret->merged - ret->open;
		s->total.head.read = ++s->reads;
		s->total.head.epoch = epoch;
		s->total.head.method = (uint32_t)s->method;
		pthread_mutex_lock(&e->lock);
		hand_over(s, e, at_ns);
		pthread_mutex_unlock(&e->lock);
		s->n_placed = 0;
	}
	pthread_mutex_unlock(&s->lock);
	ret->cpu_ns = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return err;
}

#endif
