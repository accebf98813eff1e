// SPDX-License-Identifier: MIT
/*
 * Many idle TCP connections in a network namespace of their own.
 *
 *   load -c CONNECTIONS [-k PAIRS] [-P IDLE] [-m ACTIVE] [-i MS] [-b BYTES] [-t SECONDS]
 *
 * Both ends are here, so there are two sockets per connection. PAIRS pairs of processes (one
 * accepts, one connects) hold them in equal parts; there are at least as many pairs as
 * RLIMIT_NOFILE demands. IDLE further processes hold two descriptors each. The first ACTIVE
 * connections of each pair echo BYTES every MS milliseconds.
 *
 * Prints "ready SOCKETS PROCESSES" once all stand, and ends when standard input does, at the
 * latest after SECONDS. Its processes die with it, the namespace with them; connections are
 * reset, so that no TIME_WAIT stays behind.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST_PORT 20000
#define SPARE_FILES 64
#define MAX_BYTES 65536

struct plan {
	int connections, pairs, idle, active, bytes, seconds;
	struct timespec pause;
};

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void raise_loopback(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr))
		die("raising lo");
	close(fd);
}

/* A child that cannot outlive its parent, nor the time allowed. */
static pid_t child(const struct plan *plan)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	alarm((unsigned int)plan->seconds + 5);
	close(STDIN_FILENO);
	return 0;
}

static void reset_on_close(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void tell(int fd)
{
	if (write(fd, ".", 1) != 1)
		_exit(1);
}

static void serve(const struct plan *plan, int listener, int n, int ready)
{
	static char buf[MAX_BYTES];
	struct epoll_event events[64];
	int ep = epoll_create1(0);

	for (int i = 0; i < n; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

		if (fd < 0)
			die("accept");
		reset_on_close(fd);
		if (i < plan->active && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
			die("epoll_ctl");
	}
	close(listener);
	tell(ready);
	for (;;) {
		int got = epoll_wait(ep, events, 64, -1);

		for (int i = 0; i < got; i++) {
			ssize_t len = recv(events[i].data.fd, buf, sizeof(buf), 0);

			if (len <= 0 ||
			    send(events[i].data.fd, buf, (size_t)len, MSG_NOSIGNAL) != len)
				epoll_ctl(ep, EPOLL_CTL_DEL, events[i].data.fd, NULL);
		}
	}
}

/* Each connection goes to a loopback address of its own: ports never run out. */
static void ask(const struct plan *plan, int pair, int n, int ready)
{
	static char buf[MAX_BYTES];
	int active = n < plan->active ? n : plan->active;
	int *fds = calloc((size_t)n + 1, sizeof(*fds));

	if (!fds)
		die("calloc");
	for (int i = 0; i < n; i++) {
		uint32_t host = (uint32_t)pair * 16384 + (uint32_t)i + 256;
		struct sockaddr_in to = {
			.sin_family = AF_INET,
			.sin_port = htons((uint16_t)(FIRST_PORT + pair)),
			.sin_addr.s_addr = htonl(127U << 24 | (host & 0xffffff)),
		};
		int on = 1;

		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		if (fds[i] < 0)
			die("socket");
		reset_on_close(fds[i]);
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (connect(fds[i], (struct sockaddr *)&to, sizeof(to)))
			die("connect");
	}
	tell(ready);
	for (;;) {
		if (!active)
			pause();
		for (int i = 0; i < active; i++)
			send(fds[i], buf, (size_t)plan->bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		nanosleep(&plan->pause, NULL);
		for (int i = 0; i < active; i++)
			while (recv(fds[i], buf, sizeof(buf), MSG_DONTWAIT) > 0)
				;
	}
}

static int listen_on(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 4096))
		die("listen");
	return fd;
}

/* Both processes of each pair, and the idle ones; how many. */
static int start(const struct plan *plan, int ready)
{
	int left = plan->connections, started = 0;

	for (int k = 0; k < plan->pairs; k++) {
		int n = left / (plan->pairs - k);
		int listener = listen_on(FIRST_PORT + k);

		left -= n;
		if (!child(plan))
			serve(plan, listener, n, ready);
		close(listener);
		if (!child(plan))
			ask(plan, k, n, ready);
		started += 2;
	}
	for (int i = 0; i < plan->idle; i++, started++) {
		int held[2];

		if (child(plan))
			continue;
		if (pipe(held))
			die("pipe");
		tell(ready);
		for (;;)
			pause();
	}
	return started;
}

static void kill_children(void)
{
	/* The group is this program's own; it does not hit itself. */
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	struct plan plan = { .connections = 500, .pairs = 1, .bytes = 256, .seconds = 120 };
	struct rlimit files;
	int ms = 100, pipe_fd[2], opt;

	while ((opt = getopt(argc, argv, "c:k:P:m:i:b:t:")) != -1) {
		int *where = opt == 'c' ? &plan.connections :
			     opt == 'k' ? &plan.pairs :
			     opt == 'P' ? &plan.idle :
			     opt == 'm' ? &plan.active :
			     opt == 'i' ? &ms :
			     opt == 'b' ? &plan.bytes :
			     opt == 't' ? &plan.seconds :
					  NULL;

		if (!where)
			return 2;
		*where = atoi(optarg);
	}
	if (plan.connections < 0 || plan.pairs < 1 || plan.bytes < 1 || plan.bytes > MAX_BYTES ||
	    plan.seconds < 1 || plan.seconds > 4 * 3600)
		return 2;
	plan.pause = (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	alarm((unsigned int)plan.seconds + 5);
	if (unshare(CLONE_NEWNET))
		die("a network namespace");
	raise_loopback();
	if (getrlimit(RLIMIT_NOFILE, &files))
		die("getrlimit");
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	int most = files.rlim_max > 16384 + SPARE_FILES ? 16384 : (int)files.rlim_max - SPARE_FILES;

	if (plan.pairs < (plan.connections + most - 1) / most)
		plan.pairs = (plan.connections + most - 1) / most;
	if (pipe(pipe_fd))
		die("pipe");
	int children = start(&plan, pipe_fd[1]);

	close(pipe_fd[1]);
	for (int got = 0; got < children;) {
		char buf[256];
		ssize_t n = read(pipe_fd[0], buf, sizeof(buf));

		if (n <= 0) {
			kill_children();
			return 1;
		}
		got += (int)n;
	}
	printf("ready %d %d\n", 2 * plan.connections, children);
	fflush(stdout);
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };

	poll(&in, 1, plan.seconds * 1000);
	kill_children();
	return 0;
}
