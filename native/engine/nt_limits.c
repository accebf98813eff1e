// SPDX-License-Identifier: MIT
/* What held a sender back: shares of the last window of time. */
#include <string.h>

#include "nt_engine.h"

/* The kernel counts the limits in jiffies: shorter windows say little. */
#define LIMITED_WINDOW_MS 950
#define LIMITED_WINDOW_MAX_MS (60U * 60 * 1000)

static uint8_t share(uint32_t part_ms, uint32_t whole_ms)
{
	uint64_t pct = ((uint64_t)part_ms * 100 + whole_ms / 2) / whole_ms;

	return (uint8_t)(pct > 100 ? 100 : pct);
}

/*
 * The congestion window holds data back: it is full, or so nearly that the kernel waits for
 * room for a larger burst (tcp_tso_should_defer). A sender that resends on time-outs waits for
 * an answer, one that runs at the rate its program set for its own clock.
 */
static bool cwnd_holds(const struct nt_rec *rec, const struct nt_diag_view *v,
		       const struct nt_facts *f)
{
	uint64_t most = nt_info64(v, TI_MAX_PACING_RATE);
	bool paced = most != UINT64_MAX && nt_info64(v, TI_PACING_RATE) >= most;

	if (!f->unacked || rec->retransmits)
		return false;
	if (f->unacked >= rec->snd_cwnd)
		return f->notsent_bytes || !(rec->flags & NT_F_APP_LIMITED);
	return !paced && f->notsent_bytes >= nt_info32(v, TI_SND_MSS) &&
	       (uint64_t)f->unacked * 3 >= (uint64_t)rec->snd_cwnd * 2;
}

/*
 * All that the program was let write is on its way, and there is no room for more: it is woken
 * once a third of the buffer is free. The kernel itself counts this only if it sees the program
 * wait in the moment in which it sends the last segment.
 */
static bool sndbuf_holds(const struct nt_rec *rec, const struct nt_diag_view *v,
			 const struct nt_facts *f)
{
	uint32_t mem[6]; /* SK_MEMINFO_*: 3 SNDBUF, 5 WMEM_QUEUED */

	if (v->skmem_len < sizeof(mem) || !f->unacked || rec->retransmits)
		return false;
	memcpy(mem, v->skmem, sizeof(mem));
	return f->notsent_bytes < nt_info32(v, TI_SND_MSS) &&
	       (uint64_t)mem[5] * 3 >= (uint64_t)mem[3] * 2;
}

/*
 * rwnd as the kernel counts it; what it counts as sndbuf, and the rest of the busy time if the
 * buffer is what held data back; else that is the congestion window's if data waited for it,
 * else it waited for an ACK, for pacing, or for more to fill a segment with.
 */
void nt_roll_limited(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh, uint32_t now_ms,
		     const struct nt_facts *f)
{
	uint32_t busy = (uint32_t)(nt_info64(v, TI_BUSY_TIME) / 1000);
	uint32_t rwnd = (uint32_t)(nt_info64(v, TI_RWND_LIMITED) / 1000);
	uint32_t sndbuf = (uint32_t)(nt_info64(v, TI_SNDBUF_LIMITED) / 1000);
	uint32_t window = now_ms - rec->lim_at_ms;

	rec->busy_ms = busy;
	rec->rwnd_limited_ms = rwnd;
	rec->sndbuf_limited_ms = sndbuf;
	if (v->info_len < TI_SNDBUF_LIMITED + 8)
		return;
	if (!fresh && window < LIMITED_WINDOW_MS)
		return;
	if (!fresh && window < LIMITED_WINDOW_MAX_MS) {
		uint32_t d_busy = busy - rec->lim_busy_ms, d_rwnd = rwnd - rec->lim_rwnd_ms;
		uint32_t d_sndbuf = sndbuf - rec->lim_sndbuf_ms;

		/* A jiffy more than the window is the rounding of two clocks. */
		if (d_busy > window)
			d_busy = window;
		if (d_rwnd > d_busy)
			d_rwnd = d_busy;
		if (d_sndbuf > d_busy - d_rwnd)
			d_sndbuf = d_busy - d_rwnd;
		uint32_t rest = d_busy - d_rwnd - d_sndbuf;

		bool cwnd = cwnd_holds(rec, v, f);

		if (!cwnd && sndbuf_holds(rec, v, f)) {
			d_sndbuf += rest;
			rest = 0;
		}
		rec->lim_rwnd_pct = share(d_rwnd, window);
		rec->lim_sndbuf_pct = share(d_sndbuf, window);
		rec->lim_cwnd_pct = cwnd ? share(rest, window) : 0;
		rec->lim_in_flight_pct = cwnd ? 0 : share(rest, window);
		uint32_t known = rec->lim_rwnd_pct + rec->lim_sndbuf_pct + rec->lim_cwnd_pct +
				 rec->lim_in_flight_pct;

		rec->lim_idle_pct = (uint8_t)(known < 100 ? 100 - known : 0);
		rec->flags |= NT_F_LIMITED;
	}
	rec->lim_at_ms = now_ms;
	rec->lim_busy_ms = busy;
	rec->lim_rwnd_ms = rwnd;
	rec->lim_sndbuf_ms = sndbuf;
}
