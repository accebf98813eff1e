// SPDX-License-Identifier: MIT
/* Whether a program reads late, or no CPU was given to it: who is blamed for a queue that stands. */
#include <string.h>

#include "nt_api.h"
#include "nt_engine.h"
#include "nt_planes.h"
#include "nt_rules.h"

void nt_take_cpu_wait(struct nt_engine *e, const struct nt_rec *rec, struct nt_facts *f)
{
	const struct nt_config *c = &e->config;
	bool late = f->plane && (f->plane->wait.p99_ns >= c->wait_ms[0] * 1000000ULL ||
				 f->plane->wait.p50_ns >= NT_UNUSUAL_WAIT_NS);
	bool unread = rec->flags & NT_F_OLDEST_UNREAD && rec->oldest_unread_ms >= c->unread_ms[0];
	bool listens = rec->proto == NT_PROTO_TCP && rec->state == NT_TCP_LISTEN;
	bool full = listens ? rec->rqueue > 0 : rec->drops_per_s > 0;
	struct nt_proc proc;

	if (!e->n_cpu_waits || (!late && !unread && !full))
		return;
	bool known = nt_reader_of(e, rec, &proc);

	for (uint32_t i = 0; known && i < e->n_cpu_waits; i++) {
		if (e->cpu_waits[i].pid != proc.pid)
			continue;
		f->cpu = e->cpu_waits[i];
		if (proc.more) /* any of its holders may read */
			f->cpu.sure = 0;
	}
}

/* So long the CPU keeps the blame: a wait for it is counted when it is over. */
#define CPU_STAYS_S 5

static bool blamed_cpu(const struct nt_rec *rec, enum nt_verdict v, uint32_t now_s)
{
	return rec->verdicts && rec->verdict == v && rec->because == NT_B_NO_CPU &&
	       now_s - rec->who_since_s < CPU_STAYS_S;
}

/* What the reader did while data waited, where that is known for half of the time or more. */
static bool blame_split(const struct nt_facts *f, struct nt_held *h, enum nt_verdict v)
{
	const struct nt_split *s = f->plane ? &f->plane->split : NULL;

	if (!s || !(f->plane->has & NT_P_SPLIT) || !s->waiting_ns)
		return false;
	uint64_t known = s->wake_ns + s->cpu_ns + s->ran_ns + s->asleep_ns + s->stopped_ns;

	if (known < s->waiting_ns / 2)
		return false;
	if (s->cpu_ns >= s->waiting_ns / 2) {
		h->who[v] = NT_WHO_CPU | (h->who[v] & NT_WHO_MAYBE);
		h->because[v] = NT_B_NO_CPU;
	} else if (s->stopped_ns >= s->waiting_ns / 2) {
		h->because[v] = NT_B_STOPPED;
	}
	return true;
}

/* The program was ready, and waited for a CPU for half of the time or more. */
void nt_blame_cpu(const struct nt_rec *rec, const struct nt_facts *f, struct nt_held *h,
		  enum nt_verdict v, uint64_t waited_ns, uint32_t now_s)
{
	uint64_t most = waited_ns < f->cpu.over_ns ? waited_ns : f->cpu.over_ns;

	if (!(h->mask >> v & 1) || blame_split(f, h, v))
		return;
	if (f->cpu.pid && f->cpu.run_delay_ns >= most / 2)
		h->who[v] = NT_WHO_CPU | (f->cpu.sure ? h->who[v] & NT_WHO_MAYBE : NT_WHO_MAYBE);
	else if (blamed_cpu(rec, v, now_s))
		h->who[v] = rec->who;
	else
		return;
	h->because[v] = NT_B_NO_CPU;
}

/* A queue that was full stood for all of the time. */
void nt_blame_cpu_full(const struct nt_rec *rec, const struct nt_facts *f, struct nt_held *h,
		       uint32_t now_s)
{
	nt_blame_cpu(rec, f, h, NT_V_ACCEPT, f->cpu.over_ns, now_s);
	if (h->because[NT_V_DROPS] == NT_B_FULL)
		nt_blame_cpu(rec, f, h, NT_V_DROPS, f->cpu.over_ns, now_s);
}

/* One of the two verdicts that a record names; true: it is the CPU's by what is known now. */
static bool blame_again(const struct nt_rec *rec, const struct nt_facts *f, uint8_t v, uint8_t *who,
			uint8_t *because, uint32_t now_s)
{
	struct nt_held h = { .mask = (uint16_t)(1U << v) };
	bool plain = *because == NT_B_PLAIN || *because == NT_B_UNUSUAL || *because == NT_B_HEAD;

	if ((*who & ~NT_WHO_MAYBE) != NT_WHO_APP || !(rec->verdict_past[0] >> v & 1) ||
	    !(plain || (v == NT_V_DROPS && *because == NT_B_FULL)))
		return false;
	h.who[v] = *who;
	h.because[v] = *because;
	if (v == NT_V_READS && f->plane)
		nt_blame_cpu(rec, f, &h, v, f->plane->wait.sum_ns, now_s);
	else if (v == NT_V_UNREAD)
		nt_blame_cpu(rec, f, &h, v, rec->oldest_unread_ms * 1000000ULL, now_s);
	else
		nt_blame_cpu_full(rec, f, &h, now_s);
	if (h.because[v] != NT_B_NO_CPU)
		return false;
	*who = h.who[v];
	*because = NT_B_NO_CPU;
	return true;
}

#define DECIDED_BY_CPU (1U << NT_V_READS | 1U << NT_V_UNREAD | 1U << NT_V_ACCEPT | 1U << NT_V_DROPS)

/* Of the sweep that just ended: its verdicts came before it was known who waited for a CPU. */
static bool judge_again(struct nt_engine *e, uint32_t now_s)
{
	bool any = false;

	for (uint32_t i = 0; i < e->table.high; i++) {
		struct nt_rec room;

		if (!(e->table.mark[i] & NT_M_LIVE) || nt_rec_rests(&e->table, i))
			continue;
		struct nt_rec *rec = nt_rec_take(&e->table, i, &room);
		struct nt_facts f = { .plane = (struct nt_plane *)nt_rec_plane(e, rec) };

		if (rec->verdicts & DECIDED_BY_CPU)
			nt_take_cpu_wait(e, rec, &f);
		if (f.cpu.pid) {
			bool second = blame_again(rec, &f, rec->verdict2, &rec->who2,
						  &rec->because2, now_s);
			bool first = blame_again(rec, &f, rec->verdict, &rec->who, &rec->because,
						 now_s);
			if (first)
				rec->who_since_s = now_s;
			any |= first | second;
		}
		nt_rec_put(&e->table, i, rec); /* what rests now did before */
	}
	return any;
}

int nt_cpu_waits(struct nt_engine *e, const struct nt_cpu_wait *v, uint32_t n)
{
	pthread_mutex_lock(&e->lock);
	e->n_cpu_waits = n < NT_CPU_WAITS ? n : NT_CPU_WAITS;
	if (n)
		memcpy(e->cpu_waits, v, e->n_cpu_waits * sizeof(*v));
	/* Filters and totals ask whose fault it is. */
	if (n && judge_again(e, (uint32_t)(nt_ms_of(e, e->now_ns) / 1000)))
		nt_rematch(e);
	pthread_mutex_unlock(&e->lock);
	return 0;
}
