/* SPDX-License-Identifier: MIT */
/* Pure parsing of sock_diag messages; nothing here calls the kernel. */
#ifndef NT_PARSE_H
#define NT_PARSE_H

#include <linux/inet_diag.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* One inet_diag message: pointers lie in the caller's buffer, NULL where not sent. */
struct nt_diag_view {
	const struct inet_diag_msg *msg;
	uint64_t cookie;
	uint64_t cgroup_id; /* 0: not sent */
	const uint8_t *info;
	uint32_t info_len;
	const uint8_t *skmem, *meminfo, *cong_info, *ulp;
	uint8_t skmem_len, meminfo_len, cong_info_len, cong_info_type, ulp_len;
	const char *cong; /* not terminated: cong_len bytes */
	uint32_t cong_len;
	uint16_t has; /* as in struct nt_detail */
	uint8_t tos, tclass, shutdown, v6only;
	uint32_t mark, class_id;
	uint16_t sockopt;
};

/* Returns 0, or -EBADMSG if the message is not a whole inet_diag_msg. n counts payload bytes. */
int nt_parse_diag(const uint8_t *payload, uint32_t n, struct nt_diag_view *ret);

/* tcp_info members by offset; 0 where the kernel sent too little. */
static inline uint8_t nt_info8(const struct nt_diag_view *v, uint32_t offset)
{
	return offset + 1 <= v->info_len ? v->info[offset] : 0;
}

static inline uint16_t nt_info16(const struct nt_diag_view *v, uint32_t offset)
{
	uint16_t x = 0;

	if (offset + 2 <= v->info_len)
		memcpy(&x, v->info + offset, 2);
	return x;
}

static inline uint32_t nt_info32(const struct nt_diag_view *v, uint32_t offset)
{
	uint32_t x = 0;

	if (offset + 4 <= v->info_len)
		memcpy(&x, v->info + offset, 4);
	return x;
}

static inline uint64_t nt_info64(const struct nt_diag_view *v, uint32_t offset)
{
	uint64_t x = 0;

	if (offset + 8 <= v->info_len)
		memcpy(&x, v->info + offset, 8);
	return x;
}

#endif
