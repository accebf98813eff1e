// SPDX-License-Identifier: MIT
/* What was resent in the last seconds, less what the peer had already; what came out of order. */
#include "nt_rules.h"

/* How often the base of the loss window moves on: the window spans one to two of these. */
#define LOSS_STEP_MS 5000
/* So many resent segments say enough in the younger half of the window. */
#define LOSS_MANY 6
/* A flow of fewer segments in its window, one at a time, on a path of this length, is thin. */
#define THIN_SEGMENTS 500
#define THIN_RTT_US 1000
/* So many say something, in as many of the last four intervals. */
#define ORDER_LEAST 5
#define ORDER_TIMES 2

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
	return rec->loss_dups_s && now_s + 1 - rec->loss_dups_s < NT_NETWORK_DUPLICATES_S;
}

static float percent_of(uint32_t part, uint32_t whole)
{
	return whole ? 100.0f * (float)part / (float)whole : 0;
}

/* What is lost since base n of the window; a DSACK does not say how large they were. */
static float lost_since(const struct nt_rec *rec, uint32_t n, uint32_t lost, uint32_t all,
			uint64_t sent, uint64_t resent)
{
	uint64_t d_sent = sent - rec->loss_sent[n];
	float share = d_sent ? (float)(resent - rec->loss_resent[n]) / (float)d_sent : 0;
	float pct = all ? 100.0f * share * (float)lost / (float)all : 0;

	return pct > 100 ? 100 : pct;
}

static void order_since(const struct nt_rec *rec, const struct nt_diag_view *v, uint32_t n,
			struct nt_facts *f)
{
	uint32_t reordered = nt_info32(v, TI_REORD_SEEN) - rec->reordered[n];
	uint32_t holes = nt_info32(v, TI_RCV_OOOPACK) - rec->out_of_order[n];
	float pct = percent_of(reordered, nt_info32(v, TI_DATA_SEGS_OUT) - rec->segs_out[n]);

	/* Once, as when a transfer begins too fast, is no condition of the path. */
	if (reordered >= ORDER_LEAST && pct > f->reordered_pct &&
	    __builtin_popcount(rec->order_past & 15) >= ORDER_TIMES) {
		f->reordered = reordered;
		f->reordered_pct = pct;
	}
	pct = percent_of(holes, nt_info32(v, TI_DATA_SEGS_IN) - rec->segs_in[n]);
	if (holes >= ORDER_LEAST && pct > f->holes_pct &&
	    __builtin_popcount(rec->order_past >> 4) >= ORDER_TIMES) {
		f->holes = holes;
		f->holes_pct = pct;
		/* A transfer that fills its path loses now and then, a bad path all the time. */
		f->holes_steady = rec->order_past >> 4 == 15;
	}
}

static void note_order(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh)
{
	uint32_t reordered = nt_info32(v, TI_REORD_SEEN), holes = nt_info32(v, TI_RCV_OOOPACK);

	if (fresh) {
		rec->order_past = 0;
	} else {
		rec->order_past = (uint8_t)(rec->order_past << 1 & 0xee);
		rec->order_past |= (uint8_t)((reordered != rec->last_reordered) |
					     (holes != rec->last_out_of_order) << 4);
	}
	rec->last_reordered = reordered;
	rec->last_out_of_order = holes;
}

static void take_base(struct nt_rec *rec, const struct nt_diag_view *v)
{
	rec->loss_retrans[0] = nt_info32(v, TI_TOTAL_RETRANS);
	rec->loss_dsacks[0] = nt_info32(v, TI_DSACK_DUPS);
	sent_words(v, &rec->loss_sent[0], &rec->loss_resent[0]);
	rec->segs_out[0] = nt_info32(v, TI_DATA_SEGS_OUT);
	rec->reordered[0] = nt_info32(v, TI_REORD_SEEN);
	rec->segs_in[0] = nt_info32(v, TI_DATA_SEGS_IN);
	rec->out_of_order[0] = nt_info32(v, TI_RCV_OOOPACK);
}

static void shift_base(struct nt_rec *rec)
{
	rec->loss_retrans[1] = rec->loss_retrans[0];
	rec->loss_dsacks[1] = rec->loss_dsacks[0];
	rec->loss_sent[1] = rec->loss_sent[0];
	rec->loss_resent[1] = rec->loss_resent[0];
	rec->segs_out[1] = rec->segs_out[0];
	rec->reordered[1] = rec->reordered[0];
	rec->segs_in[1] = rec->segs_in[0];
	rec->out_of_order[1] = rec->out_of_order[0];
}

/*
 * One segment at a time: its probe or time-out comes so late that a slow answer is no reason for
 * it. What the peer had already was resent because its answer or ACK was lost: loss all the same.
 */
static bool is_thin(const struct nt_rec *rec, const struct nt_facts *f, uint32_t sent)
{
	return sent && sent <= THIN_SEGMENTS && f->unacked <= 1 && !f->notsent_bytes &&
	       !f->reordered && rec->min_rtt_us >= THIN_RTT_US &&
	       rec->min_rtt_us != NT_MIN_RTT_UNKNOWN;
}

void nt_roll_loss(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh, uint64_t time_ms,
		  struct nt_facts *f)
{
	uint32_t now_ms = (uint32_t)time_ms; /* the low word: differences count */
	uint32_t retrans = nt_info32(v, TI_TOTAL_RETRANS);
	uint32_t dsacks = nt_info32(v, TI_DSACK_DUPS); /* 0 where the kernel has none */
	uint64_t sent, resent;

	sent_words(v, &sent, &resent);
	if (fresh) {
		rec->loss_at_ms = now_ms;
		rec->loss_lag = 0;
		rec->loss_dups_s = 0;
		take_base(rec, v);
		shift_base(rec);
	} else if (now_ms - rec->loss_at_ms >= LOSS_STEP_MS) {
		rec->loss_at_ms = now_ms;
		rec->loss_lag = (uint16_t)(f->new_retrans < UINT16_MAX ? f->new_retrans :
									 UINT16_MAX);
		shift_base(rec);
		take_base(rec, v);
	}
	bool duplicates = network_duplicates(rec, retrans, dsacks, (uint32_t)(time_ms / 1000),
					     f->dt_s);
	uint32_t lost[2], all[2];

	note_order(rec, v, fresh);
	for (uint32_t n = 0; n < 2; n++) {
		uint32_t spurious = duplicates ? 0 : dsacks - rec->loss_dsacks[n];

		all[n] = retrans - rec->loss_retrans[n];
		lost[n] = all[n] - (spurious < all[n] ? spurious : all[n]);
		order_since(rec, v, n, f);
	}
	f->loss_retrans = lost[1];
	f->loss_pct = lost_since(rec, 1, lost[1], all[1], sent, resent);
	rec->flags &= ~(uint32_t)NT_F_RETR_PCT;
	if (sent != rec->loss_sent[1] && v->info_len >= TI_BYTES_RETRANS + 8) {
		rec->retr_pct = f->loss_pct;
		rec->flags |= NT_F_RETR_PCT;
	}
	float young = lost_since(rec, 0, lost[0], all[0], sent, resent);
	uint32_t segments = nt_info32(v, TI_DATA_SEGS_OUT) - rec->segs_out[1];

	if (lost[0] >= LOSS_MANY && f->new_retrans && young > f->loss_pct) {
		f->loss_retrans = lost[0];
		f->loss_pct = young;
	}
	f->thin = is_thin(rec, f, segments);
	if (f->thin && all[1] > f->loss_retrans) {
		f->loss_retrans = all[1];
		f->loss_pct = percent_of(all[1], segments);
	}
}

void nt_stay_loss(struct nt_rec *rec, uint32_t now_ms)
{
	if (now_ms - rec->loss_at_ms >= LOSS_STEP_MS)
		rec->loss_at_ms = now_ms;
}
