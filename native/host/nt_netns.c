/* SPDX-License-Identifier: MIT */
/*
 * Opens what a namespace is read through. A netlink socket and a file of /proc/net belong to
 * the namespace of the thread that opened them, so a helper thread enters it, opens and ends;
 * no other thread ever changes its namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nt_api.h"

static const int RCVBUF_BYTES = 1 << 20;

struct job {
	int ns_fd;
	int err;
	struct nt_netns_fds fds;
};

/* Returns the descriptor or -errno. */
static int open_diag(void)
{
	int on = 1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	/* A larger buffer loses fewer messages; without it the dump still works. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &RCVBUF_BYTES, sizeof(RCVBUF_BYTES)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &RCVBUF_BYTES, sizeof(RCVBUF_BYTES));
	/* The kernel's words beside an errno are read by strace alone. */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	return fd;
}

/* thread-self, not self: the process's first thread is in another namespace. */
static int open_net(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* For devices and qdiscs; -1 where a sandbox refuses it. */
static int open_route(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static void *run(void *arg)
{
	struct job *job = arg;
	struct nt_netns_fds *fds = &job->fds;

	if (job->ns_fd >= 0 && setns(job->ns_fd, CLONE_NEWNET)) {
		job->err = -errno;
		return NULL;
	}
	fds->diag_fd = open_diag();
	if (fds->diag_fd < 0) {
		job->err = fds->diag_fd;
		return NULL;
	}
	fds->sockstat_fd = open_net("/proc/thread-self/net/sockstat");
	fds->sockstat6_fd = open_net("/proc/thread-self/net/sockstat6");
	fds->snmp_fd = open_net("/proc/thread-self/net/snmp");
	fds->netstat_fd = open_net("/proc/thread-self/net/netstat");
	fds->snmp6_fd = open_net("/proc/thread-self/net/snmp6");
	fds->route_fd = open_route();
	fds->conntrack_fd = open_net("/proc/thread-self/net/stat/nf_conntrack");
	fds->wmem_fd = open_net("/proc/sys/net/ipv4/tcp_wmem");
	return NULL;
}

int nt_netns_open(int ns_fd, struct nt_netns_fds *ret)
{
	struct job job = { .ns_fd = ns_fd };
	pthread_t thread;
	int err = pthread_create(&thread, NULL, run, &job);

	if (err)
		return -err;
	pthread_join(thread, NULL);
	if (!job.err)
		*ret = job.fds;
	return job.err;
}
