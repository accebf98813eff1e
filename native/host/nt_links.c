/* SPDX-License-Identifier: MIT */
/* Asks a namespace for its devices and qdiscs, and by which device and neighbour it would send. */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nt_api.h"
#include "nt_links.h"

enum {
	BUF_BYTES = 1 << 16, /* the kernel fills 32 KB at most */
	MOST_READS = 4096,
};

struct request {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct tcmsg qdisc;
		struct {
			struct rtmsg head;
			struct {
				struct rtattr head;
				uint8_t address[16];
			} end[2]; /* of IPv4 they are shorter: see put_end */
		} route;
		struct {
			struct ndmsg head;
			struct {
				struct rtattr head;
				uint8_t address[16];
			} end;
		} neighbour;
	} body;
};

typedef int (*parse_fn)(const uint8_t *raw, uint32_t n, uint32_t seq, void *ret, uint32_t max,
			uint32_t *count);

static int parse_links(const uint8_t *raw, uint32_t n, uint32_t seq, void *ret, uint32_t max,
		       uint32_t *count)
{
	return nt_links_parse(raw, n, seq, ret, max, count);
}

static int parse_route(const uint8_t *raw, uint32_t n, uint32_t seq, void *ret, uint32_t max,
		       uint32_t *count)
{
	return nt_routes_parse(raw, n, seq, ret, max, count);
}

static int parse_neighbour(const uint8_t *raw, uint32_t n, uint32_t seq, void *ret, uint32_t max,
			   uint32_t *count)
{
	return nt_neighbours_parse(raw, n, seq, ret, max, count);
}

static int parse_qdiscs(const uint8_t *raw, uint32_t n, uint32_t seq, void *ret, uint32_t max,
			uint32_t *count)
{
	return nt_qdiscs_parse(raw, n, seq, ret, max, count);
}

/* Reads until the dump ends. Returns how many there are or -errno. */
static int answers(int fd, uint32_t seq, parse_fn parse, void *ret, uint32_t max)
{
	uint8_t *buf = malloc(BUF_BYTES);
	uint32_t count = 0;
	int end = buf ? NT_ROUTE_MORE : -ENOMEM;

	for (uint32_t i = 0; end == NT_ROUTE_MORE; i++) {
		/* MSG_TRUNC: the length of what did not fit. An answer is there at once. */
		ssize_t n = i < MOST_READS ? recv(fd, buf, BUF_BYTES, MSG_TRUNC | MSG_DONTWAIT) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			end = errno == EAGAIN ? -EPROTO : -errno;
		else if (n == 0 || n > BUF_BYTES)
			end = -EPROTO;
		else
			end = parse(buf, (uint32_t)n, seq, ret, max, &count);
	}
	free(buf);
	return end < 0 ? end : (int)count;
}

static int ask(int fd, struct request *request, uint32_t body_bytes, uint16_t flags, uint32_t seq)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	uint32_t n = (uint32_t)NLMSG_LENGTH(body_bytes);

	request->head.nlmsg_len = n;
	request->head.nlmsg_flags = NLM_F_REQUEST | flags;
	request->head.nlmsg_seq = seq;
	if (sendto(fd, request, n, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

int nt_links_read(int route_fd, uint32_t seq, struct nt_link *ret, uint32_t max)
{
	struct request request = { .head.nlmsg_type = RTM_GETLINK };
	int err = ask(route_fd, &request, sizeof(request.body.link), NLM_F_DUMP, seq);

	return err ? err : answers(route_fd, seq, parse_links, ret, max);
}

int nt_qdiscs_read(int route_fd, uint32_t seq, struct nt_qdisc *ret, uint32_t max)
{
	struct request request = { .head.nlmsg_type = RTM_GETQDISC };
	int err = ask(route_fd, &request, sizeof(request.body.qdisc), NLM_F_DUMP, seq);

	return err ? err : answers(route_fd, seq, parse_qdiscs, ret, max);
}

/* One address of n bytes, at *at behind the head of the request; *at behind it then. */
static void put_end(uint8_t *body, uint32_t *at, uint16_t type, const uint8_t *address, uint32_t n)
{
	struct rtattr head = { .rta_len = (uint16_t)RTA_LENGTH(n), .rta_type = type };

	memcpy(body + *at, &head, sizeof(head));
	memcpy(body + *at + RTA_LENGTH(0), address, n);
	*at += RTA_SPACE(n);
}

int nt_route_read(int route_fd, uint32_t seq, uint8_t family, const uint8_t src[16],
		  const uint8_t dst[16], struct nt_route *ret)
{
	const uint32_t n = family == AF_INET6 ? 16 : 4;
	struct request request = { .head.nlmsg_type = RTM_GETROUTE };
	uint32_t at = NLMSG_ALIGN(sizeof(request.body.route.head));

	request.body.route.head = (struct rtmsg){
		.rtm_family = family,
		.rtm_src_len = (uint8_t)(n * 8),
		.rtm_dst_len = (uint8_t)(n * 8),
	};
	put_end((uint8_t *)&request.body, &at, RTA_SRC, src, n);
	put_end((uint8_t *)&request.body, &at, RTA_DST, dst, n);
	*ret = (struct nt_route){ 0 };
	/* The acknowledgement ends the answer. */
	int err = ask(route_fd, &request, at, NLM_F_ACK, seq);

	if (!err)
		err = answers(route_fd, seq, parse_route, ret, 1);
	return err < 0 ? err : 0;
}

int nt_neighbour_read(int route_fd, uint32_t seq, uint8_t family, uint32_t ifindex,
		      const uint8_t dst[16], uint32_t *state)
{
	struct request request = { .head.nlmsg_type = RTM_GETNEIGH };
	uint32_t at = NLMSG_ALIGN(sizeof(request.body.neighbour.head));

	request.body.neighbour.head = (struct ndmsg){
		.ndm_family = family,
		.ndm_ifindex = (int32_t)ifindex,
	};
	put_end((uint8_t *)&request.body, &at, NDA_DST, dst, family == AF_INET6 ? 16 : 4);
	*state = 0;
	int err = ask(route_fd, &request, at, NLM_F_ACK, seq);

	if (!err)
		err = answers(route_fd, seq, parse_neighbour, state, 1);
	return err < 0 ? err : 0;
}
