// SPDX-License-Identifier: MIT
/* Which records are rows, and the sums over these. */
#include <netinet/in.h>
#include <string.h>

#include "nt_engine.h"
#include "nt_planes.h"

/* named: the filter names states, so that its choice stands. */
static bool default_row(const struct nt_engine *e, const struct nt_rec *rec, bool named)
{
	bool listens = rec->state == NT_TCP_LISTEN, udp = rec->proto == NT_PROTO_UDP;

	if (e->config.rows_all || named)
		return true;
	if (e->config.listen_only)
		return udp ? rec->state == NT_TCP_CLOSE : listens;
	if (rec->level > NT_LEVEL_OK)
		return true; /* whatever it is: a finding may be held for it */
	if (udp)
		return rec->rqueue || rec->drops;
	if (listens)
		return rec->wqueue && (uint64_t)rec->rqueue * 100 >=
					      (uint64_t)rec->wqueue * e->config.accept_pct[0];
	return rec->state != NT_TCP_TIME_WAIT && rec->state != NT_TCP_SYN_RECV &&
	       rec->state != NT_TCP_NEW_SYN_RECV && rec->state != NT_TCP_CLOSE;
}

/* What a socket sent, resent included, from its acknowledged rate and resent share. */
double nt_sent_per_s(const struct nt_rec *rec)
{
	double pct = (double)(rec->retr_pct < 99 ? rec->retr_pct : 99);

	return (double)rec->tx_bytes_per_s / (1.0 - pct / 100.0);
}

void nt_tally(struct nt_engine *e, struct nt_totals *t, const struct nt_rec *rec)
{
	t->matched++;
	t->unwell += rec->level == NT_LEVEL_UNWELL;
	t->watch += rec->level == NT_LEVEL_WATCH;
	if (rec->verdicts && rec->level > NT_LEVEL_OK)
		t->who[rec->who < NT_WHO_COUNT ? rec->who : NT_WHO_UNKNOWN][rec->level - 1]++;
	if (rec->flags & NT_F_RATES) {
		t->tx_bytes_per_s += (double)rec->tx_bytes_per_s;
		t->rx_bytes_per_s += (double)rec->rx_bytes_per_s;
		t->retrans_per_s += (double)rec->retrans_per_s;
	}
	if (rec->flags & NT_F_RETR_PCT) {
		e->sent_per_s += nt_sent_per_s(rec);
		e->resent_per_s += nt_sent_per_s(rec) * (double)rec->retr_pct / 100.0;
	}
}

void nt_tally_close(struct nt_engine *e, struct nt_totals *t)
{
	t->flow_retrans_pct = e->sent_per_s > 0 ? 100.0 * e->resent_per_s / e->sent_per_s : -1;
}

struct nt_filter_view nt_view_of(struct nt_engine *e, const struct nt_rec *rec,
				 const struct nt_diag_view *v, struct nt_proc *proc)
{
	struct nt_filter_view fv = { .rec = rec, .engine = e };

	fv.plane = nt_rec_plane(e, rec);
	if (rec->cong_id)
		fv.cong = e->cong_names[rec->cong_id];
	if (v) {
		fv.info = v->info;
		fv.info_len = v->info_len;
		fv.skmem = (const uint32_t *)v->skmem;
		fv.skmem_words = v->skmem_len / 4U;
	} else {
		const struct nt_detail *d = nt_rec_detail(e, rec);

		if (d) {
			fv.info = d->info;
			fv.info_len = d->info_len > sizeof(d->info) ? sizeof(d->info) : d->info_len;
			fv.skmem = d->skmem;
			fv.skmem_words = d->skmem_len / 4U;
		}
	}
	if (e->filter_needs_proc) {
		nt_owner_of(e, rec, proc);
		fv.proc = proc;
	}
	return fv;
}

bool nt_match(struct nt_engine *e, struct nt_rec *rec, const struct nt_filter_view *fv)
{
	bool yes = default_row(e, rec, e->filter_has_states) &&
		   (!e->n_ops || nt_filter_eval(e->ops, e->n_ops, e->data, e->n_data, fv));

	if (yes)
		rec->flags |= NT_F_MATCH;
	else
		rec->flags &= ~(uint32_t)NT_F_MATCH;
	return yes;
}

/* IPv4 in an IPv6 socket is IPv4. */
static void put_end(uint8_t *to, const uint8_t *from, bool mapped)
{
	if (mapped)
		memcpy(to, from + 12, 4);
	else
		memcpy(to, from, 16);
}

/* A record of what the event itself says. */
static void rec_of(const struct nt_event *ev, struct nt_rec *rec)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
	bool mapped = ev->family == AF_INET6 && (!memcmp(ev->src, prefix, sizeof(prefix)) ||
						 !memcmp(ev->dst, prefix, sizeof(prefix)));

	*rec = (struct nt_rec){
		.cookie = ev->cookie,
		.netns = ev->netns,
		.sport = ev->sport,
		.dport = ev->dport,
		.family = mapped ? AF_INET : ev->family,
		.state = ev->state,
		.min_rtt_us = NT_MIN_RTT_UNKNOWN,
	};
	if (ev->proto == IPPROTO_TCP)
		rec->proto = NT_PROTO_TCP;
	else if (ev->proto == IPPROTO_UDP)
		rec->proto = NT_PROTO_UDP;
	put_end(rec->src, ev->src, mapped);
	put_end(rec->dst, ev->dst, mapped);
}

static bool polled(const struct nt_config *c, const struct nt_rec *rec)
{
	if (c->family && rec->family && rec->family != c->family)
		return false;
	if (rec->proto == NT_PROTO_TCP && !c->tcp_states)
		return false;
	if (rec->proto == NT_PROTO_UDP && !c->udp)
		return false;
	return !c->listen_only || rec->state == NT_TCP_LISTEN;
}

bool nt_match_event(struct nt_engine *e, const struct nt_event *ev)
{
	uint32_t i = ev->cookie ? nt_table_find(&e->table, ev->cookie) : NT_NONE;
	struct nt_filter_view view;
	struct nt_proc proc = { 0 };
	struct nt_rec rec;

	if (i != NT_NONE) {
		if (!e->n_ops || e->table.mark[i] & NT_M_MATCH)
			return true;
		view = nt_view_of(e, nt_rec_read(&e->table, i, &rec), NULL, &proc);
	} else {
		rec_of(ev, &rec);
		if (!polled(&e->config, &rec))
			return false;
		if (!e->n_ops)
			return true;
		if (ev->flags & NT_EVF_OWNER) {
			proc.pid = ev->pid;
			proc.owner = NT_OWNER_PROC;
			memcpy(proc.comm, ev->comm, sizeof(proc.comm));
		}
		view = (struct nt_filter_view){ .rec = &rec, .proc = &proc };
	}
	return nt_filter_eval(e->ops, e->n_ops, e->data, e->n_data, &view);
}

void nt_rematch(struct nt_engine *e)
{
	struct nt_totals t = e->last;
	struct nt_proc proc;
	struct nt_rec room;

	t.matched = t.unwell = t.watch = 0;
	memset(t.who, 0, sizeof(t.who));
	t.tx_bytes_per_s = t.rx_bytes_per_s = t.retrans_per_s = 0;
	e->sent_per_s = e->resent_per_s = 0;
	for (uint32_t i = 0; i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		struct nt_rec *rec = nt_rec_take(&e->table, i, &room);
		struct nt_filter_view fv = nt_view_of(e, rec, NULL, &proc);

		if (nt_match(e, rec, &fv)) {
			e->table.mark[i] |= NT_M_MATCH;
			nt_tally(e, &t, rec);
		} else {
			e->table.mark[i] &= (uint8_t)~NT_M_MATCH;
		}
		nt_rec_put(&e->table, i, rec); /* a flag more or less: it rests as before */
	}
	nt_tally_close(e, &t);
	e->last = t;
}

/* What nt_matching and nt_values ask of records, beside the filter in force. */
struct asked {
	const struct nt_op *ops;
	const uint8_t *data;
	uint32_t n_ops, n_data;
	bool named, owners; /* the filter names states; it reads who holds a socket */
};

static int ask(struct asked *a, const struct nt_op *ops, uint32_t n_ops, const uint8_t *data,
	       uint32_t n_data)
{
	*a = (struct asked){
		.ops = ops,
		.data = data,
		.n_ops = n_ops,
		.n_data = n_data,
		.named = nt_filter_names_states(ops, n_ops),
		.owners = nt_filter_reads_proc(ops, n_ops),
	};
	return n_ops ? nt_filter_check(ops, n_ops, data, n_data) : 0;
}

static bool lets_through(struct nt_engine *e, const struct asked *a, const struct nt_rec *rec,
			 struct nt_filter_view *fv, struct nt_proc *proc)
{
	if (a->owners && !fv->proc) {
		nt_owner_of(e, rec, proc);
		fv->proc = proc;
	}
	return default_row(e, rec, a->named) &&
	       (!a->n_ops || nt_filter_eval(a->ops, a->n_ops, a->data, a->n_data, fv));
}

int nt_matching(struct nt_engine *e, const struct nt_op *ops, uint32_t n_ops, const uint8_t *data,
		uint32_t n_data, uint64_t *ret, uint32_t max)
{
	struct asked a;
	int err = ask(&a, ops, n_ops, data, n_data);
	struct nt_proc proc;
	struct nt_rec room;
	uint32_t n = 0;

	if (err)
		return err;
	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		const struct nt_rec *rec = nt_rec_read(&e->table, i, &room);

		if (n_ops) {
			struct nt_filter_view fv = nt_view_of(e, rec, NULL, &proc);

			if (!lets_through(e, &a, rec, &fv, &proc))
				continue;
		} else if (!(e->table.mark[i] & NT_M_MATCH)) {
			continue;
		}
		if (n < max)
			ret[n] = rec->cookie;
		n++;
	}
	pthread_mutex_unlock(&e->lock);
	return (int)n;
}

int nt_values(struct nt_engine *e, const struct nt_term *of, const struct nt_op *ops,
	      uint32_t n_ops, const uint8_t *data, uint32_t n_data, double *ret, uint32_t max,
	      uint32_t *rows)
{
	struct asked a;
	int err = ask(&a, ops, n_ops, data, n_data);
	struct nt_proc proc;
	struct nt_rec room;
	uint32_t n = 0;
	double x;

	*rows = 0;
	if (err)
		return err;
	a.owners = a.owners || nt_term_reads(of, NT_BASE_PROC);
	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < e->table.high; i++) {
		if (!(e->table.mark[i] & NT_M_LIVE))
			continue;
		const struct nt_rec *rec = nt_rec_read(&e->table, i, &room);
		struct nt_filter_view fv = nt_view_of(e, rec, NULL, &proc);

		if (!lets_through(e, &a, rec, &fv, &proc))
			continue;
		++*rows;
		if (!nt_term_value(of, &fv, &x))
			continue;
		if (n < max)
			ret[n] = x;
		n++;
	}
	pthread_mutex_unlock(&e->lock);
	return (int)n;
}
