// SPDX-License-Identifier: MIT
/* How long received data has lain unread, and whether the program could read it. */
#include <string.h>

#include "nt_engine.h"
#include "nt_holders.h"

/* Low words of milliseconds go round after 49 days: an older age stands still. */
#define UNREAD_MOST_MS 0x80000000U

/* States in which the peer's FIN has come: it counts as one byte of the receive queue. */
static bool fin_received(uint8_t state)
{
	return state == NT_TCP_CLOSE_WAIT || state == NT_TCP_LAST_ACK || state == NT_TCP_CLOSING ||
	       state == NT_TCP_TIME_WAIT;
}

/*
 * Lower bound of the age of the oldest unread byte: all of it came before the
 * last data did, and as long as the reader took nothing since we saw data
 * unread, the byte it will take next has waited at least that long.
 */
void nt_bound_unread(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh, uint32_t now_ms,
		     const struct nt_facts *f)
{
	uint32_t unread = rec->rqueue - (rec->rqueue && fin_received(rec->state) ? 1 : 0);
	/* A FIN is counted in both. */
	uint32_t taken = (uint32_t)nt_info64(v, TI_BYTES_RECEIVED) - rec->rqueue;

	bool was_empty = !(rec->flags & NT_F_OLDEST_UNREAD);

	rec->flags &= ~(uint32_t)NT_F_OLDEST_UNREAD;
	if (!unread || was_empty || fresh || taken != rec->taken_bytes) {
		rec->taken_bytes = taken;
		rec->taken_at_ms = now_ms;
	}
	if (!unread)
		return;
	uint32_t age = now_ms - rec->taken_at_ms;

	if (age > UNREAD_MOST_MS) {
		age = UNREAD_MOST_MS;
		rec->taken_at_ms = now_ms - age;
	}
	rec->oldest_unread_ms = f->last_data_recv_ms > age ? f->last_data_recv_ms : age;
	rec->flags |= NT_F_OLDEST_UNREAD;
}

/* Members of struct mptcp_info (include/uapi/linux/mptcp.h). */
enum { MI_SUBFLOWS = 0, MI_RCV_NXT = 32, MI_LAST_DATA_RECV = 88 };

#define GROWS_MS 4000U

/*
 * Each byte takes a byte of memory or more. So where it has grown by as much as came, or more, it is
 * read slower than it comes, if at all: lim_at_ms, lim_busy_ms, lim_rwnd_ms are the time, and what
 * had come and the memory then.
 */
static bool held_grows(struct nt_rec *rec, uint32_t came, bool begin, uint32_t now_ms)
{
	uint32_t more = came - rec->lim_busy_ms;

	if (begin || (int64_t)rec->rqueue - rec->lim_rwnd_ms < (int64_t)more) {
		rec->lim_at_ms = now_ms;
		rec->lim_busy_ms = came;
		rec->lim_rwnd_ms = rec->rqueue;
		return false;
	}
	return more && now_ms - rec->lim_at_ms >= GROWS_MS;
}

/*
 * Of MPTCP the kernel says no bytes, but the memory of what it holds: while some is held, what
 * came last has not all been read. All that came is at least as old as the last of it.
 */
void nt_bound_mptcp(struct nt_rec *rec, const struct nt_diag_view *v, bool fresh, uint32_t now_ms,
		    struct nt_facts *f)
{
	uint32_t came = (uint32_t)nt_info64(v, MI_RCV_NXT), last_ms = 0;
	bool was_empty = !(rec->flags & NT_F_OLDEST_UNREAD);

	rec->flags &= ~(uint32_t)NT_F_OLDEST_UNREAD;
	if (!rec->rqueue || rec->state == NT_TCP_LISTEN || v->info_len < MI_RCV_NXT + 8) {
		/* So that it can rest. */
		rec->taken_bytes = rec->taken_at_ms = 0;
		rec->lim_at_ms = rec->lim_busy_ms = rec->lim_rwnd_ms = 0;
		return;
	}
	if (was_empty || fresh || came != rec->taken_bytes) {
		rec->taken_bytes = came;
		rec->taken_at_ms = now_ms;
	}
	uint32_t age = now_ms - rec->taken_at_ms;

	if (age > UNREAD_MOST_MS) {
		age = UNREAD_MOST_MS;
		rec->taken_at_ms = now_ms - age;
	}
	f->grows = held_grows(rec, came, was_empty || fresh, now_ms);
	/* Linux 6.10 */
	if (v->info_len >= MI_LAST_DATA_RECV + 4)
		last_ms = nt_info32(v, MI_LAST_DATA_RECV);
	rec->oldest_unread_ms = last_ms > age ? last_ms : age;
	rec->flags |= NT_F_OLDEST_UNREAD;
}

/*
 * Queued bytes need not be readable: an urgent byte, or fewer than SO_RCVLOWAT. By the numbers
 * of the diag plane only a queue that takes half its buffer, or ends with a FIN, surely is.
 */
static int readable_by_size(const struct nt_rec *rec, const struct nt_diag_view *v)
{
	uint32_t mem[2]; /* taken, allowed */

	/* What no program has taken up none can have asked to wait for more. */
	if (fin_received(rec->state) || (!rec->inode && rec->state == NT_TCP_ESTABLISHED))
		return 1;
	if (v->skmem_len < sizeof(mem))
		return -1;
	memcpy(mem, v->skmem, sizeof(mem));
	return (uint64_t)rec->rqueue * 2 >= mem[1] || (uint64_t)mem[0] * 8 > (uint64_t)mem[1] * 7 ?
		       1 :
		       -1;
}

/*
 * Of MPTCP a part of the stream may be missing that another path brings, or SO_RCVLOWAT not be
 * reached: neither where the one path there is has filled half of the buffer.
 */
static int mptcp_readable(const struct nt_rec *rec, const struct nt_diag_view *v)
{
	uint32_t mem[2];

	if (nt_info8(v, MI_SUBFLOWS)) /* beside the first */
		return -1;
	if (fin_received(rec->state))
		return 1;
	if (v->skmem_len < sizeof(mem))
		return -1;
	memcpy(mem, v->skmem, sizeof(mem));
	return (uint64_t)mem[0] * 2 >= mem[1] ? 1 : -1;
}

/* The wait plane would report what is readable in this socket. */
static bool would_be_seen(struct nt_engine *e, const struct nt_rec *rec)
{
	struct nt_proc proc;

	if (e->waits_whole || !e->waits_held || !rec->inode)
		return e->waits_whole;
	if (e->procs)
		return nt_procs_find(e->procs, rec->inode, &proc) == 1;
	const struct nt_holder *holder = nt_holders_find(&e->holders, rec->inode);

	return holder && holder->n;
}

/* What the wait plane saw is better than what polling can bound. */
void nt_take_unread(struct nt_engine *e, struct nt_rec *rec, const struct nt_diag_view *v,
		    struct nt_facts *f)
{
	const struct nt_plane *plane = f->plane;

	rec->flags &= ~(uint32_t)(NT_F_UNREAD_EXACT | NT_F_UNREADABLE);
	f->readable = 1;
	if (rec->proto == NT_PROTO_MPTCP) {
		if (rec->flags & NT_F_OLDEST_UNREAD)
			f->readable = mptcp_readable(rec, v);
		return;
	}
	if (!plane || !(plane->has & NT_P_UNREAD)) {
		if (!(rec->flags & NT_F_OLDEST_UNREAD))
			return;
		/* Of a socket that the table did not know the plane has reported nothing yet. */
		f->readable = !(rec->flags & NT_F_NEW) && would_be_seen(e, rec) ?
				      0 :
				      readable_by_size(rec, v);
		if (!f->readable)
			rec->flags |= NT_F_UNREADABLE;
		return;
	}
	uint64_t ms = plane->oldest_unread_ns / 1000000;
	uint32_t clipped = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;

	if (!(plane->has & NT_P_UNREAD_BOUND))
		rec->flags |= NT_F_UNREAD_EXACT;
	else if (rec->flags & NT_F_OLDEST_UNREAD && rec->oldest_unread_ms > clipped)
		return;
	rec->flags |= NT_F_OLDEST_UNREAD;
	rec->oldest_unread_ms = clipped;
}
