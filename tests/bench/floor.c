// SPDX-License-Identifier: MIT
/*
 * The least that a poll of all TCP sockets can cost: one dump over sock_diag that is read and
 * not looked at, but for its end.
 *
 *   floor [-r DUMPS] [-s STATES]
 *
 * Same request as nettop's: legacy type (IPv4 and IPv6 in one walk), all extensions, reads of
 * 64 KiB. Prints one JSON line: CPU and wall time of each dump but the first, its bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES 65536

struct cost {
	uint64_t cpu_ns, wall_ns, bytes;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int dump(int fd, uint32_t states, uint8_t *buf, struct cost *cost)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req r;
	} q = {
		.h = { .nlmsg_len = sizeof(q),
		       .nlmsg_type = TCPDIAG_GETSOCK,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .idiag_family = AF_INET, .idiag_ext = 0xff, .idiag_states = states },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	uint64_t wall = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);

	cost->bytes = 0;
	if (sendto(fd, &q, sizeof(q), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, buf, READ_BYTES, 0);
		const struct nlmsghdr *h = (const struct nlmsghdr *)buf;

		if (n < 0)
			return -errno;
		cost->bytes += (uint64_t)n;
		if (h->nlmsg_type == NLMSG_ERROR)
			return -EPROTO;
		if (h->nlmsg_type == NLMSG_DONE)
			break;
	}
	cost->cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	cost->wall_ns = now_ns(CLOCK_MONOTONIC) - wall;
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t states = 0xffffffff;
	int dumps = 3, opt;

	while ((opt = getopt(argc, argv, "r:s:")) != -1) {
		if (opt == 'r')
			dumps = atoi(optarg);
		else if (opt == 's')
			states = (uint32_t)strtoul(optarg, NULL, 0);
		else
			return 2;
	}
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	uint8_t *buf = aligned_alloc(4096, READ_BYTES);

	if (fd < 0 || !buf) {
		perror("floor");
		return 1;
	}
	printf("[");
	for (int i = -1; i < dumps; i++) {
		struct cost cost = { 0 };
		int err = dump(fd, states, buf, &cost);

		if (err) {
			fprintf(stderr, "floor: %s\n", strerror(-err));
			return 1;
		}
		if (i >= 0)
			printf("%s{\"cpu_ns\": %lu, \"wall_ns\": %lu, \"bytes\": %lu}",
			       i ? ", " : "", cost.cpu_ns, cost.wall_ns, cost.bytes);
	}
	printf("]\n");
	return 0;
}
