/* SPDX-License-Identifier: MIT */
/* Answers of RTM_GETLINK, GETQDISC, GETROUTE and GETNEIGH as bytes; nothing here calls the kernel. */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "nt_api.h"
#include "nt_links.h"

/* Members of enums that headers of older kernels lack. */
enum {
	STATS_BASIC = 1, /* TCA_STATS_BASIC: u64 bytes, u32 packets */
	STATS_QUEUE = 3, /* TCA_STATS_QUEUE: qlen, backlog, drops, requeues, overlimits */
	STATS_APP = 4,
	STATS_PKT64 = 8,
};

/* One attribute; its data is of n bytes. */
struct attr {
	uint32_t type, n;
	const uint8_t *data;
};

/* The attribute at *at, and *at behind it; false at the end, or where the rest is none. */
static bool next_attr(const uint8_t *raw, uint32_t n, uint32_t *at, struct attr *ret)
{
	struct nlattr head;

	if (*at > n || n - *at < sizeof(head))
		return false;
	memcpy(&head, raw + *at, sizeof(head));
	if (head.nla_len < sizeof(head) || head.nla_len > n - *at)
		return false;
	ret->type = head.nla_type & NLA_TYPE_MASK;
	ret->n = head.nla_len - (uint32_t)sizeof(head);
	ret->data = raw + *at + sizeof(head);
	*at += NLA_ALIGN(head.nla_len);
	return true;
}

static uint32_t u32_of(const struct attr *a, uint32_t at)
{
	uint32_t x = 0;

	if (at + sizeof(x) <= a->n)
		memcpy(&x, a->data + at, sizeof(x));
	return x;
}

static uint64_t u64_of(const struct attr *a, uint32_t at)
{
	uint64_t x = 0;

	if (at + sizeof(x) <= a->n)
		memcpy(&x, a->data + at, sizeof(x));
	return x;
}

static void text_of(const struct attr *a, char *ret, uint32_t room)
{
	uint32_t n = a->n < room - 1 ? a->n : room - 1;

	memset(ret, 0, room);
	memcpy(ret, a->data, strnlen((const char *)a->data, n));
}

/* A number that kernels since some version append is 0 before. */
#define STAT(a, member) u64_of(a, (uint32_t)offsetof(struct rtnl_link_stats64, member))

static void parse_link(const uint8_t *raw, uint32_t n, struct nt_link *ret)
{
	struct ifinfomsg head;
	uint32_t at = NLMSG_ALIGN(sizeof(head));
	struct attr a;

	memcpy(&head, raw, sizeof(head));
	memset(ret, 0, sizeof(*ret));
	ret->ifindex = (uint32_t)head.ifi_index;
	ret->flags = head.ifi_flags;
	while (next_attr(raw, n, &at, &a)) {
		if (a.type == IFLA_IFNAME)
			text_of(&a, ret->name, sizeof(ret->name));
		else if (a.type == IFLA_MTU)
			ret->mtu = u32_of(&a, 0);
		else if (a.type == IFLA_CARRIER_CHANGES)
			ret->carrier_changes = u32_of(&a, 0);
		if (a.type != IFLA_STATS64)
			continue;
		ret->rx_packets = STAT(&a, rx_packets);
		ret->tx_packets = STAT(&a, tx_packets);
		ret->rx_bytes = STAT(&a, rx_bytes);
		ret->tx_bytes = STAT(&a, tx_bytes);
		ret->rx_errors = STAT(&a, rx_errors);
		ret->tx_errors = STAT(&a, tx_errors);
		ret->rx_dropped = STAT(&a, rx_dropped);
		ret->tx_dropped = STAT(&a, tx_dropped);
		ret->rx_over_errors = STAT(&a, rx_over_errors);
		ret->rx_crc_errors = STAT(&a, rx_crc_errors);
		ret->rx_fifo_errors = STAT(&a, rx_fifo_errors);
		ret->rx_missed_errors = STAT(&a, rx_missed_errors);
		ret->rx_nohandler = STAT(&a, rx_nohandler);
		ret->tx_aborted_errors = STAT(&a, tx_aborted_errors);
		ret->tx_carrier_errors = STAT(&a, tx_carrier_errors);
		ret->tx_fifo_errors = STAT(&a, tx_fifo_errors);
	}
}

/* struct tc_fq_qd_stats; it grew at its end. */
static void parse_fq(const struct attr *a, struct nt_qdisc *ret)
{
	enum { THROTTLED = 24, FLOWS_PLIMIT = 32, CE_MARK = 80, HORIZON_DROPS = 88 };

	if (a->n < FLOWS_PLIMIT + 8)
		return;
	ret->throttled = u64_of(a, THROTTLED);
	ret->flows_plimit = u64_of(a, FLOWS_PLIMIT);
	ret->ce_mark = u64_of(a, CE_MARK);
	ret->horizon_drops = u64_of(a, HORIZON_DROPS);
}

/* struct tc_fq_codel_xstats, of the qdisc. */
static void parse_fq_codel(const struct attr *a, struct nt_qdisc *ret)
{
	enum { TYPE = 0, DROP_OVERLIMIT = 8, ECN_MARK = 12, CE_MARK = 28, DROP_OVERMEMORY = 36 };

	if (a->n < ECN_MARK + 4 || u32_of(a, TYPE) != 0)
		return;
	ret->drop_overlimit = u32_of(a, DROP_OVERLIMIT);
	ret->ecn_mark = u32_of(a, ECN_MARK);
	ret->ce_mark = u32_of(a, CE_MARK);
	ret->drop_overmemory = u32_of(a, DROP_OVERMEMORY);
}

/* struct tc_codel_xstats. */
static void parse_codel(const struct attr *a, struct nt_qdisc *ret)
{
	enum { DROP_OVERLIMIT = 20, ECN_MARK = 24, CE_MARK = 32 };

	if (a->n < ECN_MARK + 4)
		return;
	ret->drop_overlimit = u32_of(a, DROP_OVERLIMIT);
	ret->ecn_mark = u32_of(a, ECN_MARK);
	ret->ce_mark = u32_of(a, CE_MARK);
}

static void parse_stats(const struct attr *stats, struct nt_qdisc *ret)
{
	bool wide = false;
	uint32_t at = 0;
	struct attr a;

	while (next_attr(stats->data, stats->n, &at, &a)) {
		if (a.type == STATS_BASIC) {
			ret->bytes = u64_of(&a, 0);
			if (!wide)
				ret->packets = u32_of(&a, 8);
		} else if (a.type == STATS_PKT64) {
			wide = true;
			ret->packets = u64_of(&a, 0);
		} else if (a.type == STATS_QUEUE && a.n >= 20) {
			ret->backlog_packets = u32_of(&a, 0);
			ret->backlog_bytes = u32_of(&a, 4);
			ret->drops = u32_of(&a, 8);
			ret->requeues = u32_of(&a, 12);
			ret->overlimits = u32_of(&a, 16);
		} else if (a.type == STATS_APP) {
			if (!strcmp(ret->kind, "fq"))
				parse_fq(&a, ret);
			else if (!strcmp(ret->kind, "fq_codel"))
				parse_fq_codel(&a, ret);
			else if (!strcmp(ret->kind, "codel"))
				parse_codel(&a, ret);
		}
	}
}

static void parse_qdisc(const uint8_t *raw, uint32_t n, struct nt_qdisc *ret)
{
	const uint32_t from = NLMSG_ALIGN(sizeof(struct tcmsg));
	struct tcmsg head;
	struct attr a;

	memcpy(&head, raw, sizeof(head));
	memset(ret, 0, sizeof(*ret));
	ret->ifindex = (uint32_t)head.tcm_ifindex;
	ret->handle = head.tcm_handle;
	ret->parent = head.tcm_parent;
	/* The kind first: what the statistics mean depends on it. */
	for (uint32_t at = from; next_attr(raw, n, &at, &a);)
		if (a.type == TCA_KIND)
			text_of(&a, ret->kind, sizeof(ret->kind));
	for (uint32_t at = from; next_attr(raw, n, &at, &a);)
		if (a.type == TCA_STATS2)
			parse_stats(&a, ret);
}

/* A kind of dump: its messages, the least bytes of one's body, what one becomes. */
struct dump {
	uint16_t type;
	uint32_t least;
	void (*one)(const uint8_t *raw, uint32_t n, void *ret, uint32_t at);
};

static void put_link(const uint8_t *raw, uint32_t n, void *ret, uint32_t at)
{
	parse_link(raw, n, (struct nt_link *)ret + at);
}

static void put_qdisc(const uint8_t *raw, uint32_t n, void *ret, uint32_t at)
{
	parse_qdisc(raw, n, (struct nt_qdisc *)ret + at);
}

static void put_route(const uint8_t *raw, uint32_t n, void *ret, uint32_t at)
{
	uint32_t from = NLMSG_ALIGN(sizeof(struct rtmsg)), skip;
	struct nt_route *one = (struct nt_route *)ret + at;
	uint8_t family = raw[0]; /* rtm_family */
	uint16_t other;
	struct attr a;

	*one = (struct nt_route){ 0 };
	while (next_attr(raw, n, &from, &a)) {
		if (a.type == RTA_OIF)
			one->ifindex = u32_of(&a, 0);
		if (a.type != RTA_GATEWAY && a.type != RTA_VIA)
			continue;
		skip = a.type == RTA_VIA ? sizeof(other) : 0;
		if (a.n < skip || a.n - skip > sizeof(one->via))
			continue;
		if (skip) { /* struct rtvia */
			memcpy(&other, a.data, sizeof(other));
			family = (uint8_t)other;
		}
		one->via_family = family;
		memcpy(one->via, a.data + skip, a.n - skip);
	}
}

static void put_neighbour(const uint8_t *raw, uint32_t n, void *ret, uint32_t at)
{
	struct ndmsg head;

	(void)n;
	memcpy(&head, raw, sizeof(head));
	((uint32_t *)ret)[at] = head.ndm_state;
}

static int parse(const struct dump *d, const uint8_t *raw, uint32_t n, uint32_t seq, void *ret,
		 uint32_t max, uint32_t *count)
{
	bool changed = false;

	for (uint32_t at = 0; at < n;) {
		struct nlmsghdr head;
		const uint8_t *body = raw + at + NLMSG_HDRLEN;

		if (n - at < sizeof(head))
			return -EPROTO;
		memcpy(&head, raw + at, sizeof(head));
		if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > n - at)
			return -EPROTO;
		uint32_t bytes = head.nlmsg_len - NLMSG_HDRLEN;

		/* The last one need not be padded. */
		at = NLMSG_ALIGN(head.nlmsg_len) < n - at ? at + NLMSG_ALIGN(head.nlmsg_len) : n;
		if (head.nlmsg_seq != seq) /* the answer to a request that was given up */
			continue;
		changed |= (head.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) {
			int32_t error = 0;

			if (bytes >= sizeof(error))
				memcpy(&error, body, sizeof(error));
			if (error < 0)
				return error < -4095 ? -EPROTO : error;
			return changed ? NT_ROUTE_CHANGED : NT_ROUTE_DONE;
		}
		if (head.nlmsg_type != d->type)
			continue;
		if (bytes < d->least)
			return -EPROTO;
		if (*count < max)
			d->one(body, bytes, ret, *count);
		++*count;
	}
	return NT_ROUTE_MORE;
}

int nt_links_parse(const uint8_t *raw, uint32_t n, uint32_t seq, struct nt_link *ret, uint32_t max,
		   uint32_t *count)
{
	static const struct dump links = { RTM_NEWLINK, sizeof(struct ifinfomsg), put_link };

	return parse(&links, raw, n, seq, ret, max, count);
}

int nt_qdiscs_parse(const uint8_t *raw, uint32_t n, uint32_t seq, struct nt_qdisc *ret,
		    uint32_t max, uint32_t *count)
{
	static const struct dump qdiscs = { RTM_NEWQDISC, sizeof(struct tcmsg), put_qdisc };

	return parse(&qdiscs, raw, n, seq, ret, max, count);
}

int nt_routes_parse(const uint8_t *raw, uint32_t n, uint32_t seq, struct nt_route *ret,
		    uint32_t max, uint32_t *count)
{
	static const struct dump routes = { RTM_NEWROUTE, sizeof(struct rtmsg), put_route };

	return parse(&routes, raw, n, seq, ret, max, count);
}

int nt_neighbours_parse(const uint8_t *raw, uint32_t n, uint32_t seq, uint32_t *ret, uint32_t max,
			uint32_t *count)
{
	static const struct dump neighbours = { RTM_NEWNEIGH, sizeof(struct ndmsg), put_neighbour };

	return parse(&neighbours, raw, n, seq, ret, max, count);
}
