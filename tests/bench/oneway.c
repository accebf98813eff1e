// SPDX-License-Identifier: MIT
/*
 * One-byte messages over loopback, sent and received by one pinned thread in turn, so that no
 * wake-up of another CPU hides what a message itself costs: ns per message. `oneway N [stamp]`:
 * with stamp the sender asks for classic SO_TIMESTAMPING (SCHED, software SND, ACK) and drains
 * its error queue. The sender's cookie is printed first, and a line of standard input waited for.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void drain(int fd)
{
	char control[512], data[256];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	do {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
	} while (recvmsg(fd, &m, MSG_ERRQUEUE) >= 0);
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 100000;
	int stamp = argc > 2 && !strcmp(argv[2], "stamp"), one = 1;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int server = socket(AF_INET, SOCK_STREAM, 0), near_end = socket(AF_INET, SOCK_STREAM, 0), far_end;
	struct timespec t0, t1;
	uint64_t cookie;
	char c = 'x';

	bind(server, (struct sockaddr *)&a, len);
	listen(server, 1);
	getsockname(server, (struct sockaddr *)&a, &len);
	if (connect(near_end, (struct sockaddr *)&a, len))
		return 1;
	far_end = accept(server, NULL, NULL);
	setsockopt(near_end, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(far_end, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (stamp) {
		/* SOFTWARE | TX_SOFTWARE | TX_SCHED | TX_ACK | OPT_ID | OPT_TSONLY */
		int flags = 0x10 | 0x2 | 0x100 | 0x200 | 0x80 | 0x800;

		setsockopt(near_end, SOL_SOCKET, 37, &flags, sizeof(flags));
	}
	len = sizeof(cookie);
	getsockopt(near_end, SOL_SOCKET, 57, &cookie, &len);
	printf("%llu\n", (unsigned long long)cookie);
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	pin(0);
	for (long i = -(n / 10); i < n; i++) {
		if (i == 0)
			clock_gettime(CLOCK_MONOTONIC, &t0);
		if (send(near_end, &c, 1, 0) != 1 || recv(far_end, &c, 1, 0) != 1)
			return 1;
		if (stamp)
			drain(near_end);
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	double ns = (double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec);

	printf("%.1f\n", ns / (double)n);
	return 0;
}
