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

/* Where a round trip is shorter, buffers and options that are waited for cost next to nothing. */
#define LONG_PATH_US 1000
/* A small segment that waits for a prompt ACK costs no more than the path does. */
#define NAGLE_US 10000
/* Receive windows from here on are no small ones. */
#define RCV_WINDOW_BYTES 65536

static bool is_paced(const struct nt_diag_view *v)
{
	uint64_t most = nt_info64(v, TI_MAX_PACING_RATE);

	return most && most != UINT64_MAX && nt_info64(v, TI_PACING_RATE) >= most;
}

/*
 * What was sent last may hold the next segment back by the rate at which congestion control lets
 * segments go (tcp_pacing_check; the queue fq): two segments go at once where that is low.
 */
static bool may_be_paced(const struct nt_diag_view *v)
{
	uint64_t rate = nt_info64(v, TI_PACING_RATE);
	uint64_t since_ms = nt_info32(v, TI_LAST_DATA_SENT);

	return rate && rate < UINT64_MAX / (since_ms + 1) &&
	       since_ms * rate < 2000ULL * nt_info32(v, TI_SND_MSS);
}

/*
 * The congestion window holds data back: it is full, or so nearly that the kernel waits for
 * room for a larger burst (tcp_tso_should_defer). A sender that resends on time-outs waits for
 * an answer, one that runs at the rate its program set for its own clock.
 */
static bool cwnd_holds(const struct nt_rec *rec, const struct nt_diag_view *v,
		       const struct nt_facts *f)
{
	if (!f->unacked || rec->retransmits)
		return false;
	if (f->unacked >= rec->snd_cwnd)
		return f->notsent_bytes || !(rec->flags & NT_F_APP_LIMITED);
	return !is_paced(v) && f->notsent_bytes >= nt_info32(v, TI_SND_MSS) &&
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

	if (v->skmem_len < sizeof(mem) || !f->unacked || rec->retransmits ||
	    rec->rtt_us < LONG_PATH_US)
		return false;
	memcpy(mem, v->skmem, sizeof(mem));
	return f->notsent_bytes < nt_info32(v, TI_SND_MSS) &&
	       (uint64_t)mem[5] * 3 >= (uint64_t)mem[3] * 2;
}

/*
 * A probe of a window that is open carries data, and were it sent it would be on its way: the kernel
 * tries again as for a shut window what this host itself refuses to send.
 */
bool nt_refused_here(const struct nt_rec *rec, const struct nt_facts *f)
{
	return rec->timer == NT_TIMER_PROBE && rec->timer_retrans && f->snd_wnd && !f->unacked &&
	       f->notsent_bytes;
}

/*
 * What the program set holds data back, though both windows have room: the rate that it allows,
 * or a segment that is not full. Such a one waits for the ACK of a small one before it (Nagle),
 * which the peer delays, or, with nothing on its way, for more to fill it (TCP_CORK, MSG_MORE).
 */
static uint8_t option_holds(const struct nt_rec *rec, const struct nt_diag_view *v,
			    const struct nt_facts *f)
{
	uint32_t mss = nt_info32(v, TI_SND_MSS);
	bool room = (uint64_t)f->unacked * 3 < (uint64_t)rec->snd_cwnd * 2 &&
		    (uint64_t)f->snd_wnd >= (f->unacked + 1ULL) * mss;

	if (!f->notsent_bytes || rec->retransmits || !room)
		return 0;
	if (is_paced(v))
		return NT_B_PACED;
	if (f->notsent_bytes >= mss)
		return 0;
	/* What could not be sent, as a firewall or a route here refuses it, waits in the same way. */
	if (!f->unacked)
		return f->lost_here || nt_refused_here(rec, f) || may_be_paced(v) ? 0 : NT_B_CORK;
	return rec->min_rtt_us != NT_MIN_RTT_UNKNOWN && rec->rtt_us > rec->min_rtt_us + NAGLE_US ?
		       NT_B_NAGLE :
		       0;
}

/*
 * How full each round trip's window is that we give the peer, if it is a small one and what came
 * was read. The least round trip counts: that which the receiver estimates contains the pauses of
 * the peer's program.
 */
static float rcvbuf_filled(const struct nt_rec *rec, const struct nt_diag_view *v)
{
	uint32_t window = nt_info32(v, TI_RCV_WND);

	if (!window || window >= RCV_WINDOW_BYTES || rec->rqueue * 2ULL > window ||
	    rec->min_rtt_us < LONG_PATH_US || rec->min_rtt_us == NT_MIN_RTT_UNKNOWN)
		return 0;
	float pct = rec->rx_bytes_per_s * (float)rec->min_rtt_us * 1e-4f / (float)window;

	return pct > 100 ? 100 : pct;
}

void nt_note_limits(const struct nt_rec *rec, const struct nt_diag_view *v, struct nt_facts *f)
{
	f->option = option_holds(rec, v, f);
	f->rcvbuf_pct = f->rolled && rec->flags & NT_F_RATES ? rcvbuf_filled(rec, v) : 0;
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

void nt_stay_limited(struct nt_rec *rec, uint32_t now_ms)
{
	uint32_t window = now_ms - rec->lim_at_ms;

	if (window < LIMITED_WINDOW_MS)
		return;
	if (window < LIMITED_WINDOW_MAX_MS) {
		rec->lim_idle_pct = 100;
		rec->flags |= NT_F_LIMITED;
	}
	rec->lim_at_ms = now_ms;
}
