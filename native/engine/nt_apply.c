// SPDX-License-Identifier: MIT
/*
 * Sections into the table: the only way in, for what was just read and for what was recorded. No
 * system call and no clock: every time is that of a section.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"
#include "nt_events_state.h"
#include "nt_holders.h"
#include "nt_path_state.h"
#include "nt_sections.h"
#include "nt_stages_state.h"
#include "nt_wait_state.h"

/*
 * Asks for the index and the records of a whole read before they are needed:
 * the table is larger than the caches, and the kernel has just used those.
 */
static void prefetch_records(const struct nt_table *t, const uint8_t *bytes, uint32_t n_bytes)
{
	const size_t cookie_at = NLMSG_HDRLEN + offsetof(struct inet_diag_msg, id.idiag_cookie);

	for (int pass = 0; pass < 2; pass++) {
		const uint8_t *p = bytes;
		uint32_t n = n_bytes;

		while (n >= NLMSG_HDRLEN + sizeof(struct inet_diag_msg)) {
			uint32_t len = ((const struct nlmsghdr *)p)->nlmsg_len;
			uint64_t cookie;

			if (len < NLMSG_HDRLEN + sizeof(struct inet_diag_msg) || len > n)
				return;
			memcpy(&cookie, p + cookie_at, sizeof(cookie));
			if (pass == 0)
				nt_table_prefetch_index(t, cookie);
			else
				nt_table_prefetch_record(t, cookie);
			uint32_t step = NLMSG_ALIGN(len);

			if (step >= n)
				break;
			p += step;
			n -= step;
		}
	}
}

/* -errno or a length from the end of a dump; 0 if there is none. */
static int error_of(const uint8_t *p, uint32_t n)
{
	int32_t err;

	if (n < sizeof(err))
		return 0;
	memcpy(&err, p, sizeof(err));
	return err < -4095 ? -EPROTO : err; /* the kernel's own errors end there */
}

/*
 * Takes the messages of one read. Returns 1 at the end of the dump, 0 if more
 * follows, -errno as the kernel said it.
 */
static int take_messages(struct nt_engine *e, uint32_t netns, uint8_t proto, const uint8_t *p,
			 uint32_t n, bool lookup)
{
	while (n >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)p;
		uint32_t len = h->nlmsg_len;

		if (len < sizeof(*h) || len > n) {
			e->totals.malformed++;
			return 0;
		}
		const uint8_t *payload = p + NLMSG_HDRLEN;
		uint32_t payload_n = len - (uint32_t)NLMSG_HDRLEN;
		int err;

		switch (h->nlmsg_type) {
		case NLMSG_DONE:
			err = error_of(payload, payload_n);
			return err < 0 ? err : 1;
		case NLMSG_ERROR:
			err = error_of(payload, payload_n);
			return err < 0 ? err : -EPROTO;
		case NLMSG_NOOP:
			break;
		default: {
			struct nt_diag_view v;

			e->totals.messages++;
			if (nt_parse_diag(payload, payload_n, &v))
				e->totals.malformed++;
			else
				nt_update(e, netns, proto, &v, lookup);
		}
		}
		uint32_t step = NLMSG_ALIGN(len);

		if (step >= n)
			break;
		p += step;
		n -= step;
	}
	return 0;
}

void nt_fail(struct nt_engine *e, uint32_t netns, uint8_t proto, uint8_t family, int error)
{
	struct nt_failure f = { .netns = netns, .proto = proto, .family = family, .error = error };

	for (uint32_t i = 0; i < e->n_failures; i++)
		if (!memcmp(&e->failures[i], &f, sizeof(f)))
			return;
	e->totals.failed++;
	if (e->n_failures == e->failures_cap) {
		uint32_t cap = e->failures_cap ? e->failures_cap * 2 : 16;
		struct nt_failure *v = realloc(e->failures, cap * sizeof(*v));

		if (!v) {
			e->failures_lost = true;
			return;
		}
		e->failures = v;
		e->failures_cap = cap;
	}
	e->failures[e->n_failures++] = f;
}

int nt_failures(struct nt_engine *e, struct nt_failure *ret, uint32_t max)
{
	pthread_mutex_lock(&e->lock);
	uint32_t n = e->n_failures;

	for (uint32_t i = 0; i < n && i < max; i++)
		ret[i] = e->failures[i];
	pthread_mutex_unlock(&e->lock);
	return (int)n;
}

static int begin_sweep(struct nt_engine *e, const struct nt_section *head, const uint8_t *body)
{
	struct nt_sweep_head s;

	if (head->bytes < sizeof(s))
		return -EPROTO;
	memcpy(&s, body, sizeof(s));
	if (!e->sweep++)
		e->start_ns = head->at_ns;
	e->now_ns = head->at_ns;
	e->roll_ms = s.roll_ms;
	e->n_failures = 0;
	e->failures_lost = false;
	memset(&e->totals, 0, sizeof(e->totals));
	e->totals.sweep = e->sweep;
	e->totals.netns = s.netns;
	e->totals.flow_retrans_pct = -1;
	e->sent_per_s = e->resent_per_s = 0;
	e->next.n = 0;
	e->next_stale = e->next_whole = false;
	e->back.n = 0;
	return 0;
}

static int end_dump(struct nt_engine *e, const struct nt_section *head, const uint8_t *body)
{
	struct nt_dump_end end;

	if (head->bytes < sizeof(end))
		return -EPROTO;
	memcpy(&end, body, sizeof(end));
	e->totals.truncated += end.truncated;
	e->totals.restarts += end.how == NT_DUMP_AGAIN;
	e->totals.dumps += end.how == NT_DUMP_ENDED;
	if (end.error)
		nt_fail(e, head->netns, (uint8_t)head->arg, (uint8_t)(head->arg >> 8), end.error);
	return 0;
}

static bool is_proto(uint32_t arg)
{
	return (arg & 0xff) >= NT_PROTO_TCP && (arg & 0xff) <= NT_PROTO_MPTCP;
}

static void keep(struct nt_engine *e, const struct nt_section *head, const uint8_t *body)
{
	if (e->keep && nt_sections_add(e->kept, head, body))
		e->kept_lost = true;
}

int nt_apply(struct nt_engine *e, const struct nt_section *head, const uint8_t *body)
{
	uint64_t now_ns = e->now_ns;
	int done;

	if (head->kind != NT_S_DIAG)
		keep(e, head, body);
	if (head->kind > NT_S_SWEEP && head->kind <= NT_S_SWEPT && !e->sweep)
		return -EPROTO; /* nothing has begun */
	switch (head->kind) {
	case NT_S_SWEEP:
		return begin_sweep(e, head, body);
	case NT_S_DIAG:
		if (!is_proto(head->arg))
			return -EPROTO;
		e->now_ns = head->at_ns;
		prefetch_records(&e->table, body, head->bytes);
		done = take_messages(e, head->netns, (uint8_t)head->arg, body, head->bytes, false);
		nt_holders_flush(e, NT_S_NEW_OWNERS);
		keep(e, head, body);
		return done;
	case NT_S_DUMP:
		return is_proto(head->arg) ? end_dump(e, head, body) : -EPROTO;
	case NT_S_LOOKUP:
		if (!is_proto(head->arg))
			return -EPROTO;
		e->now_ns = head->at_ns;
		take_messages(e, head->netns, (uint8_t)head->arg, body, head->bytes, true);
		if (e->now_ns < now_ns)
			e->now_ns = now_ns;
		return 0;
	case NT_S_SWEPT:
		e->now_ns = head->at_ns;
		nt_sweep_close(e);
		nt_wait_late(e);
		nt_stages_late(e);
		return 0;
	case NT_S_WAIT:
	case NT_S_WAIT_OFF:
	case NT_S_WAIT_FOCUS:
	case NT_S_WAIT_SOCKETS:
	case NT_S_WAIT_PORTS:
		return nt_wait_apply(e, head, body);
	case NT_S_WAIT_SPLITS:
		return nt_split_apply(e, head, body);
	case NT_S_STAGES:
	case NT_S_STAGES_WANTED:
	case NT_S_STAGES_OFF:
	case NT_S_STAGES_FINE:
	case NT_S_STAGES_SOCKETS:
	case NT_S_STAGES_NICS:
		return nt_stages_apply(e, head, body);
	case NT_S_EVENTS:
	case NT_S_EVENT_RECORDS:
	case NT_S_EVENTS_OFF:
	case NT_S_DROP_REASONS:
	case NT_S_RESET_REASONS:
	case NT_S_DROPS:
		return nt_events_apply(e, head, body);
	case NT_S_PATH:
		return nt_path_apply(e, head, body);
	case NT_S_OWNERS:
	case NT_S_NEW_OWNERS:
		return nt_holders_apply(e, head, body);
	default:
		return 0; /* of a newer nettop */
	}
}

void nt_deliver(struct nt_engine *e, uint64_t at_ns, enum nt_section_kind kind, uint32_t arg,
		const void *body, uint32_t n)
{
	struct nt_section s = { .at_ns = at_ns, .kind = kind, .bytes = n, .arg = arg };

	if (n)
		nt_apply(e, &s, body);
}

int nt_take(struct nt_engine *e, const uint8_t *sections, uint64_t n)
{
	struct nt_section head;
	uint8_t *copy = NULL;
	const uint8_t *body;
	uint64_t at = 0;
	int more;

	/* Netlink messages are read in place, which needs their alignment. */
	if ((uintptr_t)sections % 8 && n) {
		copy = malloc(n);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, sections, n);
		sections = copy;
	}
	pthread_mutex_lock(&e->lock);
	while ((more = nt_section_next(sections, n, &at, &head, &body)) == 1)
		if (nt_apply(e, &head, body) == -EPROTO && head.kind != NT_S_DIAG) {
			more = -EPROTO;
			break;
		}
	pthread_mutex_unlock(&e->lock);
	free(copy);
	return more;
}

int nt_keep(struct nt_engine *e, int on)
{
	int err = 0;

	pthread_mutex_lock(&e->lock);
	for (int i = 0; on && i < 2 && !err; i++)
		if (!e->buffers[i])
			err = nt_sections_new(&e->buffers[i]);
	if (on && !err && !e->answers)
		err = nt_sections_new(&e->answers);
	for (int i = 0; i < 2 && (!on || err); i++) {
		nt_sections_free(e->buffers[i]);
		e->buffers[i] = NULL;
	}
	e->keep = on && !err;
	e->kept = e->buffers[0];
	e->kept_lost = false;
	if (e->keep)
		nt_sections_clear(e->kept);
	pthread_mutex_unlock(&e->lock);
	return err;
}

int64_t nt_kept(struct nt_engine *e, const uint8_t **ret)
{
	int64_t n = -ENOMEM;

	pthread_mutex_lock(&e->lock);
	*ret = NULL;
	if (!e->keep)
		n = -EINVAL;
	else if (!e->kept_lost)
		n = (int64_t)nt_sections_bytes(e->kept, ret);
	if (e->keep) {
		e->kept = e->kept == e->buffers[0] ? e->buffers[1] : e->buffers[0];
		nt_sections_clear(e->kept);
		e->kept_lost = false;
	}
	pthread_mutex_unlock(&e->lock);
	return n;
}
