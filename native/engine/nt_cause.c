// SPDX-License-Identifier: MIT
/* Causes: what is asked of sockets that are held for ill, and what was found of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_api.h"
#include "nt_engine.h"
#include "nt_planes.h"
#include "nt_rules.h"

/* One of those that are asked about; the loudest come first. */
struct place {
	uint32_t rec, loud;
};

static int by_loudness(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->loud != y->loud)
		return x->loud > y->loud ? -1 : 1;
	return x->rec < y->rec ? -1 : x->rec > y->rec;
}

static uint64_t sum_of(const struct nt_plane *p, enum nt_stage stage, uint32_t *count)
{
	*count = (uint32_t)p->tx[stage].count;
	return p->tx[stage].sum_ns;
}

/* Two large datagrams, or some small ones, with what the kernel adds to each. */
#define QUEUED_LEAST 4096

/* What a UDP socket sent stays its own until a driver has it; TCP keeps its data until the ACK. */
static uint32_t queued_bytes(const struct nt_rec *r)
{
	return r->proto == NT_PROTO_UDP ? r->wqueue : 0;
}

/* So few are not enough to make a peer acknowledge at once. */
#define FEW_SEGMENTS 2

/* Where the last message of it is kept. */
static bool sends_few(const struct nt_rec *r, const struct nt_detail *d)
{
	uint32_t unacked;

	if (r->flags & NT_F_APP_LIMITED)
		return true;
	if (!d || d->info_len < TI_UNACKED + sizeof(unacked))
		return false;
	memcpy(&unacked, d->info + TI_UNACKED, sizeof(unacked));
	return unacked <= FEW_SEGMENTS;
}

static void put(struct nt_engine *e, uint32_t at, struct nt_candidate *ret)
{
	struct nt_rec room;
	const struct nt_rec *r = nt_rec_read(&e->table, at, &room);
	const struct nt_plane *p = nt_rec_plane(e, r);
	const struct nt_dropped *dropped = nt_dropped_of(e, r->cookie);
	const struct nt_detail *d = nt_rec_detail(e, r);
	struct nt_proc proc;

	*ret = (struct nt_candidate){
		.cookie = r->cookie,
		.netns = r->netns,
		.ifindex = r->ifindex,
		.rtt_us = r->rtt_us,
		.rttvar_us = r->rttvar_us,
		.min_rtt_us = r->min_rtt_us == NT_MIN_RTT_UNKNOWN ? 0 : r->min_rtt_us,
		.unread_ms = r->flags & NT_F_OLDEST_UNREAD ? r->oldest_unread_ms : 0,
		.total_retrans = r->total_retrans,
		.acked_bytes = r->bytes_acked < UINT32_MAX ? (uint32_t)r->bytes_acked : UINT32_MAX,
		.dropped_here = dropped ? dropped->by[NT_D_HERE] : 0,
		.dropped_segs = dropped ? dropped->segs_here : 0,
		.queued_bytes = queued_bytes(r),
		.verdict_value = r->verdict_value,
		.flow_bytes_per_s = r->flow_bytes_per_s,
		.sport = r->sport,
		.dport = r->dport,
		.held = r->verdict_past[0],
		.verdicts = r->verdicts,
		.family = r->family,
		.proto = r->proto,
		.state = r->state,
		.level = r->level,
		.who = r->who,
		.because = r->because,
		.verdict = r->verdict,
		.matched = (e->table.mark[at] & NT_M_MATCH) != 0,
		.few = r->proto == NT_PROTO_TCP && sends_few(r, d),
	};
	ret->late_ack = ret->few && nt_late_ack(&e->config, r, nt_ms_of(e, e->now_ns));
	memcpy(ret->src, r->src, sizeof(ret->src));
	memcpy(ret->dst, r->dst, sizeof(ret->dst));
	if (d && d->skmem_len >= 16) {
		ret->rcvbuf = d->skmem[1];
		ret->sndbuf = d->skmem[3];
	}
	if (p) {
		ret->wait_count = (uint32_t)p->wait.count;
		ret->wait_sum_ns = p->wait.sum_ns;
		ret->qdisc_sum_ns = sum_of(p, NT_TX_QDISC, &ret->qdisc_count);
		ret->nic_sum_ns = sum_of(p, NT_TX_NIC, &ret->nic_count);
	}
	ret->waits = !r->inode && r->proto == NT_PROTO_TCP && !r->loaded_proc &&
		     (r->state == NT_TCP_ESTABLISHED || r->state == NT_TCP_CLOSE_WAIT);
	if (nt_reader_of(e, r, &proc)) {
		ret->pid = proc.pid;
		ret->more = proc.more;
	}
}

/* Held for ill, or what holds in this interval alone and may be a verdict in the next. */
static uint32_t held_of(const struct nt_rec *r)
{
	return (r->verdicts | r->verdict_past[0]) & ~(1U << NT_V_CWND);
}

static bool lost_here(const struct nt_engine *e, const struct nt_rec *r)
{
	const struct nt_dropped *d = nt_dropped_of(e, r->cookie);

	return d && d->by[NT_D_HERE];
}

int nt_candidates(struct nt_engine *e, int late, struct nt_candidate *ret, uint32_t max)
{
	uint32_t n = 0, cap = 0;
	struct place *places = NULL;
	struct nt_rec room;

	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < e->table.high; i++) {
		/* At rest nothing waits to be sent; what was dropped here may be of any socket. */
		if (!(e->table.mark[i] & NT_M_LIVE) ||
		    (nt_rec_rests(&e->table, i) && !e->n_dropped))
			continue;
		const struct nt_rec *r = nt_rec_read(&e->table, i, &room);
		bool held = held_of(r) || queued_bytes(r) >= QUEUED_LEAST || lost_here(e, r);

		if (!held && !(late && nt_late_ack(&e->config, r, nt_ms_of(e, e->now_ns))))
			continue;
		if (n == cap) {
			struct place *more = realloc(places, (cap + 256) * sizeof(*more));

			if (!more)
				break; /* those that were found so far */
			places = more;
			cap += 256;
		}
		places[n++] = (struct place){ i, held ? 1 + r->level * 256U + r->strength : 0 };
	}
	if (n > max)
		qsort(places, n, sizeof(*places), by_loudness);
	for (uint32_t k = 0; k < n && k < max; k++)
		put(e, places[k].rec, &ret[k]);
	pthread_mutex_unlock(&e->lock);
	free(places);
	return (int)n;
}

/* So many sockets are asked for their holders. */
#define LATE_ASKED 1024

static struct nt_late *late_of(struct nt_late *v, uint32_t n, uint32_t pid)
{
	for (uint32_t k = 0; k < n; k++)
		if (v[k].pid == pid)
			return &v[k];
	return NULL;
}

/* Calls with the plane of each socket that was read in the interval and has one holder. */
static void each_read(struct nt_engine *e, uint64_t least_ns, uint32_t most,
		      void (*each)(const struct nt_plane *p, uint32_t pid, void *arg), void *arg)
{
	for (uint32_t i = 0, asked = 0; i < e->table.high && asked < most; i++) {
		struct nt_proc proc;
		struct nt_rec room;

		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		const struct nt_plane *p = nt_plane_at(e, i);

		if (!p || !p->wait.count || p->wait.p99_ns < least_ns)
			continue;
		asked++;
		nt_owner_of(e, nt_rec_read(&e->table, i, &room), &proc);
		if (proc.owner == NT_OWNER_PROC && !proc.more)
			each(p, proc.pid, arg);
	}
}

struct lates {
	struct nt_late *v;
	uint32_t n, max;
};

static void add_late(const struct nt_plane *p, uint32_t pid, void *arg)
{
	struct lates *all = arg;
	struct nt_late *one = late_of(all->v, all->n, pid);

	if (!one && all->n == all->max)
		return;
	if (!one) {
		one = &all->v[all->n++];
		*one = (struct nt_late){ .pid = pid };
	}
	one->sockets++;
	one->sum_ns += p->wait.sum_ns;
	if (one->max_ns < p->wait.max_ns)
		one->max_ns = p->wait.max_ns;
}

static void add_delivery(const struct nt_plane *p, uint32_t pid, void *arg)
{
	struct lates *all = arg;
	struct nt_late *one = late_of(all->v, all->n, pid);

	if (one)
		one->deliveries += (uint32_t)p->wait.count;
}

int nt_late(struct nt_engine *e, uint32_t least, struct nt_late *ret, uint32_t max)
{
	struct lates all = { .v = ret, .max = max };
	uint32_t kept = 0;

	pthread_mutex_lock(&e->lock);
	each_read(e, e->config.wait_ms[0] * 1000000ULL, LATE_ASKED, add_late, &all);
	for (uint32_t k = 0; k < all.n; k++)
		if (ret[k].sockets >= least)
			ret[kept++] = ret[k];
	all.n = kept;
	if (kept)
		each_read(e, 0, UINT32_MAX, add_delivery, &all);
	pthread_mutex_unlock(&e->lock);
	return (int)kept;
}

static int by_cookie(const void *a, const void *b)
{
	uint64_t x = ((const struct nt_cause *)a)->cookie;
	uint64_t y = ((const struct nt_cause *)b)->cookie;

	return (x > y) - (x < y);
}

/* The cause takes the place of what it explains of a record's verdicts; false: of none. */
static bool name_cause(struct nt_rec *r, const struct nt_cause *c, uint32_t now_s)
{
	uint16_t from = (uint16_t)(c->explains | 1U << c->verdict);
	bool first = from >> r->verdict & 1, second = from >> r->verdict2 & 1;
	uint8_t verdict = c->verdict, who = r->who;

	if (!(r->verdicts & from) || (!first && !second))
		return false;
	/* Its number is that of a condition that holds. */
	if (c->value < 0 && verdict != r->verdict && verdict != r->verdict2)
		verdict = first ? r->verdict : r->verdict2;
	uint16_t bit = (uint16_t)(1U << verdict), unwell = r->verdicts_unwell & from ? bit : 0;
	float value = c->value >= 0	    ? c->value :
		      verdict == r->verdict ? r->verdict_value :
					      r->verdict2_value;

	r->verdicts = (uint16_t)((r->verdicts & ~from) | bit);
	r->verdicts_unwell = (uint16_t)((r->verdicts_unwell & ~from) | unwell);
	if (first && r->verdict != verdict)
		r->verdict_since_s = now_s;
	if (first) {
		r->verdict = verdict;
		r->verdict_value = value;
		r->who = c->who;
		r->because = c->because;
	}
	if (second) {
		r->verdict2 = verdict;
		r->verdict2_value = value;
		r->who2 = c->who;
		r->because2 = c->because;
	}
	if (r->who != who)
		r->who_since_s = now_s;
	return true;
}

/* The verdicts of the sweep that just ended came before the causes were known. */
static bool name_causes(struct nt_engine *e)
{
	uint32_t now_s = (uint32_t)(nt_ms_of(e, e->now_ns) / 1000);
	bool any = false;

	for (uint32_t k = 0; k < e->n_causes; k++) {
		uint32_t i = nt_table_find(&e->table, e->causes[k].cookie);
		struct nt_rec room;

		if (i == NT_NONE || nt_rec_rests(&e->table, i))
			continue;
		struct nt_rec *rec = nt_rec_take(&e->table, i, &room);

		any |= name_cause(rec, &e->causes[k], now_s);
		nt_rec_put(&e->table, i, rec); /* what rests now did before */
	}
	return any;
}

int nt_causes(struct nt_engine *e, const struct nt_cause *v, uint32_t n, const uint32_t *late,
	      uint32_t n_late)
{
	if (n > NT_CAUSES || n_late > NT_LATE)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++)
		if (v[i].verdict >= NT_V_COUNT)
			return -EINVAL;
	pthread_mutex_lock(&e->lock);
	if (n)
		memcpy(e->causes, v, n * sizeof(*v));
	if (n_late)
		memcpy(e->late, late, n_late * sizeof(*late));
	e->n_causes = n;
	e->n_late = n_late;
	qsort(e->causes, n, sizeof(*e->causes), by_cookie);
	/* Filters and totals ask whose fault it is. */
	if (name_causes(e))
		nt_rematch(e);
	pthread_mutex_unlock(&e->lock);
	return 0;
}

const struct nt_cause *nt_cause_of(const struct nt_engine *e, uint64_t cookie)
{
	struct nt_cause key = { .cookie = cookie };

	if (!e->n_causes)
		return NULL;
	return bsearch(&key, e->causes, e->n_causes, sizeof(key), by_cookie);
}

void nt_take_cause(struct nt_engine *e, const struct nt_rec *rec, struct nt_facts *f)
{
	struct nt_proc proc;

	f->cause = nt_cause_of(e, rec->cookie);
	if (!e->n_late || !f->plane || !f->plane->wait.count ||
	    f->plane->wait.p99_ns < e->config.wait_ms[0] * 1000000ULL)
		return;
	nt_owner_of(e, rec, &proc);
	for (uint32_t i = 0; proc.owner == NT_OWNER_PROC && i < e->n_late; i++)
		f->late_process |= e->late[i] == proc.pid;
}

void nt_hold_late(const struct nt_config *c, const struct nt_plane *p, struct nt_held *h)
{
	if (h->mask >> NT_V_READS & 1)
		return;
	nt_hold(h, NT_V_READS, (float)p->wait.p99_ns / 1e6f, (float)c->wait_ms[0],
		p->wait.p99_ns >= c->wait_ms[1] * 1000000ULL);
	h->because[NT_V_READS] = NT_B_HEAD;
	/* The process was late before, so this is no single case. */
	h->spanning |= 1U << NT_V_READS;
}

void nt_put_cause(struct nt_rec *rec, const struct nt_cause *c, struct nt_held *h)
{
	uint16_t from = (uint16_t)(c->explains | 1U << c->verdict);
	uint16_t now = h->mask & from;
	uint8_t verdict = c->verdict;

	/* Its number is that of a condition that holds. */
	if (c->value < 0 && now && !(now >> verdict & 1))
		verdict = (uint8_t)__builtin_ctz(now);
	uint16_t bit = (uint16_t)(1U << verdict);
	bool unwell = h->unwell & from, spanning = h->spanning & from;
	float value = c->value < 0 ? h->value[verdict] : c->value, over = 1;

	for (int k = 0; k < 3; k++)
		if (rec->verdict_past[k] & from)
			rec->verdict_past[k] = (uint16_t)((rec->verdict_past[k] & ~from) | bit);
	if (!now && !c->imposes)
		return;
	for (uint8_t v = 0; v < NT_V_COUNT; v++) {
		if (!(now >> v & 1))
			continue;
		if (over < h->over[v])
			over = h->over[v];
	}
	h->mask &= (uint16_t)~from;
	h->unwell &= (uint16_t)~from;
	h->spanning &= (uint16_t)~from;
	nt_hold(h, verdict, value, 1, unwell);
	h->over[verdict] = over;
	h->who[verdict] = c->who;
	h->because[verdict] = c->because;
	if (spanning || c->imposes)
		h->spanning |= bit;
}
