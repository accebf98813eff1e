// SPDX-License-Identifier: MIT
/*
 * A flood in the network namespace of its caller: `flood KIND RATE SECONDS`, RATE a second.
 *
 *   udp      datagrams of 64 bytes over loopback into one socket, which one process reads
 *   connect  connections over loopback that are accepted and reset at once
 *   syn      SYNs of made-up senders (198.18.0.0/15) to a listener at 198.51.100.1, port 9
 *
 * Sleeps between the bursts of a millisecond each. Prints how many it sent, and of datagrams how
 * many were read.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BURSTS 1000 /* a second */

static long *taken; /* by the other process */

static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_at(const char *address, uint16_t port, struct sockaddr_in *at, int kind)
{
	int fd = socket(AF_INET, kind, 0);
	socklen_t len = sizeof(*at);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	inet_pton(AF_INET, address, &at->sin_addr);
	if (fd < 0 || bind(fd, (struct sockaddr *)at, sizeof(*at)) ||
	    (kind == SOCK_STREAM && listen(fd, 4096)))
		die("listening");
	getsockname(fd, (struct sockaddr *)at, &len);
	return fd;
}

static void reset(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* The other process: reads or accepts until it is ended. */
static pid_t taker(int fd, int accepts)
{
	pid_t pid = fork();
	char buf[2048];

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		if (!accepts) {
			*taken += recv(fd, buf, sizeof(buf), 0) > 0;
			continue;
		}
		int got = accept(fd, NULL, NULL);

		if (got >= 0)
			reset(got);
		*taken += got >= 0;
	}
}

static uint16_t sum16(const void *v, size_t n, uint32_t sum)
{
	const uint8_t *p = v;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static int send_syn(int raw, const struct sockaddr_in *to)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} p = { .ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP },
		.tcp = { .doff = 5, .syn = 1, .window = htons(64240), .dest = to->sin_port } };
	uint32_t sum;

	p.ip.saddr = htonl(0xc6120000U | ((uint32_t)random() & 0x1ffff));
	p.ip.daddr = to->sin_addr.s_addr;
	p.tcp.source = htons((uint16_t)(1024 + random() % 60000));
	p.tcp.seq = (uint32_t)random();
	sum = IPPROTO_TCP + sizeof(p.tcp) + sum16(&p.ip.saddr, 8, 0);
	p.tcp.check = htons((uint16_t)~sum16(&p.tcp, sizeof(p.tcp), sum));
	return sendto(raw, &p, sizeof(p), 0, (const struct sockaddr *)to, sizeof(*to)) > 0;
}

static int send_connection(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int done = fd >= 0 && !connect(fd, (const struct sockaddr *)to, sizeof(*to));

	if (fd >= 0)
		reset(fd);
	return done;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	int udp = !strcmp(argv[1], "udp"), syn = !strcmp(argv[1], "syn");
	long rate = atol(argv[2]), seconds = atol(argv[3]), sent = 0, due = 0;
	struct sockaddr_in to;
	int fd = listen_at(syn ? "198.51.100.1" : "127.0.0.1", syn ? 9 : 0, &to,
			   udp ? SOCK_DGRAM : SOCK_STREAM);
	int out = udp ? socket(AF_INET, SOCK_DGRAM, 0) :
		  syn ? socket(AF_INET, SOCK_RAW, IPPROTO_RAW) :
			-1;
	char payload[64] = { 0 };
	struct timespec at;
	pid_t other = 0;

	taken = mmap(NULL, sizeof(*taken), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (taken == MAP_FAILED || rate < 1 || seconds < 1)
		die("starting");
	if (!syn)
		other = taker(fd, !udp);
	clock_gettime(CLOCK_MONOTONIC, &at);
	for (long burst = 1; burst <= seconds * BURSTS; burst++) {
		for (; due < rate * burst / BURSTS; due++) {
			if (udp)
				sent += sendto(out, payload, sizeof(payload), 0,
					       (struct sockaddr *)&to, sizeof(to)) > 0;
			else
				sent += syn ? send_syn(out, &to) : send_connection(&to);
		}
		at.tv_nsec += 1000000000L / BURSTS;
		at.tv_sec += at.tv_nsec / 1000000000L;
		at.tv_nsec %= 1000000000L;
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		/* What it is late by it does not catch up with. */
		if (now.tv_sec > at.tv_sec ||
		    (now.tv_sec == at.tv_sec && now.tv_nsec > at.tv_nsec)) {
			long late_ms = (now.tv_sec - at.tv_sec) * 1000 +
				       (now.tv_nsec - at.tv_nsec) / 1000000;

			at = now;
			burst += late_ms;
			due = rate * burst / BURSTS;
		} else {
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		}
	}
	if (other) {
		usleep(100000);
		kill(other, SIGKILL);
		waitpid(other, NULL, 0);
	}
	printf("%ld %ld\n", sent, *taken);
	return 0;
}
