// SPDX-License-Identifier: MIT
/* Events of sockets: what the kernel recorded in an interval, from its sections alone. */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nt_events_state.h"
#include "nt_planes.h"
#include "nt_room.h"

static int by_count(const void *a, const void *b)
{
	const struct nt_drop *x = a, *y = b;

	return x->count > y->count ? -1 : x->count < y->count;
}

static int by_interval(const void *a, const void *b)
{
	const struct nt_reason *x = a, *y = b;

	if (x->interval != y->interval)
		return x->interval > y->interval ? -1 : 1;
	return x->count > y->count ? -1 : x->count < y->count;
}

/* Reasons by the kernel's names, whose numbers differ between kernels; an end of * is open. */
static const struct {
	const char *name;
	enum nt_drop_cause cause;
} causes[] = {
	{ "SOCKET_FILTER", NT_D_REFUSED }, { "TCP_MINTTL", NT_D_REFUSED },
	{ "TCP_FLAGS", NT_D_REFUSED },	   { "XFRM_POLICY", NT_D_REFUSED },
	{ "TCP_MD5*", NT_D_REFUSED },	   { "TCP_AO*", NT_D_REFUSED },
	{ "TCP_AUTH*", NT_D_REFUSED },	   { "TCP_INVALID*", NT_D_REFUSED },
	{ "TCP_RESET", NT_D_REFUSED },	   { "SOCKET_RCVBUFF", NT_D_FULL },
	{ "SOCKET_BACKLOG", NT_D_FULL },   { "UDP_CSUM", NT_D_CHECKSUM },
	{ "TCP_CSUM", NT_D_CHECKSUM },	   { "PROTO_MEM", NT_D_MEMORY },
	{ "NOMEM", NT_D_MEMORY },	   { "NETFILTER_DROP", NT_D_HERE },
	{ "QDISC_*", NT_D_HERE },	   { "TC_EGRESS", NT_D_HERE },
	{ "FULL_RING", NT_D_HERE },	   { "DEV_READY", NT_D_HERE },
	{ "CPU_BACKLOG", NT_D_HERE },	   { "NEIGH_CREATEFAIL", NT_D_HERE },
	{ "TC_INGRESS", NT_D_HERE },	   { "XDP", NT_D_HERE },
	{ "IP_RPFILTER", NT_D_HERE },	   { "BPF_CGROUP_EGRESS", NT_D_HERE },
};

static enum nt_drop_cause cause_of(const char *name)
{
	for (uint32_t i = 0; i < sizeof(causes) / sizeof(*causes); i++) {
		size_t n = strlen(causes[i].name);
		bool open = causes[i].name[n - 1] == '*';

		if (open ? !strncmp(name, causes[i].name, n - 1) : !strcmp(name, causes[i].name))
			return causes[i].cause;
	}
	return NT_D_OTHER;
}

static const char *name_of(const struct nt_ev_names *names, uint32_t reason)
{
	for (uint32_t i = 0; i < names->n; i++)
		if (names->v[i].reason == reason)
			return names->v[i].name;
	return NULL;
}

static void put_number(uint32_t reason, char *ret, size_t n)
{
	if (reason >> 16)
		snprintf(ret, n, "%u of subsystem %u", reason & 0xffff, reason >> 16);
	else
		snprintf(ret, n, "%u", reason);
}

void nt_events_free(struct nt_event_log *log)
{
	if (!log)
		return;
	for (int i = 0; i < NT_EV_TYPES; i++)
		nt_room_free(log->kept[i], NT_EV_KEPT * sizeof(*log->kept[i]));
	nt_room_free(log->closed, NT_EV_KEPT * sizeof(*log->closed));
	nt_ev_memory_free(log->memory);
	free(log->drops);
	free(log);
}

static struct nt_event_log *new_log(uint64_t since_ns)
{
	struct nt_event_log *log = calloc(1, sizeof(*log));
	bool whole = log != NULL;

	if (!log)
		return NULL;
	for (int i = 0; i < NT_EV_TYPES; i++) {
		if (i == NT_EV_CLOSED)
			continue;
		log->kept[i] = nt_room_new(NT_EV_KEPT * sizeof(*log->kept[i]));
		whole = whole && log->kept[i];
	}
	log->closed = nt_room_new(NT_EV_KEPT * sizeof(*log->closed));
	log->memory = nt_ev_memory_new(since_ns);
	if (whole && log->closed && log->memory)
		return log;
	nt_events_free(log);
	return NULL;
}

static void forget(struct nt_engine *e)
{
	nt_events_free(e->events);
	e->events = NULL;
	nt_planes_dropped(e, NULL, 0);
}

static uint64_t missing(const struct nt_events_totals *t)
{
	uint64_t n = 0;

	for (int k = 0; k < NT_EV_TYPES; k++)
		n += t->suppressed[k] + t->lost[k] + t->missed[k];
	return n;
}

static int begin(struct nt_engine *e, const struct nt_section *s, const uint8_t *body)
{
	struct nt_events_head head;

	if (s->bytes != sizeof(head))
		return -EPROTO;
	memcpy(&head, body, sizeof(head));
	/* Of what happened in between nothing is known: what is remembered would claim that. */
	if (e->events && head.read != e->events->head.read + 1)
		forget(e);
	if (!e->events)
		e->events = new_log(head.begun_ns);
	struct nt_event_log *log = e->events;

	if (!log)
		return -ENOMEM;
	memcpy(head.before.overrun, log->head.now.overrun, sizeof(head.before.overrun));
	memcpy(head.now.overrun, log->head.now.overrun, sizeof(head.now.overrun));
	log->head = head;
	log->at_ns = s->at_ns;
	log->seq = head.now.first_seq - 1;
	log->n_drops = log->n_early = 0;
	memcpy(log->begun, log->count, sizeof(log->begun));
	/* It is not known whose the records were that the kernel left out. */
	if (missing(&head.now) != missing(&head.before))
		log->gap_ns = s->at_ns;
	nt_planes_dropped(e, NULL, 0);
	return 0;
}

/* The owner as the table knows it, where the kernel did not see one at work. */
static void find_owner(struct nt_engine *engine, struct nt_event *e)
{
	struct nt_proc proc;
	struct nt_rec room;
	uint32_t i;

	if (e->flags & NT_EVF_OWNER || !e->cookie)
		return;
	i = nt_table_find(&engine->table, e->cookie);
	if (i == NT_NONE)
		return;
	nt_owner_of(engine, nt_rec_read(&engine->table, i, &room), &proc);
	if (!proc.pid)
		return;
	e->pid = proc.pid;
	memcpy(e->comm, proc.comm, sizeof(e->comm));
	e->flags |= NT_EVF_OWNER;
}

/*
 * Packets that this host dropped before their socket was looked for: a rule before the routing, a
 * filter of tc.
 */
struct early {
	const struct nt_event *packets[NT_EV_ENDS];
	uint64_t cookies[NT_EV_ENDS];
	uint32_t n, taken;
};

static bool is_early(const struct nt_event_log *log, const struct nt_event *ev)
{
	const char *name;

	if (ev->type != NT_EV_DROP || ev->cookie || ev->proto != IPPROTO_TCP || !ev->dport)
		return false;
	name = name_of(&log->drop_reasons, ev->reason);
	return name && cause_of(name) == NT_D_HERE;
}

/* The socket of the next of them; counts the packet as dropped of it. */
static uint64_t early_cookie(struct nt_event_log *log, struct early *early)
{
	uint64_t cookie = early->cookies[early->taken];
	uint32_t segs = early->packets[early->taken++]->segs;

	if (cookie && log->n_early < NT_EV_ENDS) {
		struct nt_dropped *d = &log->early[log->n_early++];

		*d = (struct nt_dropped){ .cookie = cookie };
		d->by[NT_D_HERE] = 1;
		d->segs_here = segs ? segs : 1;
	}
	return cookie;
}

/*
 * Takes an event, or (closed) the last numbers of a socket, of which it is the first member;
 * cookie: of its socket, where the kernel did not know it.
 */
static void take_event(struct nt_engine *e, struct nt_event_log *log, const struct nt_event *ev,
		       const struct nt_closed *closed, uint64_t cookie)
{
	uint64_t at = log->count[ev->type] % NT_EV_KEPT;
	struct nt_event *to;

	if (closed) {
		log->closed[at] = *closed;
		to = &log->closed[at].ev;
		nt_final(e, to->cookie, closed->bytes_acked, closed->bytes_received,
			 closed->total_retrans);
	} else {
		to = &log->kept[ev->type][at];
		*to = *ev;
	}
	if (cookie)
		to->cookie = cookie;
	to->seq = ++log->seq;
	find_owner(e, to);
	if (++log->count[to->type] - log->begun[to->type] > NT_EV_KEPT)
		log->head.now.overrun[to->type]++;
	nt_ev_remember(log->memory, to);
}

/* Of the record at a place of a body, which is read in place; 0: it is none. */
static uint32_t record_size(const struct nt_section *s, const uint8_t *body, uint32_t at)
{
	const struct nt_event *ev = (const struct nt_event *)(body + at);
	uint32_t left = s->bytes - at, size = sizeof(*ev);

	if (left < size || ev->type >= NT_EV_TYPES)
		return 0;
	if (ev->type == NT_EV_CLOSED)
		size = sizeof(struct nt_closed);
	return left < size ? 0 : size;
}

static int take_records(struct nt_engine *e, struct nt_event_log *log, const struct nt_section *s,
			const uint8_t *body)
{
	struct early early = { .n = 0 };
	uint32_t size;

	if (s->arg != (sizeof(struct nt_event) | sizeof(struct nt_closed) << 16))
		return -EPROTO;
	for (uint32_t at = 0; at < s->bytes && early.n < NT_EV_ENDS; at += size) {
		const struct nt_event *ev = (const struct nt_event *)(body + at);

		size = record_size(s, body, at);
		if (!size)
			return -EPROTO;
		if (is_early(log, ev))
			early.packets[early.n++] = ev;
	}
	nt_ev_find_sockets(e, early.packets, early.n, early.cookies);
	for (uint32_t at = 0; at < s->bytes; at += size) {
		const struct nt_event *ev = (const struct nt_event *)(body + at);
		bool next = early.taken < early.n && early.packets[early.taken] == ev;

		size = record_size(s, body, at);
		if (!size)
			return -EPROTO;
		take_event(e, log, ev,
			   ev->type == NT_EV_CLOSED ? (const struct nt_closed *)ev : NULL,
			   next ? early_cookie(log, &early) : 0);
	}
	return 0;
}

static int take_reasons(struct nt_ev_names *names, const struct nt_section *s, const uint8_t *body)
{
	uint32_t n = s->bytes / (uint32_t)sizeof(*names->v);

	if (n > NT_EV_NAMES)
		return -EPROTO;
	if (s->bytes)
		memcpy(names->v, body, s->bytes);
	for (uint32_t i = 0; i < n; i++) {
		struct nt_reason *r = &names->v[i];

		r->name[sizeof(r->name) - 1] = 0;
		if (!*r->name)
			put_number(r->reason, r->name, sizeof(r->name));
	}
	names->n = n;
	qsort(names->v, n, sizeof(*names->v), by_interval);
	return 0;
}

static int take_drops(struct nt_engine *e, struct nt_event_log *log, const struct nt_section *s,
		      const uint8_t *body)
{
	uint32_t n = s->bytes / (uint32_t)sizeof(*log->drops), kept = 0;

	if (n > NT_EV_PLACES)
		return -EPROTO;
	struct nt_drop *drops = realloc(log->drops, s->bytes + sizeof(*drops));
	struct nt_dropped *v = calloc(n + log->n_early + 1UL, sizeof(*v));

	if (drops)
		log->drops = drops;
	if (!drops || !v) {
		free(v);
		return -ENOMEM;
	}
	if (s->bytes)
		memcpy(drops, body, s->bytes);
	log->n_drops = n;
	/* The verdicts of the sweep that follows ask why. */
	for (uint32_t i = 0; i < n; i++) {
		const char *name = name_of(&log->drop_reasons, drops[i].reason);

		if (!drops[i].cookie)
			continue;
		enum nt_drop_cause cause = name ? cause_of(name) : NT_D_OTHER;

		v[kept].cookie = drops[i].cookie;
		if (cause == NT_D_HERE)
			v[kept].segs_here = drops[i].segs ? drops[i].segs : drops[i].count;
		v[kept++].by[cause] = drops[i].count;
	}
	memcpy(&v[kept], log->early, log->n_early * sizeof(*v));
	nt_planes_dropped(e, v, kept + log->n_early);
	free(v);
	qsort(drops, n, sizeof(*drops), by_count);
	return 0;
}

/* Whether the body is records of this size. */
static bool holds(const struct nt_section *s, size_t record)
{
	return s->arg == record && s->bytes % record == 0;
}

int nt_events_apply(struct nt_engine *e, const struct nt_section *s, const uint8_t *body)
{
	if (s->kind == NT_S_EVENTS)
		return begin(e, s, body);
	if (s->kind == NT_S_EVENTS_OFF) {
		forget(e);
		return 0;
	}
	struct nt_event_log *log = e->events;

	if (!log)
		return -EPROTO; /* no interval has begun */
	if (s->kind == NT_S_EVENT_RECORDS)
		return take_records(e, log, s, body);
	if (s->kind == NT_S_DROP_REASONS && holds(s, sizeof(struct nt_reason)))
		return take_reasons(&log->drop_reasons, s, body);
	if (s->kind == NT_S_RESET_REASONS && holds(s, sizeof(struct nt_reason)))
		return take_reasons(&log->reset_reasons, s, body);
	if (s->kind == NT_S_DROPS && holds(s, sizeof(struct nt_drop)))
		return take_drops(e, log, s, body);
	return -EPROTO;
}

int nt_events_reason_name(struct nt_engine *e, int reset, uint32_t reason, char *ret, uint32_t n)
{
	const char *name = NULL;

	pthread_mutex_lock(&e->lock);
	if (e->events)
		name = name_of(reset ? &e->events->reset_reasons : &e->events->drop_reasons,
			       reason);
	if (name)
		snprintf(ret, n, "%s", name);
	else
		put_number(reason, ret, n);
	pthread_mutex_unlock(&e->lock);
	return 0;
}
