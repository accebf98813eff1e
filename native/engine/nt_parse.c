// SPDX-License-Identifier: MIT
#include "nt_parse.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/* Attributes newer than the oldest headers that nettop builds with. */
enum {
	NT_DIAG_BBRINFO = 16,
	NT_DIAG_CLASS_ID = 17,
	NT_DIAG_ULP_INFO = 19,
	NT_DIAG_CGROUP_ID = 21,
	NT_DIAG_SOCKOPT = 22,
};

static uint32_t get32(const uint8_t *p)
{
	uint32_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static void take_ulp(const uint8_t *p, uint32_t n, struct nt_diag_view *v)
{
	/* A nest; its attribute 1 is the name. */
	while (n >= 4) {
		uint16_t len, type;

		memcpy(&len, p, 2);
		memcpy(&type, p + 2, 2);
		if (len < 4 || len > n)
			return;
		if ((type & NLA_TYPE_MASK) == 1) {
			v->ulp = p + 4;
			v->ulp_len = (uint8_t)(len - 4 > 255 ? 255 : len - 4);
			return;
		}
		uint32_t step = (len + 3U) & ~3U;
		if (step >= n)
			return;
		p += step;
		n -= step;
	}
}

static void take(uint16_t type, const uint8_t *p, uint32_t n, struct nt_diag_view *v)
{
	switch (type) {
	case INET_DIAG_INFO:
		v->info = p;
		v->info_len = n;
		break;
	case INET_DIAG_MEMINFO:
		v->meminfo = p;
		v->meminfo_len = (uint8_t)(n > 16 ? 16 : n);
		break;
	case INET_DIAG_SKMEMINFO:
		v->skmem = p;
		v->skmem_len = (uint8_t)(n > 36 ? 36 : n);
		break;
	case INET_DIAG_CONG:
		v->cong = (const char *)p;
		v->cong_len = (uint32_t)strnlen((const char *)p, n);
		break;
	case INET_DIAG_VEGASINFO:
	case INET_DIAG_DCTCPINFO:
	case NT_DIAG_BBRINFO:
		v->cong_info = p;
		v->cong_info_len = (uint8_t)(n > 20 ? 20 : n);
		v->cong_info_type = (uint8_t)type;
		break;
	case INET_DIAG_TOS:
		if (n >= 1) {
			v->tos = p[0];
			v->has |= 1;
		}
		break;
	case INET_DIAG_TCLASS:
		if (n >= 1) {
			v->tclass = p[0];
			v->has |= 2;
		}
		break;
	case INET_DIAG_SHUTDOWN:
		if (n >= 1) {
			v->shutdown = p[0];
			v->has |= 4;
		}
		break;
	case INET_DIAG_SKV6ONLY:
		if (n >= 1) {
			v->v6only = p[0];
			v->has |= 8;
		}
		break;
	case INET_DIAG_MARK:
		if (n >= 4) {
			v->mark = get32(p);
			v->has |= 16;
		}
		break;
	case NT_DIAG_CLASS_ID:
		if (n >= 4) {
			v->class_id = get32(p);
			v->has |= 32;
		}
		break;
	case NT_DIAG_SOCKOPT:
		if (n >= 2) {
			memcpy(&v->sockopt, p, 2);
			v->has |= 64;
		}
		break;
	case NT_DIAG_CGROUP_ID:
		if (n >= 8)
			memcpy(&v->cgroup_id, p, 8);
		break;
	case NT_DIAG_ULP_INFO:
		take_ulp(p, n, v);
		break;
	default:
		break;
	}
}

int nt_parse_diag(const uint8_t *payload, uint32_t n, struct nt_diag_view *ret)
{
	if (n < sizeof(struct inet_diag_msg))
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	ret->msg = (const struct inet_diag_msg *)payload;
	ret->cookie = ret->msg->id.idiag_cookie[0] | (uint64_t)ret->msg->id.idiag_cookie[1] << 32;

	const uint8_t *p = payload + sizeof(struct inet_diag_msg);
	uint32_t left = n - (uint32_t)sizeof(struct inet_diag_msg);

	while (left >= 4) {
		uint16_t len, type;

		memcpy(&len, p, 2);
		memcpy(&type, p + 2, 2);
		if (len < 4 || len > left)
			return -EBADMSG;
		take(type & NLA_TYPE_MASK, p + 4, len - 4U, ret);
		uint32_t step = (len + 3U) & ~3U;
		if (step >= left)
			break;
		p += step;
		left -= step;
	}
	return 0;
}
