// SPDX-License-Identifier: MIT
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"
#include "nt_pack_diag.h"

/*
 * What a dump differs in from the one before, as operations over its messages: count << 2 | one of
 * these. All of the messages of the dump before that no operation names are gone.
 */
enum {
	OP_KEEP = 0, /* as they were, but for ages: followed by the milliseconds that went by */
	OP_DIFF = 1, /* changed; the differences are in the data */
	OP_NEW = 2,  /* not there before, or of another length: each length follows */
	OP_DROP = 3, /* there before and gone */
};

/* Ages in ms, members of tcp_info: last_data_sent, last_data_recv, last_ack_recv. */
static const uint16_t age_at[] = { 44, 52, 56 };
#define AGES_END 60U

#define HEAD NLMSG_HDRLEN
#define SEQ_AT offsetof(struct nlmsghdr, nlmsg_seq)
#define STATE_AT (HEAD + offsetof(struct inet_diag_msg, idiag_state))
#define TIMER_AT (HEAD + offsetof(struct inet_diag_msg, idiag_timer))
#define COOKIE_AT (HEAD + offsetof(struct inet_diag_msg, id.idiag_cookie))
#define EXPIRES_AT (HEAD + offsetof(struct inet_diag_msg, idiag_expires))
#define SOCKET_BYTES (HEAD + sizeof(struct inet_diag_msg))
#define NO_AGE INT64_MAX /* nothing in the message says how much time went by */

static uint32_t get32(const uint8_t *v)
{
	uint32_t x;

	memcpy(&x, v, sizeof(x));
	return x;
}

static void put32(uint8_t *v, uint32_t x)
{
	memcpy(v, &x, sizeof(x));
}

void nt_dump_deinit(struct nt_dump *d)
{
	free(d->v);
	free(d->m);
	free(d->index);
	memset(d, 0, sizeof(*d));
}

void nt_dump_clear(struct nt_dump *d)
{
	d->n = 0;
	d->n_m = 0;
	d->indexed = false;
}

static uint8_t *dump_room(struct nt_dump *d, size_t n)
{
	if (!d->v || n > d->cap - d->n) {
		size_t cap = (d->n + n) * 2 + 64;
		/* Offsets of messages are 32 bits wide. */
		uint8_t *v = cap < d->n || d->n + n > UINT32_MAX ? NULL : realloc(d->v, cap);

		if (!v)
			return NULL;
		d->v = v;
		d->cap = cap;
	}
	return d->v + d->n;
}

/* A dump of fewer bytes than one part in so many of its room is copied. */
#define FEW 4

int nt_dump_take(struct nt_dump *before, struct nt_dump *now)
{
	if (now->n >= now->cap / FEW) {
		struct nt_dump swap = *before;

		*before = *now;
		*now = swap;
		return 0;
	}
	uint8_t *v = realloc(before->v, now->n + 1);
	struct nt_message *m = v ? realloc(before->m, (now->n_m + 1UL) * sizeof(*m)) : NULL;

	if (v)
		before->v = v;
	if (m)
		before->m = m;
	if (!v || !m)
		return -ENOMEM;
	if (now->n)
		memcpy(v, now->v, now->n);
	if (now->n_m)
		memcpy(m, now->m, now->n_m * sizeof(*m));
	free(before->index);
	before->index = NULL;
	before->indexed = false;
	before->n = now->n;
	before->cap = now->n + 1;
	before->n_m = now->n_m;
	before->cap_m = now->n_m + 1;
	return 0;
}

static uint16_t find_info(const uint8_t *message, uint32_t n)
{
	uint32_t at = SOCKET_BYTES;

	while (at + NLA_HDRLEN <= n) {
		struct nlattr a;

		memcpy(&a, message + at, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || a.nla_len > n - at)
			return 0;
		if (a.nla_type == INET_DIAG_INFO)
			return a.nla_len >= NLA_HDRLEN + AGES_END ? (uint16_t)(at + NLA_HDRLEN) : 0;
		at += NLA_ALIGN(a.nla_len);
	}
	return 0;
}

/* Takes the n bytes at the end of d->v as a message. */
static struct nt_message *add_message(struct nt_dump *d, uint32_t at, uint32_t n)
{
	if (d->n_m == d->cap_m) {
		uint32_t cap = d->cap_m ? d->cap_m * 2 : 64;
		struct nt_message *m = realloc(d->m, cap * sizeof(*m));

		if (!m)
			return NULL;
		d->m = m;
		d->cap_m = cap;
	}
	struct nt_message *m = &d->m[d->n_m++];
	const uint8_t *bytes = d->v + at;

	*m = (struct nt_message){ .at = at, .n = n };
	if (n < SOCKET_BYTES)
		return m;
	memcpy(&m->cookie, bytes + COOKIE_AT, sizeof(m->cookie));
	/* A listener's tcp_info has no ages, mptcp_info has others. */
	if ((d->arg & 0xff) == NT_PROTO_TCP && bytes[STATE_AT] != NT_TCP_LISTEN)
		m->info_at = find_info(bytes, n);
	return m;
}

int nt_dump_add(struct nt_dump *d, const uint8_t *bytes, uint32_t n)
{
	uint8_t *to = dump_room(d, n);
	uint32_t base = (uint32_t)d->n, count = 0;

	if (!to)
		return -ENOMEM;
	if (n)
		memcpy(to, bytes, n);
	d->n += n;
	for (uint32_t at = 0, step; at < n; at += step) {
		uint32_t left = n - at, len = left;
		bool end = false;

		if (left >= HEAD && get32(to + at) >= HEAD && get32(to + at) <= left) {
			uint16_t type;

			memcpy(&type, to + at + offsetof(struct nlmsghdr, nlmsg_type),
			       sizeof(type));
			len = get32(to + at);
			end = type == NLMSG_DONE;
			put32(to + at + SEQ_AT, 0);
		}
		/* What is no message is kept whole: the parser will say so again. */
		step = NLMSG_ALIGN(len) < left ? NLMSG_ALIGN(len) : left;
		if (end)
			continue;
		if (!add_message(d, base + at, step))
			return -ENOMEM;
		count++;
	}
	return (int)count;
}

static int index_dump(struct nt_dump *d)
{
	uint32_t size = 64;

	if (d->indexed)
		return 0;
	while (size < d->n_m * 2ULL)
		size *= 2;
	if (size != d->index_mask + 1 || !d->index) {
		free(d->index);
		d->index = malloc(size * sizeof(*d->index));
		if (!d->index)
			return -ENOMEM;
		d->index_mask = size - 1;
	}
	memset(d->index, 0, size * sizeof(*d->index));
	for (uint32_t i = 0; i < d->n_m; i++) {
		if (!d->m[i].cookie)
			continue;
		uint32_t s = (uint32_t)(d->m[i].cookie * 0x9E3779B97F4A7C15ULL >> 32) &
			     d->index_mask;

		while (d->index[s])
			s = (s + 1) & d->index_mask;
		d->index[s] = i + 1;
	}
	d->indexed = true;
	return 0;
}

static uint32_t find_message(struct nt_dump *d, uint64_t cookie)
{
	if (!cookie || index_dump(d))
		return NT_NONE;
	for (uint32_t s = (uint32_t)(cookie * 0x9E3779B97F4A7C15ULL >> 32) & d->index_mask;
	     d->index[s]; s = (s + 1) & d->index_mask)
		if (d->m[d->index[s] - 1].cookie == cookie)
			return d->index[s] - 1;
	return NT_NONE;
}

static bool same_range(const uint8_t *a, const uint8_t *b, uint32_t from, uint32_t to)
{
	return !memcmp(a + from, b + from, to - from);
}

/* Whether a message differs from the one before in nothing but the time that went by. */
static bool kept(const uint8_t *now, const uint8_t *before, uint32_t n, uint32_t info_at,
		 int64_t *age_ms)
{
	*age_ms = NO_AGE;
	if (n < SOCKET_BYTES)
		return same_range(now, before, 0, n);
	if (!same_range(now, before, 0, EXPIRES_AT))
		return false;
	if (info_at) {
		uint32_t end = EXPIRES_AT + 4;

		for (uint32_t i = 0; i < 3; i++) {
			uint32_t at = info_at + age_at[i];
			int64_t age = (int32_t)(get32(now + at) - get32(before + at));

			if (*age_ms != NO_AGE && age != *age_ms)
				return false;
			*age_ms = age;
			if (!same_range(now, before, end, at))
				return false;
			end = at + 4;
		}
		if (!same_range(now, before, end, n))
			return false;
	} else if (!same_range(now, before, EXPIRES_AT + 4, n)) {
		return false;
	}
	int64_t left = (int32_t)(get32(before + EXPIRES_AT) - get32(now + EXPIRES_AT));

	if (!now[TIMER_AT])
		return !left;
	if (*age_ms == NO_AGE)
		*age_ms = left;
	return left == *age_ms;
}

static void grow_older(uint8_t *message, uint32_t n, uint32_t info_at, uint32_t age_ms)
{
	if (n < SOCKET_BYTES)
		return;
	for (uint32_t i = 0; info_at && i < 3; i++) {
		uint8_t *age = message + info_at + age_at[i];

		put32(age, get32(age) + age_ms);
	}
	if (message[TIMER_AT])
		put32(message + EXPIRES_AT, get32(message + EXPIRES_AT) - age_ms);
}

/* Operations of one kind in a row are one. */
struct run {
	struct nt_out *out;
	uint32_t op, count;
	int64_t age_ms;
};

static void end_run(struct run *r)
{
	if (!r->count)
		return;
	nt_put_varint(r->out, (uint64_t)r->count << 2 | r->op);
	if (r->op == OP_KEEP)
		nt_put_signed(r->out, r->age_ms == NO_AGE ? 0 : r->age_ms);
	r->count = 0;
}

static void add_op(struct run *r, uint32_t op, uint32_t count, int64_t age_ms)
{
	bool other_age = op == OP_KEEP && age_ms != NO_AGE && r->age_ms != NO_AGE &&
			 age_ms != r->age_ms;

	/* A length follows each new message, so that those do not run. */
	if (r->op != op || other_age || op == OP_NEW)
		end_run(r);
	if (!r->count)
		r->age_ms = NO_AGE;
	r->op = op;
	r->count += count;
	if (age_ms != NO_AGE)
		r->age_ms = age_ms;
}

static void add_new(struct run *r, const struct nt_dump *d, const struct nt_message *m,
		    struct nt_out *data)
{
	add_op(r, OP_NEW, 1, NO_AGE);
	end_run(r);
	nt_put_varint(r->out, m->n);
	nt_put(data, d->v + m->at, m->n);
}

void nt_dump_pack(const struct nt_dump *now, struct nt_dump *before, const struct nt_read *reads,
		  uint32_t n_reads, struct nt_out *out)
{
	struct nt_out ops = { 0 }, data = { 0 };
	struct run run = { .out = &ops, .age_ms = NO_AGE };
	uint64_t at_ns = n_reads ? reads[0].at_ns : 0;
	uint32_t next = 0; /* of the messages before */

	nt_put_varint(out, n_reads);
	for (uint32_t i = 0; i < n_reads; i++) {
		nt_put_varint(out, reads[i].at_ns - at_ns);
		nt_put_varint(out, reads[i].messages);
		at_ns = reads[i].at_ns;
	}
	for (uint32_t i = 0; i < now->n_m; i++) {
		const struct nt_message *m = &now->m[i];
		uint32_t was = next < before->n_m && before->m[next].cookie == m->cookie ?
				       next :
				       find_message(before, m->cookie);
		int64_t age_ms;

		if (!m->cookie || was == NT_NONE || was < next) {
			add_new(&run, now, m, &data);
			continue;
		}
		if (was > next)
			add_op(&run, OP_DROP, was - next, NO_AGE);
		next = was + 1;
		const struct nt_message *o = &before->m[was];
		const uint8_t *bytes = now->v + m->at, *old = before->v + o->at;

		if (o->n != m->n) {
			add_op(&run, OP_DROP, 1, NO_AGE);
			add_new(&run, now, m, &data);
		} else if (o->info_at == m->info_at &&
			   kept(bytes, old, m->n, m->info_at, &age_ms)) {
			add_op(&run, OP_KEEP, 1, age_ms);
		} else {
			add_op(&run, OP_DIFF, 1, NO_AGE);
			nt_put_xor(&data, bytes, old, m->n);
		}
	}
	end_run(&run);
	out->failed |= ops.failed || data.failed;
	nt_put_varint(out, ops.n);
	nt_put(out, ops.v, ops.n);
	nt_put(out, data.v, data.n);
	free(ops.v);
	free(data.v);
}

/* Appends a message of n bytes, which are those at from where given. */
static struct nt_message *append(struct nt_dump *d, const uint8_t *from, uint32_t n)
{
	uint8_t *to = dump_room(d, n);
	uint32_t at = (uint32_t)d->n;

	if (!to)
		return NULL;
	if (n)
		memcpy(to, from, n);
	d->n += n;
	return add_message(d, at, n);
}

static int unpack_ops(struct nt_dump *now, const struct nt_dump *before, struct nt_in *ops,
		      struct nt_in *data, uint64_t most)
{
	uint32_t next = 0;

	while (ops->at < ops->n) {
		uint64_t word = nt_get_varint(ops), count = word >> 2;
		uint32_t op = word & 3;
		int64_t age_ms = op == OP_KEEP ? nt_get_signed(ops) : 0;

		if (ops->failed || (op != OP_NEW && count > before->n_m - next))
			return -EPROTO;
		if (op == OP_DROP) {
			next += (uint32_t)count;
			continue;
		}
		for (; count; count--) {
			const struct nt_message *o = op == OP_NEW ? NULL : &before->m[next++];
			uint64_t n = o ? o->n : nt_get_varint(ops);
			const uint8_t *from = o ? before->v + o->at : nt_get(data, n);

			if (!from || ops->failed || n > most - now->n)
				return -EPROTO;
			struct nt_message *m = append(now, from, (uint32_t)n);

			if (!m)
				return -ENOMEM;
			if (op == OP_KEEP) {
				grow_older(now->v + m->at, m->n, m->info_at, (uint32_t)age_ms);
			} else if (op == OP_DIFF) {
				nt_get_xor(data, now->v + m->at, m->n);
				if (data->failed)
					return -EPROTO;
				/* Its cookie and attributes are known only now. */
				now->n_m--;
				add_message(now, m->at, m->n);
			}
		}
	}
	return 0;
}

int nt_dump_unpack(struct nt_dump *now, const struct nt_dump *before, struct nt_in *in,
		   uint64_t at_ns, uint64_t most, struct nt_sections *ret)
{
	struct nt_in reads = *in;
	uint64_t n_reads = nt_get_varint(in);

	for (uint64_t i = 0; i < n_reads && !in->failed; i++) {
		nt_get_varint(in);
		nt_get_varint(in);
	}
	uint64_t n_ops = nt_get_varint(in);
	struct nt_in ops = { .v = in->failed ? NULL : nt_get(in, n_ops), .n = n_ops };

	if (in->failed || most < ret->n)
		return -EPROTO;
	int err = unpack_ops(now, before, &ops, in, most - ret->n);

	if (err)
		return err;
	uint32_t next = 0;

	nt_get_varint(&reads);
	for (uint64_t i = 0; i < n_reads; i++) {
		at_ns += nt_get_varint(&reads);
		uint64_t messages = nt_get_varint(&reads);

		if (messages > now->n_m - next)
			return -EPROTO;
		uint32_t from = next < now->n_m ? now->m[next].at : (uint32_t)now->n;

		next += (uint32_t)messages;
		uint32_t to = next < now->n_m ? now->m[next].at : (uint32_t)now->n;
		struct nt_section head = { .at_ns = at_ns,
					   .kind = NT_S_DIAG,
					   .bytes = to - from,
					   .netns = now->netns,
					   .arg = now->arg };

		if (sizeof(head) + head.bytes > most - ret->n)
			return -EPROTO;
		if (nt_sections_add(ret, &head, head.bytes ? now->v + from : NULL))
			return -ENOMEM;
	}
	return next == now->n_m ? 0 : -EPROTO;
}
