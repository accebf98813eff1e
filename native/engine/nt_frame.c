// SPDX-License-Identifier: MIT
/* Frames: the sections of a sample, each packed against the same section of the frame before. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_pack_diag.h"

/* The last body of a kind, namespace and arg. */
struct blob {
	uint32_t kind, netns, arg;
	uint8_t *v;
	uint32_t n;
};

/* The last records of a kind: open addressing by what their first eight bytes say. */
struct records {
	uint32_t kind, bytes;
	uint8_t *v; /* n records */
	uint32_t n, cap;
	uint32_t *index; /* 1 + record; 0 empty */
	uint32_t index_mask;
};

struct nt_packer {
	struct nt_dump *dumps;
	uint32_t n_dumps;
	struct nt_dump fresh;
	struct blob *blobs;
	uint32_t n_blobs;
	struct records *records;
	uint32_t n_records;
	struct nt_read *reads; /* of the dump that is packed */
	uint32_t n_reads, cap_reads;
	uint8_t *scratch;
	size_t scratch_cap;
	uint64_t kept; /* bytes of blobs and records */
};

/* What a hostile recording can make one remember. */
#define LIKES_MAX 65536U
#define KEPT_MAX (1ULL << 30)
#define RECORD_MAX 65536U
#define PACKED_DUMP 0x80000000U /* bit of a packed section's kind */

int nt_packer_new(struct nt_packer **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void nt_packer_reset(struct nt_packer *p)
{
	for (uint32_t i = 0; i < p->n_dumps; i++)
		nt_dump_deinit(&p->dumps[i]);
	for (uint32_t i = 0; i < p->n_blobs; i++)
		free(p->blobs[i].v);
	for (uint32_t i = 0; i < p->n_records; i++) {
		free(p->records[i].v);
		free(p->records[i].index);
	}
	p->n_dumps = p->n_blobs = p->n_records = 0;
	p->kept = 0;
}

void nt_packer_free(struct nt_packer *p)
{
	if (!p)
		return;
	nt_packer_reset(p);
	nt_dump_deinit(&p->fresh);
	free(p->dumps);
	free(p->blobs);
	free(p->records);
	free(p->reads);
	free(p->scratch);
	free(p);
}

/* One more of these at the end of a growing array, zeroed; NULL where memory or the limit ends. */
static void *one_more(void **v, uint32_t *n, size_t each)
{
	if (*n >= LIKES_MAX)
		return NULL;
	/* Grows at powers of two. */
	if (!(*n & (*n - 1))) {
		void *bigger = realloc(*v, (*n ? *n * 2UL : 1UL) * each);

		if (!bigger)
			return NULL;
		*v = bigger;
	}
	void *ret = (uint8_t *)*v + *n * each;

	memset(ret, 0, each);
	(*n)++;
	return ret;
}

static struct nt_dump *dump_of(struct nt_packer *p, uint32_t netns, uint32_t arg)
{
	for (uint32_t i = 0; i < p->n_dumps; i++)
		if (p->dumps[i].netns == netns && p->dumps[i].arg == arg)
			return &p->dumps[i];
	struct nt_dump *d = one_more((void **)&p->dumps, &p->n_dumps, sizeof(*d));

	if (d) {
		d->netns = netns;
		d->arg = arg;
	}
	return d;
}

static struct blob *blob_of(struct nt_packer *p, const struct nt_section *head)
{
	for (uint32_t i = 0; i < p->n_blobs; i++)
		if (p->blobs[i].kind == head->kind && p->blobs[i].netns == head->netns &&
		    p->blobs[i].arg == head->arg)
			return &p->blobs[i];
	struct blob *b = one_more((void **)&p->blobs, &p->n_blobs, sizeof(*b));

	if (b) {
		b->kind = head->kind;
		b->netns = head->netns;
		b->arg = head->arg;
	}
	return b;
}

static struct records *records_of(struct nt_packer *p, const struct nt_section *head)
{
	for (uint32_t i = 0; i < p->n_records; i++)
		if (p->records[i].kind == head->kind && p->records[i].bytes == head->arg)
			return &p->records[i];
	struct records *r = one_more((void **)&p->records, &p->n_records, sizeof(*r));

	if (r) {
		r->kind = head->kind;
		r->bytes = head->arg;
	}
	return r;
}

static bool is_records(const struct nt_section *head)
{
	return head->kind >= NT_S_RECORDS && head->arg >= 8 && head->arg <= RECORD_MAX &&
	       head->bytes % head->arg == 0;
}

static uint32_t record_slot(const struct records *r, const uint8_t *id)
{
	uint64_t x;

	memcpy(&x, id, sizeof(x));
	uint32_t s = (uint32_t)(x * 0x9E3779B97F4A7C15ULL >> 32) & r->index_mask;

	while (r->index[s] && memcmp(r->v + (r->index[s] - 1) * (size_t)r->bytes, id, 8) != 0)
		s = (s + 1) & r->index_mask;
	return s;
}

static int grow_records(struct nt_packer *p, struct records *r)
{
	uint32_t cap = r->cap ? r->cap * 2 : 64;

	p->kept += (uint64_t)(cap - r->cap) * r->bytes;
	if (p->kept > KEPT_MAX)
		return -ENOMEM;
	uint8_t *v = realloc(r->v, (size_t)cap * r->bytes);

	if (!v)
		return -ENOMEM;
	r->v = v;
	uint32_t *index = calloc(cap * 2UL, sizeof(*index));

	if (!index)
		return -ENOMEM;
	free(r->index);
	r->index = index;
	r->index_mask = cap * 2 - 1;
	r->cap = cap;
	for (uint32_t i = 0; i < r->n; i++)
		r->index[record_slot(r, r->v + i * (size_t)r->bytes)] = i + 1;
	return 0;
}

/* The last record of this id, made of zeros if there is none; NULL when memory ends. */
static uint8_t *record_of(struct nt_packer *p, struct records *r, const uint8_t *id)
{
	if (r->n == r->cap && grow_records(p, r))
		return NULL;
	uint32_t s = record_slot(r, id);

	if (!r->index[s]) {
		uint8_t *fresh = r->v + r->n * (size_t)r->bytes;

		memset(fresh, 0, r->bytes);
		memcpy(fresh, id, 8);
		r->index[s] = ++r->n;
	}
	return r->v + (r->index[s] - 1) * (size_t)r->bytes;
}

/* Makes the blob's body n bytes long; what is new is zero. */
static int resize_blob(struct nt_packer *p, struct blob *b, uint32_t n)
{
	p->kept += (uint64_t)n - b->n;
	if (p->kept > KEPT_MAX)
		return -ENOMEM;
	if (n > b->n) {
		uint8_t *v = realloc(b->v, n);

		if (!v)
			return -ENOMEM;
		memset(v + b->n, 0, n - b->n);
		b->v = v;
	}
	b->n = n;
	return 0;
}

/* --- packing --- */

static void pack_head(struct nt_out *out, const struct nt_section *head, uint64_t *at_ns)
{
	nt_put_varint(out, head->kind);
	nt_put_varint(out, head->arg);
	nt_put_varint(out, head->netns);
	nt_put_signed(out, (int64_t)(head->at_ns - *at_ns));
	nt_put_varint(out, head->bytes);
	*at_ns = head->at_ns;
}

static int pack_records(struct nt_packer *p, const struct nt_section *head, const uint8_t *body,
			struct nt_out *out)
{
	struct records *r = records_of(p, head);

	if (!r)
		return -ENOMEM;
	for (uint32_t at = 0; at < head->bytes; at += r->bytes) {
		uint8_t *last = record_of(p, r, body + at);

		if (!last)
			return -ENOMEM;
		nt_put(out, body + at, 8);
		nt_put_xor(out, body + at + 8, last + 8, r->bytes - 8);
		memcpy(last, body + at, r->bytes);
	}
	return 0;
}

static int pack_blob(struct nt_packer *p, const struct nt_section *head, const uint8_t *body,
		     struct nt_out *out)
{
	struct blob *last = blob_of(p, head);

	if (!last || resize_blob(p, last, head->bytes))
		return -ENOMEM;
	nt_put_xor(out, body, last->v, head->bytes);
	if (head->bytes)
		memcpy(last->v, body, head->bytes);
	return 0;
}

static int add_read(struct nt_packer *p, uint64_t at_ns, uint32_t messages)
{
	if (p->n_reads == p->cap_reads) {
		uint32_t cap = p->cap_reads ? p->cap_reads * 2 : 64;
		struct nt_read *v = realloc(p->reads, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		p->reads = v;
		p->cap_reads = cap;
	}
	p->reads[p->n_reads++] = (struct nt_read){ .at_ns = at_ns, .messages = messages };
	return 0;
}

/* Packs the reads of one dump, which follow each other from head on. */
static int pack_dump(struct nt_packer *p, const uint8_t *v, uint64_t n, uint64_t *at,
		     struct nt_section head, const uint8_t *body, struct nt_out *out,
		     uint64_t *at_ns)
{
	struct nt_dump *before = dump_of(p, head.netns, head.arg);
	struct nt_section first = head;
	int more = 1;

	if (!before)
		return -ENOMEM;
	p->fresh.netns = head.netns;
	p->fresh.arg = head.arg;
	nt_dump_clear(&p->fresh);
	p->n_reads = 0;
	while (more == 1 && head.kind == NT_S_DIAG && head.netns == first.netns &&
	       head.arg == first.arg && head.at_ns >= first.at_ns) {
		int messages = nt_dump_add(&p->fresh, body, head.bytes);
		uint64_t next = *at;

		if (messages < 0 || add_read(p, head.at_ns, (uint32_t)messages))
			return -ENOMEM;
		more = nt_section_next(v, n, &next, &head, &body);
		if (more == 1 && head.kind == NT_S_DIAG && head.netns == first.netns &&
		    head.arg == first.arg && head.at_ns >= p->reads[p->n_reads - 1].at_ns)
			*at = next;
		else
			break;
	}
	if (more < 0)
		return more;
	first.kind |= PACKED_DUMP;
	first.bytes = 0;
	pack_head(out, &first, at_ns);
	nt_dump_pack(&p->fresh, before, p->reads, p->n_reads, out);

	return nt_dump_take(before, &p->fresh);
}

int nt_pack(struct nt_packer *p, const uint8_t *sections, uint64_t n, struct nt_sections *ret)
{
	struct nt_out out = { 0 }, body_out = { 0 };
	uint64_t at = 0, at_ns = 0;
	struct nt_section head;
	const uint8_t *body;
	int err = 0, more;

	while (!err && (more = nt_section_next(sections, n, &at, &head, &body)) != 0) {
		if (more < 0 || head.kind & PACKED_DUMP) {
			err = -EPROTO;
			break;
		}
		body_out.n = 0;
		if (head.kind == NT_S_DIAG) {
			err = pack_dump(p, sections, n, &at, head, body, &body_out, &at_ns);
		} else {
			pack_head(&body_out, &head, &at_ns);
			err = is_records(&head) ? pack_records(p, &head, body, &body_out) :
						  pack_blob(p, &head, body, &body_out);
		}
		nt_put_varint(&out, body_out.n);
		nt_put(&out, body_out.v, body_out.n);
	}
	if (!err && (out.failed || body_out.failed))
		err = -ENOMEM;
	if (!err) {
		uint8_t *to = nt_sections_room(ret, out.n);

		if (!to)
			err = -ENOMEM;
		else if (out.n)
			memcpy(to, out.v, out.n);
		if (to)
			ret->n += out.n;
	}
	free(out.v);
	free(body_out.v);
	/* What was packed so far stands in no frame. */
	if (err)
		nt_packer_reset(p);
	return err;
}

/* --- unpacking --- */

static uint8_t *scratch_of(struct nt_packer *p, size_t n)
{
	if (n > p->scratch_cap) {
		uint8_t *v = realloc(p->scratch, n);

		if (!v)
			return NULL;
		p->scratch = v;
		p->scratch_cap = n;
	}
	return p->scratch;
}

static int unpack_records(struct nt_packer *p, const struct nt_section *head, struct nt_in *in,
			  struct nt_sections *ret)
{
	struct records *r = records_of(p, head);
	uint8_t *body = scratch_of(p, head->bytes + 1UL);

	if (!r || !body)
		return -ENOMEM;
	for (uint32_t at = 0; at < head->bytes; at += r->bytes) {
		const uint8_t *id = nt_get(in, 8);
		uint8_t *last = id ? record_of(p, r, id) : NULL;

		if (!id)
			return -EPROTO;
		if (!last)
			return -ENOMEM;
		nt_get_xor(in, last + 8, r->bytes - 8);
		if (in->failed)
			return -EPROTO;
		memcpy(body + at, last, r->bytes);
	}
	return nt_sections_add(ret, head, body);
}

static int unpack_blob(struct nt_packer *p, const struct nt_section *head, struct nt_in *in,
		       struct nt_sections *ret)
{
	struct blob *last = blob_of(p, head);

	if (!last || resize_blob(p, last, head->bytes))
		return -ENOMEM;
	nt_get_xor(in, last->v, head->bytes);
	return in->failed ? -EPROTO : nt_sections_add(ret, head, last->v);
}

static int unpack_dump(struct nt_packer *p, const struct nt_section *head, struct nt_in *in,
		       uint64_t most, struct nt_sections *ret)
{
	struct nt_dump *before = dump_of(p, head->netns, head->arg);

	if (!before)
		return -ENOMEM;
	p->fresh.netns = head->netns;
	p->fresh.arg = head->arg;
	nt_dump_clear(&p->fresh);
	int err = nt_dump_unpack(&p->fresh, before, in, head->at_ns, most, ret);
	int taken = nt_dump_take(before, &p->fresh);

	return err ? err : taken;
}

static int unpack_one(struct nt_packer *p, struct nt_in *in, uint64_t *at_ns, uint64_t most,
		      struct nt_sections *ret)
{
	uint64_t kind = nt_get_varint(in), arg = nt_get_varint(in), netns = nt_get_varint(in);
	int64_t later_ns = nt_get_signed(in);
	uint64_t bytes = nt_get_varint(in);

	if (in->failed || kind > UINT32_MAX || arg > UINT32_MAX || netns > UINT32_MAX ||
	    ret->n > most || bytes > UINT32_MAX ||
	    bytes + sizeof(struct nt_section) > most - ret->n)
		return -EPROTO;
	*at_ns += (uint64_t)later_ns;
	struct nt_section head = { .at_ns = *at_ns,
				   .kind = (uint32_t)kind & ~PACKED_DUMP,
				   .bytes = (uint32_t)bytes,
				   .netns = (uint32_t)netns,
				   .arg = (uint32_t)arg };

	if (kind & PACKED_DUMP)
		return head.kind == NT_S_DIAG ? unpack_dump(p, &head, in, most, ret) : -EPROTO;
	return is_records(&head) ? unpack_records(p, &head, in, ret) :
				   unpack_blob(p, &head, in, ret);
}

int nt_unpack(struct nt_packer *p, const uint8_t *frame, uint64_t n, uint64_t most,
	      struct nt_sections *ret)
{
	struct nt_in in = { .v = frame, .n = n };
	uint64_t at_ns = 0;
	int err = 0;

	while (!err && in.at < in.n) {
		uint64_t bytes = nt_get_varint(&in);
		struct nt_in one = { .v = in.failed ? NULL : nt_get(&in, bytes), .n = bytes };

		if (in.failed)
			err = -EPROTO;
		else
			err = unpack_one(p, &one, &at_ns, most, ret);
		/* No packer leaves bytes over. */
		if (!err && one.at != one.n)
			err = -EPROTO;
	}
	if (err)
		nt_packer_reset(p);
	return err;
}
