// SPDX-License-Identifier: MIT
/* An interval in which a connection at rest did nothing: no rule can find anything then. */
#include <string.h>

#include "nt_engine.h"
#include "nt_planes.h"
#include "nt_rules.h"

/* With a limit of 0 a rule would hold where nothing happened. */
static bool limits_are_over_zero(const struct nt_config *c)
{
	return c->loss_retrans && c->rwnd_pct[0] && c->sndbuf_pct[0] && c->cwnd_pct &&
	       c->rcvbuf_pct && c->reordered_pct && c->holes_pct;
}

static bool same32(const struct nt_diag_view *v, uint32_t offset, uint32_t before)
{
	return nt_info32(v, offset) == before;
}

static bool same64(const struct nt_diag_view *v, uint32_t offset, uint64_t before)
{
	return nt_info64(v, offset) == before;
}

static bool same_ms(const struct nt_diag_view *v, uint32_t offset, uint32_t before)
{
	return (uint32_t)(nt_info64(v, offset) / 1000) == before;
}

bool nt_still(const struct nt_engine *e, const struct nt_rec *r, const struct nt_diag_view *v)
{
	uint32_t drops;

	if (r->state != NT_TCP_ESTABLISHED || r->plane || r->rqueue || r->wqueue ||
	    r->timer_retrans || v->info_len < TI_RCV_OOOPACK + 4 || v->skmem_len < 36)
		return false;
	memcpy(&drops, v->skmem + 32, sizeof(drops));
	return drops == r->drops && same64(v, TI_BYTES_ACKED, r->bytes_acked) &&
	       same64(v, TI_BYTES_RECEIVED, r->bytes_received) &&
	       same64(v, TI_BYTES_SENT, r->bytes_sent) &&
	       same64(v, TI_BYTES_RETRANS, r->bytes_retrans) &&
	       same32(v, TI_TOTAL_RETRANS, r->total_retrans) &&
	       same32(v, TI_DSACK_DUPS, r->dsack_dups) &&
	       same32(v, TI_REORD_SEEN, r->last_reordered) &&
	       same32(v, TI_RCV_OOOPACK, r->last_out_of_order) &&
	       same32(v, TI_DATA_SEGS_OUT, r->segs_out[0]) &&
	       same32(v, TI_DATA_SEGS_IN, r->segs_in[0]) && same_ms(v, TI_BUSY_TIME, r->busy_ms) &&
	       same_ms(v, TI_RWND_LIMITED, r->rwnd_limited_ms) &&
	       same_ms(v, TI_SNDBUF_LIMITED, r->sndbuf_limited_ms) &&
	       nt_info16(v, TI_TOTAL_RTO) == r->total_rto && !nt_info32(v, TI_UNACKED) &&
	       !nt_info32(v, TI_NOTSENT_BYTES) && !nt_info8(v, TI_RETRANSMITS) &&
	       /* More of them than what was resent shows a network that duplicates, each time. */
	       r->dsack_dups <= r->total_retrans && !nt_dropped_of(e, r->cookie) &&
	       !nt_cause_of(e, r->cookie) && limits_are_over_zero(&e->config);
}

void nt_stay(struct nt_rec *r, bool rolled, uint64_t now_ns, uint32_t now_ms)
{
	r->flags |= NT_F_INFO | NT_F_MOVED | NT_F_SKMEM;
	r->flags &= ~(uint32_t)(NT_F_OLDEST_UNREAD | NT_F_UNREAD_EXACT | NT_F_UNREADABLE);
	r->taken_at_ms = now_ms;
	if (!rolled)
		return;
	r->flags |= NT_F_RATES;
	r->flags &= ~(uint32_t)NT_F_RETR_PCT;
	r->base_ns = now_ns;
	nt_stay_limited(r, now_ms);
	nt_stay_loss(r, now_ms);
}
