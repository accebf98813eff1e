// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "nt_bytes.h"

/* Fewer zeros than this between two literals cost less when they are literals too. */
#define ZEROS_MIN 4

static uint8_t *room(struct nt_out *o, size_t n)
{
	if (o->failed)
		return NULL;
	if (!o->v || n > o->cap - o->n) {
		size_t cap = o->cap ? o->cap : 1024;

		while (n > cap - o->n && cap <= SIZE_MAX / 2)
			cap *= 2;
		uint8_t *v = n > cap - o->n ? NULL : realloc(o->v, cap);

		if (!v) {
			o->failed = true;
			return NULL;
		}
		o->v = v;
		o->cap = cap;
	}
	return o->v + o->n;
}

void nt_put(struct nt_out *o, const void *bytes, size_t n)
{
	uint8_t *to = room(o, n);

	if (!to || !n)
		return;
	memcpy(to, bytes, n);
	o->n += n;
}

void nt_put_varint(struct nt_out *o, uint64_t x)
{
	uint8_t *to = room(o, 10);

	if (!to)
		return;
	for (; x >= 0x80; x >>= 7)
		*to++ = (uint8_t)(x | 0x80);
	*to++ = (uint8_t)x;
	o->n = (size_t)(to - o->v);
}

void nt_put_signed(struct nt_out *o, int64_t x)
{
	nt_put_varint(o, ((uint64_t)x << 1) ^ (x < 0 ? ~0ULL : 0));
}

static uint64_t word_at(const uint8_t *v)
{
	uint64_t x;

	memcpy(&x, v, sizeof(x));
	return x;
}

/* How many bytes from at on are equal. */
static size_t equal_run(const uint8_t *now, const uint8_t *before, size_t at, size_t n)
{
	size_t i = at;

	while (n - i >= 8 && word_at(now + i) == (before ? word_at(before + i) : 0))
		i += 8;
	while (i < n && now[i] == (before ? before[i] : 0))
		i++;
	return i - at;
}

void nt_put_xor(struct nt_out *o, const uint8_t *now, const uint8_t *before, size_t n)
{
	size_t at = 0;

	while (at < n) {
		size_t zeros = equal_run(now, before, at, n), end = at + zeros;

		nt_put_varint(o, zeros);
		if (end == n)
			return;
		at = end;
		/* The literals end where enough zeros follow. */
		for (;;) {
			while (end < n && now[end] != (before ? before[end] : 0))
				end++;
			size_t gap = equal_run(now, before, end, n);

			if (gap >= ZEROS_MIN || end + gap == n)
				break;
			end += gap;
		}
		nt_put_varint(o, end - at);
		uint8_t *to = room(o, end - at);

		if (!to)
			return;
		for (size_t i = at; i < end; i++)
			*to++ = now[i] ^ (before ? before[i] : 0);
		o->n += end - at;
		at = end;
	}
}

const uint8_t *nt_get(struct nt_in *i, size_t n)
{
	if (i->failed || !i->v || n > i->n - i->at) {
		i->failed = true;
		return NULL;
	}
	i->at += n;
	return i->v + i->at - n;
}

uint64_t nt_get_varint(struct nt_in *i)
{
	uint64_t x = 0;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		const uint8_t *b = nt_get(i, 1);

		if (!b)
			return 0;
		x |= (uint64_t)(*b & 0x7f) << shift;
		if (!(*b & 0x80))
			return x;
	}
	i->failed = true;
	return 0;
}

int64_t nt_get_signed(struct nt_in *i)
{
	uint64_t x = nt_get_varint(i);

	return (int64_t)(x >> 1 ^ (x & 1 ? ~0ULL : 0));
}

void nt_get_xor(struct nt_in *i, uint8_t *ret, size_t n)
{
	size_t at = 0;

	while (at < n) {
		uint64_t zeros = nt_get_varint(i);

		if (i->failed || zeros > n - at) {
			i->failed = true;
			return;
		}
		at += zeros;
		if (at == n)
			return;
		uint64_t literals = nt_get_varint(i);

		if (i->failed || !literals || literals > n - at) {
			i->failed = true;
			return;
		}
		const uint8_t *from = nt_get(i, literals);

		if (!from)
			return;
		for (uint64_t k = 0; k < literals; k++)
			ret[at + k] ^= from[k];
		at += literals;
	}
}
