/* SPDX-License-Identifier: MIT */
/*
 * A NIC's stamping is global state that outlives the process that set it. So a child process restores it:
 * it waits for the end of a pipe that only its owner holds, which also comes when the owner is
 * killed. The child keeps the privilege that the owner may give up meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nt_api.h"

enum { LEFT_ALONE = 255, WAIT_MS = 5000, STEP_MS = 5, MOST_FDS = 65536 };

/* What the child reports of its start; small enough to be written in one piece. */
struct answer {
	int err;
	struct nt_hwtstamp now;
};

static int same(const struct nt_hwtstamp *a, const struct nt_hwtstamp *b)
{
	return a->tx_type == b->tx_type && a->rx_filter == b->rx_filter && a->flags == b->flags;
}

/* 0, LEFT_ALONE or an errno: what the child exits with. */
static int put_back(const char *ifname, const struct nt_hwtstamp_guard *guard)
{
	struct nt_hwtstamp now, before = guard->before;
	int err = nt_hwtstamp_get(ifname, &now);

	if (err)
		return -err;
	if (same(&now, &before))
		return 0;
	if (!same(&now, &guard->now))
		return LEFT_ALONE;
	return -nt_hwtstamp_set(ifname, &before);
}

static void close_from(unsigned int first, unsigned int last)
{
	if (first > last || !syscall(SYS_close_range, first, last, 0))
		return;
	for (unsigned int fd = first; fd <= last && fd < MOST_FDS; fd++)
		close((int)fd);
}

/* Keeps nothing of the owner's open but two pipes: a reader of its output waits for no other process. */
static void close_others(int a, int b)
{
	unsigned int low = (unsigned int)(a < b ? a : b), high = (unsigned int)(a < b ? b : a);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		if (null >= 0 && fd != a && fd != b)
			dup2(null, fd);
	close_from(3, low ? low - 1 : 0);
	close_from(low < 3 ? 3 : low + 1, high ? high - 1 : 0);
	close_from(high < 3 ? 3 : high + 1, ~0U);
}

/* The child: sets, reports, waits for the end of the pipe, restores. */
static _Noreturn void run_guard(const char *ifname, struct nt_hwtstamp_guard *guard, int hold_fd,
				int told_fd)
{
	struct answer answer = { 0 };
	sigset_t all;
	char byte;

	/* A Ctrl-C, or a hang-up of the terminal, is the owner's. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	setsid();
	prctl(PR_SET_NAME, "nettop-restore", 0, 0, 0);
	close_others(hold_fd, told_fd);
	answer.err = nt_hwtstamp_set(ifname, &guard->now);
	answer.now = guard->now;
	while (write(told_fd, &answer, sizeof(answer)) < 0 && errno == EINTR)
		;
	close(told_fd);
	if (answer.err)
		_exit(0);
	while (read(hold_fd, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(put_back(ifname, guard));
}

int nt_hwtstamp_guard(const char *ifname, struct nt_hwtstamp_guard *inout)
{
	struct answer answer;
	int hold[2], answers[2], err;
	ssize_t n;
	pid_t pid;

	err = nt_hwtstamp_get(ifname, &inout->before);
	if (err)
		return err;
	if (pipe2(hold, O_CLOEXEC))
		return -errno;
	if (pipe2(answers, O_CLOEXEC)) {
		err = -errno;
		goto close_hold;
	}
	pid = fork();
	if (pid < 0) {
		err = -errno;
		goto close_told;
	}
	if (!pid)
		run_guard(ifname, inout, hold[0], answers[1]);
	close(hold[0]);
	close(answers[1]);
	do
		n = read(answers[0], &answer, sizeof(answer));
	while (n < 0 && errno == EINTR);
	err = n == (ssize_t)sizeof(answer) ? answer.err : -ESRCH;
	close(answers[0]);
	if (err) {
		close(hold[1]);
		waitpid(pid, NULL, 0);
		return err;
	}
	inout->now = answer.now;
	inout->pid = pid;
	inout->pipe_fd = hold[1];
	return 0;

close_told:
	close(answers[0]);
	close(answers[1]);
close_hold:
	close(hold[0]);
	close(hold[1]);
	return err;
}

int nt_hwtstamp_unguard(struct nt_hwtstamp_guard *guard)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };
	int status;

	if (guard->pipe_fd < 0)
		return 0;
	close(guard->pipe_fd);
	guard->pipe_fd = -1;
	for (int waited = 0; waited < WAIT_MS; waited += STEP_MS) {
		pid_t pid = waitpid(guard->pid, &status, WNOHANG);

		if (pid < 0 && errno != EINTR)
			return -errno;
		if (pid == guard->pid) {
			if (!WIFEXITED(status))
				return -ESRCH;
			return WEXITSTATUS(status) == LEFT_ALONE ? 1 : -WEXITSTATUS(status);
		}
		nanosleep(&step, NULL);
	}
	return -ETIMEDOUT;
}
