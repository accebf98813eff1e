// SPDX-License-Identifier: MIT
/* What was resent in the last seconds, less what the peer had already. */
#include "nt_engine.h"

/* How often the base of the loss window moves on: the window spans one to two of these. */
#define LOSS_STEP_MS 5000
/* A network that duplicated so long ago may do so still. */
#define NETWORK_DUPLICATES_S 300

/* What was sent and resent, in bytes where the kernel counts them (4.19), else in segments. */
static void sent_words(const struct nt_diag_view *v, uint64_t *sent, uint64_t *resent)
{
	if (v->info_len >= TI_BYTES_RETRANS + 8) {
		*sent = nt_info64(v, TI_BYTES_SENT);
		*resent = nt_info64(v, TI_BYTES_RETRANS);
	} else {
		*sent = nt_info32(v, TI_DATA_SEGS_OUT);
		*resent = nt_info32(v, TI_TOTAL_RETRANS);
	}
}

/*
 * A DSACK says that the peer got a segment twice, not that we sent it twice: a network that
 * duplicates earns them too. Where they outnumber what was resent (up to one interval before,
 * for they take a round trip) that network is seen, and they prove nothing for a while.
 */
static bool network_duplicates(struct nt_rec *rec, uint32_t retrans, uint32_t dsacks,
			       uint32_t now_s, float dt_s)
{
	uint32_t reported = dsacks - rec->loss_dsacks[0];
	uint32_t resent = retrans - rec->loss_retrans[0] + rec->loss_lag;

	/* One too many may be a chance. */
	if (dsacks > retrans + 1 || (reported > resent + 1 && (float)rec->rtt_us * 2e-6f < dt_s))
		rec->loss_dups_s = now_s + 1;
	return rec->loss_dups_s && now_s + 1 - rec->loss_dups_s < NETWORK_DUPLICATES_S;
}

void nt_roll_loss(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh, uint64_t time_ms,
		  struct nt_facts *f)
{
	uint32_t now_ms = (uint32_t)time_ms; /* the low word: differences count */
	uint32_t retrans = nt_info32(v, TI_TOTAL_RETRANS);
	uint32_t dsacks = v->info_len >= TI_DSACK_DUPS + 4 ? nt_info32(v, TI_DSACK_DUPS) : 0;
	uint64_t sent, resent;

	sent_words(v, &sent, &resent);
	if (fresh) {
		rec->loss_at_ms = now_ms;
		rec->loss_lag = 0;
		rec->loss_dups_s = 0;
		rec->loss_retrans[0] = rec->loss_retrans[1] = retrans;
		rec->loss_dsacks[0] = rec->loss_dsacks[1] = dsacks;
		rec->loss_sent[0] = rec->loss_sent[1] = sent;
		rec->loss_resent[0] = rec->loss_resent[1] = resent;
	} else if (now_ms - rec->loss_at_ms >= LOSS_STEP_MS) {
		rec->loss_at_ms = now_ms;
		rec->loss_lag = (uint32_t)f->new_retrans;
		rec->loss_retrans[1] = rec->loss_retrans[0];
		rec->loss_dsacks[1] = rec->loss_dsacks[0];
		rec->loss_sent[1] = rec->loss_sent[0];
		rec->loss_resent[1] = rec->loss_resent[0];
		rec->loss_retrans[0] = retrans;
		rec->loss_dsacks[0] = dsacks;
		rec->loss_sent[0] = sent;
		rec->loss_resent[0] = resent;
	}
	uint32_t all = retrans - rec->loss_retrans[1], spurious = dsacks - rec->loss_dsacks[1];
	uint64_t d_sent = sent - rec->loss_sent[1];
	/* By segments: a DSACK does not say how large they were. */
	float share = d_sent ? (float)(resent - rec->loss_resent[1]) / (float)d_sent : 0;

	if (network_duplicates(rec, retrans, dsacks, (uint32_t)(time_ms / 1000), f->dt_s))
		spurious = 0;
	if (spurious > all)
		spurious = all;
	f->loss_retrans = all - spurious;
	f->loss_pct = all ? 100.0f * share * (float)f->loss_retrans / (float)all : 0;
	if (f->loss_pct > 100)
		f->loss_pct = 100;
	rec->flags &= ~(uint32_t)NT_F_RETR_PCT;
	if (d_sent && v->info_len >= TI_BYTES_RETRANS + 8) {
		rec->retr_pct = f->loss_pct;
		rec->flags |= NT_F_RETR_PCT;
	}
}
