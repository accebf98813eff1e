// SPDX-License-Identifier: MIT
/* Reads the wait plane's counters: ends an interval and hands the engine what the kernel counted. */
#ifdef NT_WITH_BPF

#include "nt_api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_bpf.h"
#include "nt_wait_host.h"

/* Appends bytes to a buffer that is kept from read to read. */
static int append(struct buffer *b, const void *bytes, uint32_t n)
{
	if (n > b->cap - b->n) {
		uint32_t cap = (b->n + n) * 2;
		uint8_t *v = realloc(b->v, cap);

		if (!v)
			return -ENOMEM;
		b->v = v;
		b->cap = cap;
	}
	memcpy(b->v + b->n, bytes, n);
	b->n += n;
	return 0;
}

static int read_focus(struct nt_wait *w)
{
	int map = bpf_map__fd(w->skel->maps.focus), err = 0;
	struct nt_wait_focused one;

	w->focused.n = 0;
	for (uint32_t i = 0; i < w->n_focus && !err; i++) {
		one.cookie = w->focus[i];
		if (!bpf_map_lookup_elem(map, &one.cookie, one.buckets))
			err = append(&w->focused, &one, sizeof(one));
	}
	return err;
}

static int read_ports(struct nt_wait *w)
{
	int map = bpf_map__fd(w->skel->maps.accepts), err = 0;
	struct nt_accept_key *before = NULL;
	struct nt_wait_port one;

	w->ports.n = 0;
	while (!err && !bpf_map_get_next_key(map, before, &one.key)) {
		w->key = one.key;
		before = &w->key;
		if (!bpf_map_lookup_elem(map, &one.key, &one.now))
			err = append(&w->ports, &one, sizeof(one));
	}
	return err;
}

/* The sums over all CPUs: a head and its buckets. */
static int read_total(struct nt_wait *w, struct nt_wait_head *head, uint64_t *buckets,
		      struct nt_wait_totals *t)
{
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.cpus), &zero, w->cpus))
		return -errno;
	memset(buckets, 0, NT_FINE * sizeof(*buckets));
	for (int i = 0; i < w->n_cpus; i++) {
		const struct nt_wait_cpu *c = &w->cpus[i];

		t->runs += c->runs;
		t->no_storage += c->no_storage;
		t->merges += c->merges;
		t->bounded += c->bounded;
		head->sum_ns += c->sum_ns;
		for (uint32_t s = 0; s < 2; s++)
			if (c->epoch[s] >= head->epoch && c->max_ns[s] > head->max_ns)
				head->max_ns = c->max_ns[s];
		for (uint32_t k = 0; k < NT_FINE; k++)
			buckets[k] += c->buckets[k];
	}
	return 0;
}

int nt_wait_read(struct nt_wait *w, struct nt_engine *e, struct nt_wait_totals *ret)
{
	struct {
		struct nt_wait_head head;
		uint64_t buckets[NT_FINE];
	} total = { .head = { .probe = w->probe, .datagrams = w->exact } };
	uint64_t cpu = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&w->lock);
	uint64_t at_ns = nt_ktime_ns();

	total.head.epoch = w->skel->data->epoch;
	total.head.shift = w->skel->bss->sample_shift;
	w->skel->data->epoch = total.head.epoch + 1;
	struct bpf_link *records = w->by_files ? w->skel->links.wait_read_files :
						 w->skel->links.wait_read;
	int err = nt_bpf_iter_read(bpf_link__fd(records), &w->buf, &w->n_buf, &w->buf_cap);

	if (w->by_files)
		nt_bpf_once_each(w->buf, &w->n_buf, sizeof(struct nt_ws_out));
	err = err ? err : read_focus(w);
	err = err ? err : read_ports(w);
	err = err ? err : read_total(w, &total.head, total.buckets, ret);
	if (!err) {
		total.head.read = ++w->reads;
		w->partial |= ret->no_storage > 0;
		if (!w->probe && !w->partial) /* tcp_probe misses what comes with a handshake */
			total.head.complete = w->by_files ? NT_WAIT_HELD : NT_WAIT_ALL;
		pthread_mutex_lock(&e->lock);
		nt_deliver(e, at_ns, NT_S_WAIT, 0, &total, sizeof(total));
		nt_deliver(e, at_ns, NT_S_WAIT_FOCUS, sizeof(struct nt_wait_focused), w->focused.v,
			   w->focused.n);
		nt_deliver(e, at_ns, NT_S_WAIT_SOCKETS, sizeof(struct nt_ws_out), w->buf, w->n_buf);
		nt_deliver(e, at_ns, NT_S_WAIT_PORTS, sizeof(struct nt_wait_port), w->ports.v,
			   w->ports.n);
		pthread_mutex_unlock(&e->lock);
		nt_wait_interval(e, &ret->all);
	}
	ret->sockets = w->n_buf / (uint32_t)sizeof(struct nt_ws_out);
	ret->sample_shift = total.head.shift;
	ret->focus_full = w->focus_full;
	pthread_mutex_unlock(&w->lock);
	ret->cpu_ns = nt_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return err;
}

#endif
