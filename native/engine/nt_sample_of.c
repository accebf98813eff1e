// SPDX-License-Identifier: MIT
/* A sample of some sockets: its sections without what they say of others. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "nt_sections.h"

#define SOCKET_BYTES (NLMSG_HDRLEN + sizeof(struct inet_diag_msg))
#define COOKIE_AT (NLMSG_HDRLEN + offsetof(struct inet_diag_msg, id.idiag_cookie))
#define INODE_AT (NLMSG_HDRLEN + offsetof(struct inet_diag_msg, idiag_inode))

struct numbers {
	uint64_t *v;
	uint32_t n, cap;
};

static int by_number(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

static bool has(const struct numbers *s, uint64_t x)
{
	/* 0 is no socket's: what has none, or no inode. */
	return !x || (s->n && bsearch(&x, s->v, s->n, sizeof(x), by_number));
}

static int add(struct numbers *s, uint64_t x)
{
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 256;
		uint64_t *v = cap < s->cap ? NULL : realloc(s->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = x;
	return 0;
}

/* The next message of a dump, and how many bytes it takes; 0 at the end. */
static uint32_t message_at(const uint8_t *body, uint32_t n, uint32_t at, uint32_t *bytes)
{
	uint32_t left = n - at, len = left;

	if (!left)
		return 0;
	if (left >= NLMSG_HDRLEN)
		memcpy(&len, body + at, sizeof(len));
	/* What is no message is taken whole: the parser will say so. */
	if (len < NLMSG_HDRLEN || len > left)
		len = left;
	*bytes = len;
	return NLMSG_ALIGN(len) < left ? NLMSG_ALIGN(len) : left;
}

static bool chosen(const struct numbers *cookies, const uint8_t *message, uint32_t n)
{
	uint16_t type;
	uint64_t cookie;

	if (n < SOCKET_BYTES)
		return true;
	memcpy(&type, message + offsetof(struct nlmsghdr, nlmsg_type), sizeof(type));
	if (type < NLMSG_MIN_TYPE)
		return true;
	memcpy(&cookie, message + COOKIE_AT, sizeof(cookie));
	return has(cookies, cookie);
}

static int add_inodes(const struct numbers *cookies, const uint8_t *body, uint32_t n,
		      struct numbers *inodes)
{
	for (uint32_t at = 0, bytes, step; (step = message_at(body, n, at, &bytes)); at += step) {
		uint32_t inode;

		if (bytes < SOCKET_BYTES || !chosen(cookies, body + at, bytes))
			continue;
		memcpy(&inode, body + at + INODE_AT, sizeof(inode));
		if (add(inodes, inode))
			return -ENOMEM;
	}
	return 0;
}

static int copy_dump(const struct numbers *cookies, const struct nt_section *head,
		     const uint8_t *body, struct nt_sections *ret)
{
	struct nt_section out = *head;
	uint8_t *some = malloc(head->bytes + 1UL);
	int err = some ? 0 : -ENOMEM;

	out.bytes = 0;
	for (uint32_t at = 0, bytes, step;
	     !err && (step = message_at(body, head->bytes, at, &bytes)); at += step) {
		if (!chosen(cookies, body + at, bytes))
			continue;
		memcpy(some + out.bytes, body + at, step);
		out.bytes += step;
	}
	if (!err)
		err = nt_sections_add(ret, &out, some);
	free(some);
	return err;
}

static int copy_records(const struct numbers *ids, const struct nt_section *head,
			const uint8_t *body, struct nt_sections *ret)
{
	struct nt_section out = *head;
	uint8_t *some = malloc(head->bytes + 1UL);
	int err = some ? 0 : -ENOMEM;

	out.bytes = 0;
	for (uint32_t at = 0; !err && at < head->bytes; at += head->arg) {
		uint64_t id;

		memcpy(&id, body + at, sizeof(id));
		if (!has(ids, id))
			continue;
		memcpy(some + out.bytes, body + at, head->arg);
		out.bytes += head->arg;
	}
	if (!err)
		err = nt_sections_add(ret, &out, some);
	free(some);
	return err;
}

static int copy_section(const struct numbers *cookies, const struct numbers *inodes,
			const struct nt_section *head, const uint8_t *body, struct nt_sections *ret)
{
	bool records = head->arg >= sizeof(uint64_t) && head->bytes % head->arg == 0;

	switch (head->kind) {
	case NT_S_DIAG:
		return copy_dump(cookies, head, body, ret);
	case NT_S_WAIT_FOCUS:
	case NT_S_STAGES_FINE:
	case NT_S_WAIT_SOCKETS:
	case NT_S_WAIT_SPLITS:
	case NT_S_STAGES_SOCKETS:
		if (records)
			return copy_records(cookies, head, body, ret);
		break;
	case NT_S_OWNERS:
	case NT_S_NEW_OWNERS:
		if (records)
			return copy_records(inodes, head, body, ret);
		break;
	default:
		break;
	}
	return nt_sections_add(ret, head, body);
}

int nt_sample_of(const uint8_t *sections, uint64_t n, const uint64_t *cookies, uint32_t n_cookies,
		 struct nt_sections *ret)
{
	struct numbers wanted = { 0 }, inodes = { 0 };
	struct nt_section head;
	const uint8_t *body;
	uint64_t at = 0;
	int err = 0, found;

	for (uint32_t i = 0; i < n_cookies && !err; i++)
		err = add(&wanted, cookies[i]);
	if (!err && wanted.n)
		qsort(wanted.v, wanted.n, sizeof(*wanted.v), by_number);
	while (!err && (found = nt_section_next(sections, n, &at, &head, &body)) != 0) {
		err = found < 0 ? found : 0;
		if (!err && head.kind == NT_S_DIAG)
			err = add_inodes(&wanted, body, head.bytes, &inodes);
	}
	if (!err && inodes.n)
		qsort(inodes.v, inodes.n, sizeof(*inodes.v), by_number);
	at = 0;
	while (!err && (found = nt_section_next(sections, n, &at, &head, &body)) != 0)
		err = found < 0 ? found : copy_section(&wanted, &inodes, &head, body, ret);
	free(wanted.v);
	free(inodes.v);
	return err;
}
