// SPDX-License-Identifier: MIT
/* What each socket did since the tick before, added to its group. */
#include "nt_count.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_hist.h"
#include "nt_planes.h"

#define NAMES_MOST                                                                                 \
	65536U /* keys that are remembered; of further sockets they are asked for again */
#define CLOSES_LEAST 64U

/* --- series and groups --- */

int nt_counter_new(uint32_t by, struct nt_counter **ret)
{
	struct nt_counter *c = calloc(1, sizeof(*c));

	*ret = c;
	if (!c)
		return -ENOMEM;
	c->by = by;
	int other = nt_counter_series(c);

	if (other < 0) {
		nt_counter_free(c);
		*ret = NULL;
	}
	return other < 0 ? other : 0;
}

void nt_counter_free(struct nt_counter *c)
{
	if (!c)
		return;
	nt_members_free(&c->members);
	nt_names_free(&c->names);
	free(c->serving.v);
	free(c->sockets.v);
	free(c->replaced);
	free(c->closed);
	free(c->closed_named);
	free(c->new_keys);
	free(c->new_named);
	free(c->known);
	free(c->groups);
	free(c->sums);
	free(c->before);
	free(c->sick);
	free(c);
}

static void begin_series(struct nt_counter *c, uint32_t i)
{
	c->sums[i] = (struct nt_sums){ .accept_share = -1, .changed = 1 };
	c->before[i] = (struct nt_sums_before){ .accept_share = -1 };
}

int nt_counter_series(struct nt_counter *c)
{
	for (uint32_t i = 0; c->n_free && i < c->n_sums; i++) {
		if (!c->before[i].free)
			continue;
		c->n_free--;
		begin_series(c, i);
		return (int)i;
	}
	if (nt_room_for_one((void **)&c->sums, c->n_sums, &c->sums_cap, sizeof(*c->sums)) ||
	    nt_room_for_one((void **)&c->before, c->n_sums, &c->before_cap, sizeof(*c->before)))
		return -ENOMEM;
	begin_series(c, c->n_sums);
	return (int)c->n_sums++;
}

void nt_counter_end_series(struct nt_counter *c, uint32_t series)
{
	if (series == NT_COUNT_OTHER || series >= c->n_sums || c->before[series].free)
		return;
	c->before[series].free = 1;
	c->n_free++;
}

/* A number is another group's only when no socket and no close can be of the one that ended. */
static uint32_t ended_number(struct nt_counter *c)
{
	uint32_t first = c->ended_first;

	if (!first || c->known[first - 1].ended_seq + 2 > c->seq)
		return NT_NONE;
	c->ended_first = c->known[first - 1].next_ended;
	if (!c->ended_first)
		c->ended_last = 0;
	return first - 1;
}

int nt_counter_group(struct nt_counter *c, uint32_t series)
{
	uint32_t number = ended_number(c);

	if (series >= c->n_sums)
		return -EINVAL;
	if (number == NT_NONE) {
		if (nt_room_for_one((void **)&c->groups, c->n_groups, &c->groups_cap,
				    sizeof(*c->groups)) ||
		    nt_room_for_one((void **)&c->known, c->n_groups, &c->known_cap,
				    sizeof(*c->known)))
			return -ENOMEM;
		number = c->n_groups++;
		c->known[number] = (struct nt_counter_group){ 0 };
	}
	c->known[number].generation++;
	c->known[number].ended_seq = c->known[number].next_ended = 0;
	c->groups[number] = (struct nt_count_group){ .series = series };
	return (int)number;
}

void nt_counter_move(struct nt_counter *c, uint32_t group, uint32_t series)
{
	if (group < c->n_groups && series < c->n_sums)
		c->groups[group].series = series;
}

void nt_counter_end_group(struct nt_counter *c, uint32_t group)
{
	if (group >= c->n_groups || c->known[group].ended_seq)
		return;
	c->groups[group].series = NT_COUNT_OTHER;
	c->known[group].ended_seq = c->seq ? c->seq : 1;
	c->known[group].generation++; /* keys that are of it need another */
	if (c->ended_last)
		c->known[c->ended_last - 1].next_ended = group + 1;
	else
		c->ended_first = group + 1;
	c->ended_last = group + 1;
}

/* --- who it is --- */

static bool is_named(const struct nt_counter *c, const struct nt_named *n)
{
	return n->group != NT_NONE && c->known[n->group].generation == n->generation;
}

/* The number of a key, which is among the new ones if it has no group; NT_NONE: no memory. */
static uint32_t find_name(struct nt_counter *c, const struct nt_count_key *key)
{
	uint32_t at = nt_names_find(&c->names, key);

	if (at == NT_NONE)
		return NT_NONE;
	struct nt_named *n = &c->names.v[at];

	if (is_named(c, n) || n->asked == c->seq)
		return at;
	if (nt_room_for_one((void **)&c->new_keys, c->n_new, &c->new_cap, sizeof(*key)) ||
	    nt_room_for_one((void **)&c->new_named, c->n_new, &c->new_named_cap,
			    sizeof(*c->new_named)))
		return NT_NONE;
	n->asked = c->seq;
	c->new_keys[c->n_new] = *key;
	c->new_named[c->n_new++] = at;
	return at;
}

/* What it did before nettop began is not counted. */
static struct nt_member *meet(struct nt_counter *c, const struct nt_rec *r)
{
	struct nt_member *m = nt_members_meet(&c->members, r->cookie, c->seq);

	if (!m)
		return NULL;
	m->group = NT_NONE;
	m->met_late = !(r->flags & NT_F_NEW) && c->seq > 1;
	if (!(r->flags & NT_F_NEW) || c->seq == 1)
		nt_count_remember(m, r);
	m->lim_at_ms = r->lim_at_ms;
	return m;
}

/* It is of this group from now on. */
static void join(struct nt_counter *c, struct nt_member *m, const struct nt_rec *r, uint32_t group)
{
	bool met = m->group == NT_NONE;

	m->group = group;
	if (met && r->flags & NT_F_NEW && c->seq > 1 && r->state != NT_TCP_LISTEN &&
	    r->proto != NT_PROTO_UDP)
		nt_count_grow(&c->sums[c->groups[group].series], NT_C_OPENED, 1);
}

static bool holds(const struct nt_member *m, const struct nt_proc *p)
{
	return m->pid == p->pid && m->owner == p->owner &&
	       !memcmp(m->comm, p->comm, sizeof(m->comm));
}

/* Of the next connection of the socket; drops and times of a socket go on. */
static void begin_anew(struct nt_member *m)
{
	m->bytes_sent = m->bytes_acked = m->bytes_received = m->bytes_retrans = 0;
	m->total_retrans = 0;
}

/* The close of the connection before is still to come, and is counted from where that one was. */
static int replace(struct nt_counter *c, struct nt_member *m)
{
	if (nt_room_for_one((void **)&c->replaced, c->n_replaced, &c->replaced_cap,
			    sizeof(*c->replaced)))
		return -ENOMEM;
	c->replaced[c->n_replaced++] = *m;
	nt_count_grow(&c->sums[c->groups[m->group].series], NT_C_OPENED, 1);
	begin_anew(m);
	return 0;
}

static int see(struct nt_counter *c, uint32_t i)
{
	struct nt_rec room;
	const struct nt_rec *r = nt_rec_read(&c->engine->table, i, &room);
	struct nt_member *m = nt_members_find(&c->members, r->cookie, c->seq);
	struct nt_proc proc;
	bool met = !m;

	if (met && r->flags & NT_F_MISSED)
		return 0; /* its end was counted */
	nt_owner_of(c->engine, r, &proc);
	if (met)
		m = meet(c, r);
	if (!m)
		return -ENOMEM;
	m->seq = c->seq;
	/* A tick that failed left it without a group. */
	met = met || m->group == NT_NONE;
	if (!met && r->flags & NT_F_INFO && nt_count_anew(m, r) && replace(c, m))
		return -ENOMEM;
	/* What its program left to the kernel, to be sent and closed, is still the program's. */
	if (met || ((proc.pid || !m->pid) && (c->new_service || !holds(m, &proc)))) {
		struct nt_count_key key;

		m->pid = proc.pid;
		m->owner = proc.owner;
		memcpy(m->comm, proc.comm, sizeof(m->comm));
		nt_count_key_of(c, r, &proc, &key);
		uint32_t name = find_name(c, &key);

		if (name == NT_NONE)
			return -ENOMEM;
		if (!is_named(c, &c->names.v[name])) {
			if (nt_room_for_one((void **)&c->sockets.v, c->sockets.n, &c->sockets.cap,
					    sizeof(*c->sockets.v)))
				return -ENOMEM;
			c->sockets.v[c->sockets.n++] = (struct nt_pending){ i, name };
			return 0;
		}
		join(c, m, r, c->names.v[name].group);
	}
	nt_count_one(c, m, r);
	return 0;
}

/* --- closes --- */

static int fetch_closes(struct nt_counter *c, struct nt_engine *e, uint64_t after, int filtered)
{
	int n = 0;

	c->n_closed = 0;
	while (after) {
		if (c->closed_cap) {
			n = nt_events_closed(e, NULL, 0, filtered, after, c->closed, c->closed_cap);
			if (n < (int)c->closed_cap)
				break;
		}
		uint32_t cap = c->closed_cap ? c->closed_cap * 2 : CLOSES_LEAST;
		struct nt_closed *v = realloc(c->closed, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->closed = v;
		uint32_t *named = realloc(c->closed_named, cap * sizeof(*named));

		if (!named)
			return -ENOMEM;
		c->closed_named = named;
		c->closed_cap = cap;
	}
	c->n_closed = (uint32_t)n;
	return 0;
}

/* Whose it was, where that is not known by now. */
static int name_close(struct nt_counter *c, uint32_t i)
{
	const struct nt_closed *one = &c->closed[i];
	const struct nt_event *ev = &one->ev;
	const struct nt_member *m = nt_members_find(&c->members, ev->cookie, c->seq);
	struct nt_count_key key;

	c->closed_named[i] = NT_NONE;
	if (ev->state == NT_TCP_LISTEN ||
	    (m ? m->pid || !(ev->flags & NT_EVF_OWNER) : !one->born_ns))
		return 0;
	nt_count_key_of_event(c, ev, &key);
	c->closed_named[i] = find_name(c, &key);
	return c->closed_named[i] == NT_NONE ? -ENOMEM : 0;
}

/* Deliveries that were read after the last tick in which the socket was there. */
static void add_last_waits(struct nt_counter *c, struct nt_sums *s, const struct nt_member *m,
			   const struct nt_closed *one)
{
	static const struct nt_member_waits none;
	const struct nt_member_waits *had = m->waits ? &c->members.waits[m->waits - 1] : &none;
	bool any = false;

	if (!one->wait_count || m->met_late)
		return;
	for (uint32_t k = 0; k < NT_OCTAVES; k++) {
		uint32_t more = one->wait_octaves[k] - had->octaves[k];

		if (!more || more >> 31)
			continue;
		s->wait_octaves[k] += more;
		any = true;
	}
	if (any) {
		s->wait_sum_ns += nt_risen(one->wait_sum_ns, had->sum_ns);
		s->changed = 1;
	}
}

/* Of a connection whose socket the tick has in the next: as it was counted last, or NULL. */
static struct nt_member *replaced_of(const struct nt_counter *c, uint64_t cookie)
{
	for (uint32_t i = 0; i < c->n_replaced; i++)
		if (c->replaced[i].cookie == cookie && !c->replaced[i].ended)
			return &c->replaced[i];
	return NULL;
}

static int take_close(struct nt_counter *c, uint32_t i)
{
	const struct nt_closed *one = &c->closed[i];
	const struct nt_event *ev = &one->ev;
	struct nt_member *m = replaced_of(c, ev->cookie);
	uint32_t name = c->closed_named[i];

	if (!m)
		m = nt_members_find(&c->members, ev->cookie, c->seq);
	if (ev->seq >= c->tick.closed_next)
		c->tick.closed_next = ev->seq + 1;
	bool met = !m, unknown = met ? !one->born_ns : m->group == NT_NONE && name == NT_NONE;

	if (ev->state == NT_TCP_LISTEN || unknown) {
		/* One that is older than nettop was never counted. */
		c->tick.closed_unknown += ev->state != NT_TCP_LISTEN;
		if (m)
			m->ended = 1;
		return 0;
	}
	if (met)
		m = nt_members_meet(&c->members, ev->cookie, c->seq);
	if (!m)
		return -ENOMEM;
	if (name != NT_NONE)
		m->group = c->names.v[name].group;
	struct nt_count_group *g = &c->groups[m->group];
	struct nt_sums *s = &c->sums[g->series];
	/* The record has no times and no drops: those stay as they were. */
	struct nt_rec last = {
		.bytes_sent = one->bytes_sent,
		.bytes_acked = one->bytes_acked,
		.bytes_received = one->bytes_received,
		.bytes_retrans = one->bytes_retrans,
		.total_retrans = one->total_retrans,
		.busy_ms = m->busy_ms,
		.rwnd_limited_ms = m->rwnd_ms,
		.sndbuf_limited_ms = m->sndbuf_ms,
		.drops = m->drops,
		.rtt_us = ev->rtt_us,
	};

	/* A socket may connect once more, and close again. */
	if (met || m->ended)
		nt_count_grow(s, NT_C_OPENED, 1);
	if (!m->ended)
		add_last_waits(c, s, m, one);
	g->present++; /* it was there since the tick before */
	nt_count_numbers(g, s, m, &last);
	nt_count_grow(s, NT_C_CLOSED, 1);
	begin_anew(m);
	m->ended = 1;
	return 0;
}

static void end_closed(struct nt_counter *c)
{
	for (uint32_t i = 0; i < c->n_closed; i++) {
		struct nt_member *m = nt_members_find(&c->members, c->closed[i].ev.cookie, c->seq);

		if (m && m->ended)
			m->seq = 0;
	}
}

/* --- a tick --- */

void nt_count_begin(struct nt_counter *c, uint64_t now_ns)
{
	c->seq++;
	c->now_ns = now_ns;
	c->sockets.n = c->n_replaced = c->n_closed = c->n_new = c->n_sick = 0;
	c->err = 0;
	if (c->names.n >= NAMES_MOST)
		nt_names_clear(&c->names);
	for (uint32_t i = 0; i < c->n_groups; i++)
		c->groups[i].moved_bytes = c->groups[i].present = 0;
	for (uint32_t i = 0; i < c->n_sums; i++) {
		struct nt_sums *s = &c->sums[i];

		c->before[i].unread_ns = s->unread_ns;
		c->before[i].accept_share = s->accept_share;
		c->before[i].sockets = s->sockets;
		s->unread_ns = s->sockets = s->changed = 0;
		s->accept_share = -1;
	}
}

int nt_count_sockets(struct nt_counter *c, struct nt_engine *e, uint64_t after, int filtered)
{
	const uint8_t wanted = NT_M_LIVE | NT_M_MATCH;
	int err = fetch_closes(c, e, after, filtered);

	c->engine = e;
	c->tick = (struct nt_count_tick){ .closed_next = after };
	if (err)
		return err;
	pthread_mutex_lock(&e->lock);
	err = nt_places_look(&c->serving, e, c->now_ns, &c->new_service);
	for (uint32_t i = 0; !err && i < e->table.high; i++)
		if ((e->table.mark[i] & wanted) == wanted)
			err = see(c, i);
	for (uint32_t i = 0; !err && i < c->n_closed; i++)
		err = name_close(c, i);
	pthread_mutex_unlock(&e->lock);
	return err ? err : (int)c->n_new;
}

const struct nt_count_key *nt_count_new_keys(struct nt_counter *c)
{
	return c->new_keys;
}

static int by_group(const void *a, const void *b)
{
	const struct nt_count_sick *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	if (x->who != y->who)
		return x->who < y->who ? -1 : 1;
	return (x->verdict > y->verdict) - (x->verdict < y->verdict);
}

/* One entry of those that are alike. */
static void join_sick(struct nt_counter *c)
{
	uint32_t kept = 0;

	if (!c->n_sick)
		return;
	qsort(c->sick, c->n_sick, sizeof(*c->sick), by_group);
	for (uint32_t i = 1; i < c->n_sick; i++) {
		if (by_group(&c->sick[kept], &c->sick[i]))
			c->sick[++kept] = c->sick[i];
		else
			c->sick[kept].n++;
	}
	c->n_sick = kept + 1;
}

static int count_pending(struct nt_counter *c, const struct nt_pending *one)
{
	const struct nt_table *t = &c->engine->table;
	struct nt_rec room;

	if (one->at >= t->high || !(t->mark[one->at] & NT_M_LIVE))
		return -ESTALE; /* it was polled in between */
	const struct nt_rec *r = nt_rec_read(t, one->at, &room);
	struct nt_member *m = nt_members_find(&c->members, r->cookie, c->seq);

	if (!m)
		return -ESTALE;
	join(c, m, r, c->names.v[one->named].group);
	nt_count_one(c, m, r);
	return 0;
}

int nt_count_end(struct nt_counter *c, const uint32_t *groups, struct nt_count_tick *ret)
{
	int err = 0;

	for (uint32_t i = 0; i < c->n_new; i++) {
		struct nt_named *n = &c->names.v[c->new_named[i]];

		if (groups[i] >= c->n_groups)
			return -EINVAL;
		n->group = groups[i];
		n->generation = c->known[groups[i]].generation;
	}
	pthread_mutex_lock(&c->engine->lock);
	for (uint32_t i = 0; !err && i < c->sockets.n; i++)
		err = count_pending(c, &c->sockets.v[i]);
	/* The oldest first. */
	for (uint32_t i = c->n_closed; !err && i--;)
		err = take_close(c, i);
	end_closed(c);
	pthread_mutex_unlock(&c->engine->lock);
	join_sick(c);
	for (uint32_t i = 0; i < c->n_sums; i++) {
		struct nt_sums *s = &c->sums[i];
		const struct nt_sums_before *b = &c->before[i];

		s->changed |= s->unread_ns != b->unread_ns || s->sockets != b->sockets ||
			      memcmp(&s->accept_share, &b->accept_share, sizeof(float)) != 0;
	}
	c->tick.groups = c->groups;
	c->tick.sums = c->sums;
	c->tick.sick = c->sick;
	c->tick.n_groups = c->n_groups;
	c->tick.n_sums = c->n_sums;
	c->tick.n_sick = c->n_sick;
	c->tick.closed = c->n_closed;
	*ret = c->tick;
	return err ? err : c->err;
}
