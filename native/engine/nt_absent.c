// SPDX-License-Identifier: MIT
/* The end of a sweep: what it did not list is gone, unless a dump failed that would have. */
#include <errno.h>
#include <netinet/in.h>

#include "nt_engine.h"
#include "nt_planes.h"

/* A socket whose dump keeps failing is known no longer: it leaves the table after so many. */
#define UNLISTED_SWEEPS 5

/* Whether a dump that failed would have listed this record, so that it may still be there. */
static bool may_be_unlisted(const struct nt_engine *e, uint32_t i, const struct nt_rec *rec)
{
	uint8_t family = e->table.mark[i] & NT_M_V6 ? AF_INET6 : AF_INET;

	if (e->failures_lost)
		return true;
	for (uint32_t j = 0; j < e->n_failures; j++) {
		const struct nt_failure *f = &e->failures[j];

		if (f->netns == rec->netns && f->proto == rec->proto &&
		    (!f->family || f->family == family))
			return true;
	}
	return false;
}

void nt_final(struct nt_engine *e, uint64_t cookie, uint64_t bytes_acked, uint64_t bytes_received,
	      uint32_t total_retrans)
{
	uint32_t i = nt_table_find(&e->table, cookie);

	if (i == NT_NONE)
		return;
	struct nt_rec room, *rec = nt_rec_take(&e->table, i, &room);

	if (!(rec->flags & NT_F_INFO) || rec->flags & NT_F_MISSED ||
	    bytes_acked < rec->bytes_acked || bytes_received < rec->bytes_received)
		return;
	e->table.mark[i] |= NT_M_FINAL;
	rec->flags &= ~(uint32_t)(NT_F_RATES | NT_F_RETR_PCT);
	rec->tx_bytes_per_s = (float)(bytes_acked - rec->bytes_acked);
	rec->rx_bytes_per_s = (float)(bytes_received - rec->bytes_received);
	rec->retrans_per_s = (float)(uint32_t)(total_retrans - rec->total_retrans);
	if (nt_rec_put(&e->table, i, rec)) /* without memory it is as if nothing had come */
		e->table.mark[i] &= (uint8_t)~NT_M_FINAL;
}

void nt_last_rates(struct nt_engine *e, uint32_t i, struct nt_rec *rec)
{
	float dt_s = (float)((double)(e->now_ns - rec->base_ns) / 1e9);
	bool known = e->table.mark[i] & NT_M_FINAL && dt_s > 0;
	float per_s = known ? 1 / dt_s : 0;

	e->table.mark[i] &= (uint8_t)~NT_M_FINAL;
	rec->tx_bytes_per_s *= per_s;
	rec->rx_bytes_per_s *= per_s;
	rec->retrans_per_s *= per_s;
	rec->flow_bytes_per_s = 0;
	rec->flags &= ~(uint32_t)(NT_F_RATES | NT_F_RETR_PCT | NT_F_LIMITED | NT_F_FLOW_RX);
	if (known)
		rec->flags |= NT_F_RATES;
}

void nt_sweep_close(struct nt_engine *e)
{
	struct nt_proc proc;
	struct nt_rec room;

	for (uint32_t i = 0; i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE) || e->table.seen[i] == e->sweep)
			continue;
		struct nt_rec *rec = nt_rec_take(&e->table, i, &room);

		bool unlisted = may_be_unlisted(e, i, rec);

		/* A dump is no snapshot: it may miss a live socket once. */
		if (unlisted ? e->sweep - e->table.seen[i] >= UNLISTED_SWEEPS :
			       rec->flags & NT_F_MISSED) {
			nt_plane_drop(e, i);
			nt_table_remove(&e->table, i);
			e->totals.closed += !unlisted;
			continue;
		}
		if (!unlisted && rec->inode && e->procs)
			nt_procs_gone(e->procs, rec->inode);
		rec->flags |= NT_F_MISSED;
		nt_last_rates(e, i, rec);
		if (e->table.mark[i] & NT_M_MATCH) {
			struct nt_filter_view fv = nt_view_of(e, rec, NULL, &proc);

			nt_tally(e, &e->totals, rec);
			if (nt_keys_add(&e->next, nt_key_of(e, i, &fv)))
				nt_fail(e, rec->netns, rec->proto, 0, ENOMEM);
		}
		if (nt_rec_put(&e->table, i, rec))
			nt_fail(e, rec->netns, rec->proto, 0, ENOMEM);
	}
	struct nt_details swap = e->front;

	e->front = e->back;
	e->back = swap;
	e->back.n = 0;
	nt_tally_close(e, &e->totals);
	e->last = e->totals;
	if (e->next_stale)
		nt_rematch(e);
	e->next_whole = !e->next_stale;
	nt_order_drop_dead(e);
}
