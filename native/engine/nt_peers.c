// SPDX-License-Identifier: MIT
/* Peers of one service beside each other: which of many alike is slow. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_api.h"
#include "nt_engine.h"
#include "nt_rules.h"

/* Peers of a sweep; further ones are left out, and then nothing is said of them. */
#define SLOTS 4096U
#define SLOTS_MOST (SLOTS * 3 / 4)
/* Ports of this host that something listens at, in a sweep; of more not all are known. */
#define PORTS 4096U
#define PORTS_MOST (PORTS * 3 / 4)
/* Where Linux begins to choose ports of clients: what is below is a service's. */
#define SERVICE_PORTS 32768
/* Siblings that show what is usual, and this one. */
#define PEERS_LEAST 5
/* Over the middle of them: four times, and six times as far as they stray, and so much. */
#define FAR_LOGS 2048U
#define FAR_SPREADS 6
#define FAR_US 5000U
/* Below that all are alike. */
#define OVER_LEAST_US 100U

struct nt_peer {
	struct nt_peer_key key;
	uint32_t sweep; /* its slot is free in all others */
	uint32_t sockets;
	uint64_t over_logs, rtt_logs; /* sums of logarithms of srtt - min_rtt, and of srtt */
};

struct port {
	uint64_t cookie;       /* of its listener; 0: there are several */
	uint32_t netns, sweep; /* its slot is free in all other sweeps */
	uint16_t port;
};

struct ports {
	struct port v[PORTS];
	uint32_t sweep, n;
	bool all;
};

struct nt_peers {
	struct nt_peer v[SLOTS];
	uint32_t sweep, n;
	struct ports listened[2]; /* of the sweeps with an even and with an odd number */
};

static bool has_room(struct nt_engine *e)
{
	if (!e->peers)
		e->peers = calloc(1, sizeof(*e->peers));
	return e->peers != NULL; /* without it none is compared */
}

/* The slot of a port, or the free one where it belongs. */
static struct port *port_at(struct ports *of, uint32_t netns, uint16_t port)
{
	uint64_t h = ((uint64_t)netns << 16 ^ port) * 0x9e3779b97f4a7c15ULL;
	uint32_t at = (uint32_t)(h >> 40) & (PORTS - 1);

	while (of->v[at].sweep == of->sweep && (of->v[at].netns != netns || of->v[at].port != port))
		at = (at + 1) & (PORTS - 1);
	return &of->v[at];
}

void nt_note_listener(struct nt_engine *e, const struct nt_rec *r)
{
	if (!has_room(e))
		return;
	struct ports *of = &e->peers->listened[e->sweep & 1];

	if (of->sweep != e->sweep) {
		of->sweep = e->sweep;
		of->n = 0;
		of->all = true;
	}
	struct port *at = port_at(of, r->netns, r->sport);

	if (at->sweep == e->sweep) {
		if (at->cookie != r->cookie)
			at->cookie = 0;
		return;
	}
	of->all = of->n < PORTS_MOST;
	if (!of->all)
		return;
	of->n++;
	*at = (struct port){
		.cookie = r->cookie, .netns = r->netns, .port = r->sport, .sweep = e->sweep
	};
}

uint64_t nt_listener_of(const struct nt_engine *e, const struct nt_rec *r)
{
	/* The last sweep whose listeners were listed. */
	for (uint32_t n = 0; n < 2 && e->peers; n++) {
		struct ports *of = &e->peers->listened[(e->sweep - n) & 1];

		if (!of->n || of->sweep != e->sweep - n)
			continue;
		const struct port *at = port_at(of, r->netns, r->sport);

		if (at->sweep == of->sweep)
			return at->cookie;
	}
	return 0;
}

/*
 * This end called. A socket that was accepted has the port of its listener, and connect() chooses
 * no port that something is bound to; where listeners are not listed the numbers have to say it.
 */
static bool called(const struct nt_engine *e, const struct nt_rec *r)
{
	bool by_number = r->dport < r->sport && r->dport < SERVICE_PORTS;
	bool known = e->config.tcp_states >> NT_TCP_LISTEN & 1;

	/* A listener may be listed behind what it accepted: then the sweep before had it. */
	for (uint32_t n = 0; n < 2 && e->peers; n++) {
		struct ports *of = &e->peers->listened[(e->sweep - n) & 1];

		if (!of->n || of->sweep != e->sweep - n)
			continue;
		if (port_at(of, r->netns, r->sport)->sweep == of->sweep)
			return false;
		known = known && of->all;
	}
	return by_number || known;
}

static bool same(const struct nt_peer_key *a, const struct nt_peer_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static struct nt_peer_key key_of(const struct nt_rec *r)
{
	struct nt_peer_key key = { .netns = r->netns, .dport = r->dport, .family = r->family };

	memcpy(key.dst, r->dst, sizeof(key.dst));
	return key;
}

static uint32_t hash_of(const struct nt_peer_key *key)
{
	uint64_t a, b, h;

	memcpy(&a, key->dst, 8);
	memcpy(&b, key->dst + 8, 8);
	h = (a ^ (uint64_t)key->netns << 32 ^ key->dport) * 0x9e3779b97f4a7c15ULL;
	h = (h ^ b ^ h >> 29) * 0xbf58476d1ce4e5b9ULL;
	return (uint32_t)(h >> 40);
}

void nt_note_peer(struct nt_engine *e, const struct nt_rec *r)
{
	if (!r->min_rtt_us || r->min_rtt_us == NT_MIN_RTT_UNKNOWN || r->rtt_us < r->min_rtt_us ||
	    !called(e, r) || !has_room(e))
		return;
	struct nt_peers *all = e->peers;
	struct nt_peer_key key = key_of(r);
	uint32_t at = hash_of(&key) & (SLOTS - 1), over_us = r->rtt_us - r->min_rtt_us;

	if (all->sweep != e->sweep) {
		all->sweep = e->sweep;
		all->n = 0;
	}
	while (all->v[at].sweep == e->sweep && !same(&all->v[at].key, &key))
		at = (at + 1) & (SLOTS - 1);
	struct nt_peer *p = &all->v[at];

	if (p->sweep != e->sweep) {
		if (all->n == SLOTS_MOST)
			return;
		all->n++;
		*p = (struct nt_peer){ .key = key, .sweep = e->sweep };
	}
	p->sockets++;
	p->over_logs += nt_log_of(over_us < OVER_LEAST_US ? OVER_LEAST_US : over_us);
	p->rtt_logs += nt_log_of(r->rtt_us);
}

/* A peer in the mean of its sockets. */
struct compared {
	uint64_t service;
	const struct nt_peer *peer;
	uint32_t over, rtt; /* logarithms of microseconds */
};

static int by_service(const void *a, const void *b)
{
	const struct compared *x = a, *y = b;

	if (x->service != y->service)
		return x->service < y->service ? -1 : 1;
	return (x->over > y->over) - (x->over < y->over);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Of one service, in the order of what is over their minimum; away: room for n. */
static uint32_t slow_of(const struct compared *v, uint32_t n, uint32_t *away,
			struct nt_slow_peer *ret, uint32_t max)
{
	uint32_t middle = v[n / 2].over, found = 0, far = FAR_LOGS;

	if (n < PEERS_LEAST)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		away[i] = v[i].over > middle ? v[i].over - middle : middle - v[i].over;
	qsort(away, n, sizeof(*away), by_number);
	if (far < FAR_SPREADS * away[n / 2])
		far = FAR_SPREADS * away[n / 2];
	for (uint32_t i = n; i-- && found < max;) {
		uint64_t over_us = nt_unlog(v[i].over), rtt_us = nt_unlog(v[i].rtt);

		/* A peer far away is not slow for that: half of it is over its own minimum. */
		if (v[i].over < middle + far || over_us < nt_unlog(middle) + FAR_US)
			break;
		if (over_us * 2 < rtt_us)
			continue;
		ret[found++] = (struct nt_slow_peer){
			.key = v[i].peer->key,
			.sockets = v[i].peer->sockets,
			.siblings = n - 1,
			.rtt_us = (uint32_t)rtt_us,
			.siblings_rtt_us = (uint32_t)nt_unlog(v[n / 2].rtt),
		};
	}
	return found;
}

int nt_slow_peers(struct nt_engine *e, struct nt_slow_peer *ret, uint32_t max)
{
	uint32_t n = 0, found = 0, *away;
	struct compared *v;

	pthread_mutex_lock(&e->lock);
	struct nt_peers *all = e->peers;

	if (!all || all->n < PEERS_LEAST || all->sweep != e->sweep) {
		pthread_mutex_unlock(&e->lock);
		return 0;
	}
	v = malloc(all->n * (sizeof(*v) + sizeof(*away)));
	if (!v) {
		pthread_mutex_unlock(&e->lock);
		return -ENOMEM;
	}
	away = (uint32_t *)(v + all->n);
	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct nt_peer *p = &all->v[i];

		if (p->sweep != e->sweep)
			continue;
		v[n++] = (struct compared){
			.service = (uint64_t)p->key.netns << 32 | (uint32_t)p->key.dport << 8 |
				   p->key.family,
			.peer = p,
			.over = (uint32_t)(p->over_logs / p->sockets),
			.rtt = (uint32_t)(p->rtt_logs / p->sockets),
		};
	}
	qsort(v, n, sizeof(*v), by_service);
	for (uint32_t from = 0, to; from < n; from = to) {
		for (to = from; to < n && v[to].service == v[from].service;)
			to++;
		found += slow_of(v + from, to - from, away, ret + found, max - found);
	}
	pthread_mutex_unlock(&e->lock);
	free(v);
	return (int)found;
}

int nt_held_slow(struct nt_engine *e, const struct nt_peer_key *v, uint32_t n)
{
	if (n > NT_SLOW)
		return -EINVAL;
	pthread_mutex_lock(&e->lock);
	if (n)
		memcpy(e->slow, v, n * sizeof(*v));
	e->n_slow = n;
	pthread_mutex_unlock(&e->lock);
	return 0;
}

bool nt_is_slow(const struct nt_engine *e, const struct nt_rec *r)
{
	if (!e->n_slow)
		return false;
	struct nt_peer_key key = key_of(r);

	for (uint32_t i = 0; i < e->n_slow; i++)
		if (same(&e->slow[i], &key))
			return called(e, r);
	return false;
}

void nt_hold_slow(const struct nt_rec *r, const struct nt_facts *f, struct nt_held *h)
{
	bool mine = r->verdicts >> NT_V_RTT & 1;

	if (!r->min_rtt_us || r->min_rtt_us == NT_MIN_RTT_UNKNOWN || (!f->acked && !mine))
		return;
	if (h->mask >> NT_V_RTT & 1 && h->because[NT_V_RTT] != NT_B_UNUSUAL)
		return;
	nt_hold(h, NT_V_RTT, (float)r->rtt_us / (float)r->min_rtt_us, 0, false);
	h->over[NT_V_RTT] = 1;
	h->who[NT_V_RTT] = NT_WHO_PEER | NT_WHO_MAYBE;
	h->because[NT_V_RTT] = NT_B_SIBLINGS;
	h->spanning |= 1U << NT_V_RTT;
}
