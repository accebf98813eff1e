// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nt_sections.h"

#define ALIGN 8U
#define LARGE 65536U

static uint64_t padded(uint64_t n)
{
	return (n + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

int nt_sections_new(struct nt_sections **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void nt_sections_free(struct nt_sections *s)
{
	if (!s)
		return;
	free(s->v);
	free(s);
}

void nt_sections_clear(struct nt_sections *s)
{
	/* Room for more than was needed the last time was that of an exception. */
	if (s->cap > LARGE && s->n < s->cap / 2) {
		free(s->v);
		s->v = NULL;
		s->cap = 0;
	}
	s->n = 0;
}

uint8_t *nt_sections_room(struct nt_sections *s, size_t n)
{
	if (!s->v || n > s->cap - s->n) {
		size_t cap = s->cap ? s->cap : 4096;

		while (n > cap - s->n) {
			if (cap > SIZE_MAX / 2)
				return NULL;
			cap *= 2;
		}
		uint8_t *v = realloc(s->v, cap);

		if (!v)
			return NULL;
		s->v = v;
		s->cap = cap;
	}
	return s->v + s->n;
}

int nt_sections_add(struct nt_sections *s, const struct nt_section *head, const uint8_t *body)
{
	size_t whole = sizeof(*head) + (size_t)padded(head->bytes);
	uint8_t *to = nt_sections_room(s, whole);

	if (!to)
		return -ENOMEM;
	memcpy(to, head, sizeof(*head));
	if (head->bytes)
		memcpy(to + sizeof(*head), body, head->bytes);
	memset(to + sizeof(*head) + head->bytes, 0, whole - sizeof(*head) - head->bytes);
	s->n += whole;
	return 0;
}

uint64_t nt_sections_bytes(const struct nt_sections *s, const uint8_t **ret)
{
	*ret = s->v;
	return s->n;
}

int nt_section_next(const uint8_t *v, uint64_t n, uint64_t *at, struct nt_section *head,
		    const uint8_t **body)
{
	uint64_t left = n - *at;

	if (!left)
		return 0;
	if (left < sizeof(*head))
		return -EPROTO;
	memcpy(head, v + *at, sizeof(*head));
	if (padded(head->bytes) > left - sizeof(*head))
		return -EPROTO;
	*body = v + *at + sizeof(*head);
	*at += sizeof(*head) + padded(head->bytes);
	return 1;
}
