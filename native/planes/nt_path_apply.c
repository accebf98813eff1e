// SPDX-License-Identifier: MIT
/* The way of received packets: what an interval was, from its sections alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_path_state.h"

int nt_path_apply(struct nt_engine *e, const struct nt_section *s, const uint8_t *body)
{
	struct nt_path_head head;

	if (s->arg >= NT_PATH_HOOKS || s->bytes != sizeof(head) + NT_FINE * sizeof(uint64_t))
		return -EPROTO;
	if (!e->paths)
		e->paths = calloc(1, sizeof(*e->paths));
	if (!e->paths)
		return -ENOMEM;
	memcpy(&head, body, sizeof(head));
	struct nt_path_sums *h = &e->paths->hooks[s->arg];

	if (head.read == 1)
		memset(h, 0, sizeof(*h));
	memcpy(h->last, h->now, sizeof(h->last));
	memcpy(h->now, body + sizeof(head), sizeof(h->now));
	h->last_sum = h->head.sum_ns;
	if (head.read != h->head.read + 1) {
		/* What went before is not known: nothing is, of this interval. */
		memcpy(h->last, h->now, sizeof(h->last));
		memcpy(h->start, h->now, sizeof(h->start));
		h->last_sum = h->start_sum = head.sum_ns;
		head.max_ns = h->run_max_ns = 0;
	}
	if (head.max_ns > h->run_max_ns)
		h->run_max_ns = head.max_ns;
	h->head = head;
	e->paths->read = head.read;
	return 0;
}

int nt_path_hooks(struct nt_engine *e)
{
	uint32_t bits = 0;

	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; e->paths && i < NT_PATH_HOOKS; i++)
		if (e->paths->hooks[i].head.read && e->paths->hooks[i].head.read == e->paths->read)
			bits |= 1U << i;
	pthread_mutex_unlock(&e->lock);
	return (int)bits;
}

int nt_path_buckets(struct nt_engine *e, uint32_t hook, int run, uint64_t *buckets,
		    struct nt_dist *dist, struct nt_path_counts *counts)
{
	int err = -ENOENT;

	memset(buckets, 0, NT_FINE * sizeof(*buckets));
	memset(dist, 0, sizeof(*dist));
	memset(counts, 0, sizeof(*counts));
	pthread_mutex_lock(&e->lock);
	if (e->paths && hook < NT_PATH_HOOKS) {
		const struct nt_path_sums *h = &e->paths->hooks[hook];
		const uint64_t *from = run ? h->start : h->last;
		bool all = run && e->config.run_of_planes;

		for (uint32_t b = 0; b < NT_FINE; b++)
			buckets[b] = h->now[b] - (all ? 0 : from[b]);
		dist->sum_ns = h->head.sum_ns - (all ? 0 : run ? h->start_sum : h->last_sum);
		dist->max_ns = all ? 0 : run ? h->run_max_ns : h->head.max_ns;
		*counts = h->head.counts;
		err = 0;
	}
	pthread_mutex_unlock(&e->lock);
	return err ? err : nt_dist_of(buckets, NT_FINE, 1, dist);
}

void nt_path_clear(struct nt_engine *e)
{
	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; e->paths && i < NT_PATH_HOOKS; i++) {
		struct nt_path_sums *h = &e->paths->hooks[i];

		memcpy(h->start, h->now, sizeof(h->start));
		h->start_sum = h->head.sum_ns;
		h->run_max_ns = 0;
	}
	pthread_mutex_unlock(&e->lock);
}
