// SPDX-License-Identifier: MIT
/* What the waits of an interval were spent on, from sums that grow as long as a socket is chosen. */
#include <errno.h>
#include <string.h>

#include "nt_planes.h"
#include "nt_wait_state.h"

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/*
 * What of it is not over is added up by the helper at the read; the thread that then reads may be
 * another one. So a part may fall back, and never make more than what is left.
 */
static void fill(struct nt_split *ret, const struct nt_split_out *now,
		 const struct nt_split_out *before)
{
	uint64_t *const parts[NT_SPLIT_PARTS] = {
		[NT_SPLIT_WAKE] = &ret->wake_ns,       [NT_SPLIT_CPU] = &ret->cpu_ns,
		[NT_SPLIT_RAN] = &ret->ran_ns,	       [NT_SPLIT_ASLEEP] = &ret->asleep_ns,
		[NT_SPLIT_STOPPED] = &ret->stopped_ns,
	};
	uint64_t left = grown(now->waiting_ns, before->waiting_ns);

	memset(ret, 0, sizeof(*ret));
	ret->waiting_ns = left;
	ret->takes = now->takes - before->takes;
	ret->others = now->others - before->others;
	for (uint32_t k = 0; k < NT_SPLIT_PARTS; k++) {
		uint64_t ns = grown(now->part_ns[k], before->part_ns[k]);

		*parts[k] = ns < left ? ns : left;
		left -= *parts[k];
	}
}

int nt_split_apply(struct nt_engine *e, const struct nt_section *s, const uint8_t *body)
{
	static const struct nt_split_out nothing;
	struct nt_split_out now[NT_SPLIT_MOST];
	struct nt_waits *w = e->waits;
	uint32_t n = s->bytes / (uint32_t)sizeof(*now);

	if (!w || !w->head.read || s->arg != sizeof(*now) || s->bytes % sizeof(*now) ||
	    n > NT_SPLIT_MOST)
		return -EPROTO;
	memcpy(now, body, s->bytes);
	for (uint32_t i = 0; i < n; i++) {
		const struct nt_split_out *before = now[i].read == 1 ? &nothing : NULL;

		for (uint32_t k = 0; !before && k < w->n_splits; k++)
			if (w->splits[k].cookie == now[i].cookie &&
			    w->splits[k].read == now[i].read - 1)
				before = &w->splits[k];
		struct nt_plane *p = before ? nt_plane_of(e, now[i].cookie) : NULL;

		if (!p)
			continue; /* where its interval began was not seen */
		fill(&p->split, &now[i], before);
		p->has |= NT_P_SPLIT;
	}
	memcpy(w->splits, now, s->bytes);
	w->n_splits = n;
	return 0;
}

int nt_split_readers(struct nt_engine *e, struct nt_reader *ret, uint32_t max)
{
	uint32_t n = 0;

	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; e->waits && i < e->waits->n_splits && n < max; i++) {
		const struct nt_split_out *s = &e->waits->splits[i];
		struct nt_plane *p = s->tid ? nt_plane_of(e, s->cookie) : NULL;

		/* What is not of this interval may be of long ago. */
		if (p && p->has & NT_P_SPLIT)
			ret[n++] = (struct nt_reader){ .cookie = s->cookie, .tid = s->tid };
	}
	pthread_mutex_unlock(&e->lock);
	return (int)n;
}
