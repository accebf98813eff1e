/* SPDX-License-Identifier: MIT */
/*
 * Control messages of SO_TIMESTAMP, SO_TIMESTAMPNS and SO_TIMESTAMPING, as bytes.
 * Layouts: include/uapi/linux/{time_types,errqueue,net_tstamp}.h, include/net/scm.h.
 */
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h>

#include "nt_api.h"
#include "nt_stamps.h"

enum {
	LEVEL_IP = 0,
	LEVEL_IPV6 = 41,
	LEVEL_PACKET = 263,
	IP_RECVERR_TYPE = 11,
	IPV6_RECVERR_TYPE = 25,
	PACKET_TX_TYPE = 16,
};

/* A struct that user space gets as three pairs of (seconds, parts of a second). */
enum { PAIRS = 3 };

#define NS_PER_S 1000000000ULL
/* As CLOCK_REALTIME in ns fits 64 bits: year 2554. */
#define MAX_S 18446744073LL

struct span {
	const uint8_t *at;
	size_t n;
};

static bool read_part(struct span s, size_t word, size_t nth, int64_t *ret)
{
	if (s.n < (nth + 1) * word)
		return false;
	if (word == 8) {
		memcpy(ret, s.at + nth * 8, 8);
	} else {
		int32_t v;

		memcpy(&v, s.at + nth * 4, 4);
		*ret = v;
	}
	return true;
}

/* The nth pair in ns; parts: 10^6 or 10^9 to a second. Returns an error bit, or 0. */
static uint32_t read_pair(struct span s, size_t word, size_t nth, uint64_t parts, uint64_t *ret)
{
	int64_t sec, part;

	if (!read_part(s, word, nth * 2, &sec) || !read_part(s, word, nth * 2 + 1, &part))
		return NT_STE_SHORT;
	if (sec < 0 || sec >= MAX_S || part < 0 || (uint64_t)part >= parts)
		return NT_STE_VALUE;
	*ret = (uint64_t)sec * NS_PER_S + (uint64_t)part * (NS_PER_S / parts);
	return 0;
}

static uint32_t put_legacy(struct span s, size_t word, uint64_t parts, struct nt_stamp *ret)
{
	uint64_t ns;
	uint32_t err = read_pair(s, word, 0, parts, &ns);

	if (err)
		return err;
	ret->legacy_ns = ns;
	ret->has |= NT_ST_LEGACY;
	return 0;
}

static uint32_t put_timestamping(struct span s, size_t word, struct nt_stamp *ret)
{
	uint64_t ns[PAIRS];
	uint32_t err;

	for (size_t i = 0; i < PAIRS; i++) {
		err = read_pair(s, word, i, NS_PER_S, &ns[i]);
		if (err)
			return err;
	}
	/* A slot that was not stamped is 0; the second is no longer used. */
	if (ns[0]) {
		ret->software_ns = ns[0];
		ret->has |= NT_ST_SOFTWARE;
	}
	if (ns[2]) {
		ret->hardware_ns = ns[2];
		ret->has |= NT_ST_HARDWARE;
	}
	return 0;
}

static uint32_t put_error(struct span s, struct nt_stamp *ret)
{
	struct sock_extended_err e;

	if (s.n < sizeof(e))
		return NT_STE_SHORT;
	memcpy(&e, s.at, sizeof(e));
	if (e.ee_origin != SO_EE_ORIGIN_TIMESTAMPING) {
		ret->errno_told = e.ee_errno;
		ret->has |= NT_ST_ICMP;
		return 0;
	}
	if (e.ee_info > NT_STAMP_COMPLETION)
		return NT_STE_UNKNOWN;
	ret->type = e.ee_info;
	ret->key = e.ee_data;
	ret->has |= NT_ST_KEY;
	return 0;
}

static uint32_t put_pktinfo(struct span s, struct nt_stamp *ret)
{
	uint32_t v[4];

	if (s.n < sizeof(v))
		return NT_STE_SHORT;
	memcpy(v, s.at, sizeof(v));
	ret->if_index = v[0];
	ret->wire_bytes = v[1];
	ret->has |= NT_ST_PKTINFO;
	return 0;
}

/* --- SOF_TIMESTAMPING_OPT_STATS --- */

#define STAT(type, member, size) [type] = { offsetof(struct nt_stamp_stats, member), size }
#define WIDE(type, member) STAT(type, member, 8)
#define WORD(type, member) STAT(type, member, 4)

/* By enum tcp_nla of include/uapi/linux/tcp.h. */
static const struct {
	uint16_t at;
	uint8_t size; /* as the kernel sends it */
} STATS[] = {
	WIDE(1, busy_us),
	WIDE(2, rwnd_limited_us),
	WIDE(3, sndbuf_limited_us),
	WIDE(4, data_segs_out),
	WIDE(5, total_retrans),
	WIDE(6, pacing_rate),
	WIDE(7, delivery_rate),
	WORD(8, snd_cwnd),
	WORD(9, reordering),
	WORD(10, min_rtt_us),
	STAT(11, recur_retrans, 1),
	STAT(12, delivery_rate_app_lmt, 1),
	WORD(13, sndq_size),
	STAT(14, ca_state, 1),
	WORD(15, snd_ssthresh),
	WORD(16, delivered),
	WORD(17, delivered_ce),
	WIDE(18, bytes_sent),
	WIDE(19, bytes_retrans),
	WORD(20, dsack_dups),
	WORD(21, reord_seen),
	WORD(22, srtt_us),
	STAT(23, timeout_rehash, 2),
	WORD(24, bytes_notsent),
	WIDE(25, edt_ns),
	STAT(26, ttl, 1),
	WORD(27, rehash),
};

struct attribute {
	uint16_t len, type;
};

/* What is narrow in the kernel has 32 bits here. */
static void copy_stat(uint8_t *to, const uint8_t *from, uint8_t size)
{
	uint32_t wide = 0;
	uint16_t half;

	if (size >= 4) {
		memcpy(to, from, size);
		return;
	}
	if (size == 2) {
		memcpy(&half, from, 2);
		wide = half;
	} else {
		wide = *from;
	}
	memcpy(to, &wide, sizeof(wide));
}

static uint32_t put_stats(struct span s, struct nt_stamp *ret)
{
	uint8_t *to = (uint8_t *)&ret->stats;

	while (s.n >= sizeof(struct attribute)) {
		struct attribute a;
		size_t step;

		memcpy(&a, s.at, sizeof(a));
		if (a.len < sizeof(a) || a.len > s.n)
			return NT_STE_STATS;
		if (a.type < sizeof(STATS) / sizeof(STATS[0]) && STATS[a.type].size) {
			if (a.len - sizeof(a) < STATS[a.type].size)
				return NT_STE_STATS;
			copy_stat(to + STATS[a.type].at, s.at + sizeof(a), STATS[a.type].size);
			ret->stats.has |= 1U << a.type;
		}
		step = (a.len + 3U) & ~3U;
		if (step > s.n)
			step = s.n;
		s.at += step;
		s.n -= step;
	}
	ret->has |= NT_ST_STATS;
	return s.n ? NT_STE_STATS : 0;
}

/* --- the list --- */

static uint32_t put_socket_level(int type, struct span s, struct nt_stamp *ret)
{
	switch (type) {
	case NT_SO_TIMESTAMP_OLD:
		return put_legacy(s, sizeof(long), 1000000, ret);
	case NT_SO_TIMESTAMP_NEW:
		return put_legacy(s, 8, 1000000, ret);
	case NT_SO_TIMESTAMPNS_OLD:
		return put_legacy(s, sizeof(long), NS_PER_S, ret);
	case NT_SO_TIMESTAMPNS_NEW:
		return put_legacy(s, 8, NS_PER_S, ret);
	case NT_SO_TIMESTAMPING_OLD:
		return put_timestamping(s, sizeof(long), ret);
	case NT_SO_TIMESTAMPING_NEW:
		return put_timestamping(s, 8, ret);
	case NT_SCM_TIMESTAMPING_PKTINFO:
		return put_pktinfo(s, ret);
	case NT_SCM_TIMESTAMPING_OPT_STATS:
		return put_stats(s, ret);
	}
	return NT_STE_UNKNOWN;
}

static uint32_t put(const struct cmsghdr *h, struct span s, struct nt_stamp *ret)
{
	if (h->cmsg_level == SOL_SOCKET)
		return put_socket_level(h->cmsg_type, s, ret);
	if ((h->cmsg_level == LEVEL_IP && h->cmsg_type == IP_RECVERR_TYPE) ||
	    (h->cmsg_level == LEVEL_IPV6 && h->cmsg_type == IPV6_RECVERR_TYPE) ||
	    (h->cmsg_level == LEVEL_PACKET && h->cmsg_type == PACKET_TX_TYPE))
		return put_error(s, ret);
	return NT_STE_UNKNOWN;
}

int nt_stamps_parse(const uint8_t *control, uint32_t n, uint32_t msg_flags, struct nt_stamp *ret)
{
	const size_t header = CMSG_LEN(0);
	size_t at = 0;

	*ret = (struct nt_stamp){ .msg_flags = msg_flags };
	if (msg_flags & MSG_CTRUNC)
		ret->errors |= NT_STE_TRUNCATED;
	while (n - at >= header) {
		struct cmsghdr h;

		memcpy(&h, control + at, sizeof(h));
		if (h.cmsg_len < header || h.cmsg_len > n - at) {
			ret->errors |= NT_STE_LENGTH;
			return 0;
		}
		ret->errors |= put(&h, (struct span){ control + at + header, h.cmsg_len - header },
				   ret);
		size_t step = CMSG_ALIGN((size_t)h.cmsg_len);
		at += step < n - at ? step : n - at;
	}
	if (at < n)
		ret->errors |= NT_STE_LENGTH;
	return 0;
}
