// SPDX-License-Identifier: MIT
/* Records of stamped sends as they were last read, to compare the next ones with. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_stages_state.h"

static struct nt_tx_rec **base_slot(const struct nt_send_bases *b, uint64_t cookie)
{
	uint32_t i = (uint32_t)(cookie * 0x9e3779b97f4a7c15ULL >> 32) & b->mask;

	while (b->v[i] && b->v[i]->cookie != cookie)
		i = (i + 1) & b->mask;
	return &b->v[i];
}

int nt_send_bases_rehash(struct nt_send_bases *b, uint32_t n, const struct nt_engine *keep)
{
	struct nt_send_bases bigger = { .v = calloc(n, sizeof(*bigger.v)), .mask = n - 1 };

	if (!bigger.v)
		return -ENOMEM;
	for (uint32_t i = 0; b->v && i <= b->mask; i++) {
		struct nt_tx_rec *old = b->v[i];

		if (!old)
			continue;
		if (keep && nt_table_find(&keep->table, old->cookie) == NT_NONE) {
			free(old);
			continue;
		}
		*base_slot(&bigger, old->cookie) = old;
		bigger.live++;
	}
	free(b->v);
	*b = bigger;
	return 0;
}

void nt_send_bases_clear(struct nt_send_bases *b)
{
	for (uint32_t i = 0; b->v && i <= b->mask; i++) {
		free(b->v[i]);
		b->v[i] = NULL;
	}
	b->live = 0;
}

struct nt_tx_rec *nt_send_base(struct nt_send_bases *b, const struct nt_tx_rec *now, bool *fresh)
{
	if ((b->live + 1) * 2 > b->mask && nt_send_bases_rehash(b, (b->mask + 1) * 2, NULL))
		return NULL;
	struct nt_tx_rec **slot = base_slot(b, now->cookie);

	*fresh = !*slot || (*slot)->born_ns != now->born_ns;
	if (!*slot) {
		*slot = calloc(1, sizeof(**slot));
		if (!*slot)
			return NULL;
		b->live++;
	} else if (*fresh) {
		memset(*slot, 0, sizeof(**slot));
	}
	(*slot)->cookie = now->cookie;
	(*slot)->born_ns = now->born_ns;
	return *slot;
}
