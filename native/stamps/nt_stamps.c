/* SPDX-License-Identifier: MIT */
/* Sends and receives of own sockets, with the clock read beside them. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "nt_api.h"
#include "nt_stamps.h"

/* Room for every control message that can come, statistics included. */
#define CONTROL 1024
/* The data of a stamp: nothing with OPT_TSONLY; the statistics once more with OPT_STATS. */
#define STAMP_DATA 512

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

int nt_stamps_enable(int fd, uint32_t flags)
{
	static const int OPTIONS[] = { NT_SO_TIMESTAMPING_NEW, NT_SO_TIMESTAMPING_OLD };
	int value = (int)flags;

	for (size_t i = 0; i < sizeof(OPTIONS) / sizeof(OPTIONS[0]); i++) {
		if (!setsockopt(fd, SOL_SOCKET, OPTIONS[i], &value, sizeof(value)))
			return 0;
		if (errno != ENOPROTOOPT)
			break;
	}
	return -errno;
}

int64_t nt_stamps_recv(int fd, uint8_t *data, uint32_t n, int flags, struct nt_stamp *ret)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL];
	uint8_t from[sizeof(ret->from)] = { 0 };
	struct iovec io = { .iov_base = data, .iov_len = n };
	struct msghdr m = {
		.msg_name = from,
		.msg_namelen = sizeof(from),
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(fd, &m, flags | MSG_DONTWAIT);
	int err = errno;
	uint64_t mono = clock_ns(CLOCK_MONOTONIC), real = clock_ns(CLOCK_REALTIME);

	if (got < 0)
		return -err;
	nt_stamps_parse(control, (uint32_t)m.msg_controllen, (uint32_t)m.msg_flags, ret);
	ret->read_ns = real;
	ret->read_mono_ns = mono;
	ret->bytes = (uint32_t)got;
	/* A connected stream has no name to give. */
	ret->from_len = m.msg_namelen <= sizeof(from) ? (uint32_t)m.msg_namelen : 0;
	memcpy(ret->from, from, ret->from_len);
	return got;
}

int nt_stamps_drain(int fd, struct nt_stamp *v, uint32_t max)
{
	uint8_t data[STAMP_DATA];
	uint32_t n = 0;

	while (n < max) {
		int64_t got = nt_stamps_recv(fd, data, sizeof(data), MSG_ERRQUEUE, &v[n]);

		if (got == -EAGAIN)
			break;
		if (got < 0)
			return n ? (int)n : (int)got;
		n++;
	}
	return (int)n;
}

int64_t nt_stamps_await(int fd, uint64_t deadline_ns, int stop_at_stamps, uint8_t *data, uint32_t n,
			struct nt_stamp *ret, struct nt_stamp *v, uint32_t max, uint32_t *taken)
{
	*taken = 0;
	for (;;) {
		int64_t got = nt_stamps_recv(fd, data, n, 0, ret);
		int drained = nt_stamps_drain(fd, v + *taken, max - *taken);

		if (drained > 0)
			*taken += (uint32_t)drained;
		if (got != -EAGAIN)
			return got;
		if (drained < 0)
			return drained;
		if (*taken == max || (stop_at_stamps && *taken))
			return -EAGAIN;
		uint64_t now = clock_ns(CLOCK_MONOTONIC);
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (now >= deadline_ns)
			return -EAGAIN;
		uint64_t left = deadline_ns - now;
		struct timespec t = { (time_t)(left / 1000000000), (long)(left % 1000000000) };

		if (ppoll(&p, 1, &t, NULL) < 0)
			return -errno;
	}
}

int64_t nt_stamps_send(int fd, const uint8_t *data, uint32_t n, int flags, const uint8_t *to,
		       uint32_t n_to, uint32_t tx_flags, struct nt_sent *ret)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(tx_flags))] = { 0 };
	struct iovec io = { .iov_base = (void *)(uintptr_t)data, .iov_len = n };
	struct msghdr m = {
		.msg_name = (void *)(uintptr_t)to,
		.msg_namelen = n_to,
		.msg_iov = &io,
		.msg_iovlen = 1,
	};
	ssize_t sent;

	if (tx_flags) {
		struct cmsghdr h = {
			.cmsg_len = CMSG_LEN(sizeof(tx_flags)),
			.cmsg_level = SOL_SOCKET,
			/* Both layouts take the same request. */
			.cmsg_type = NT_SO_TIMESTAMPING_OLD,
		};

		memcpy(control, &h, sizeof(h));
		memcpy(control + CMSG_LEN(0), &tx_flags, sizeof(tx_flags));
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
	}
	ret->before_ns = clock_ns(CLOCK_REALTIME);
	ret->before_mono_ns = clock_ns(CLOCK_MONOTONIC);
	sent = sendmsg(fd, &m, flags | MSG_NOSIGNAL);
	int err = errno;

	ret->after_mono_ns = clock_ns(CLOCK_MONOTONIC);
	return sent < 0 ? -err : sent;
}
