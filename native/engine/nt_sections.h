/* SPDX-License-Identifier: MIT */
/* Sections of a sample in one growing buffer. */
#ifndef NT_SECTIONS_H
#define NT_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nt_api.h"

struct nt_sections {
	uint8_t *v;
	size_t n, cap;
};

/* Room for n more bytes at the end, or NULL. */
uint8_t *nt_sections_room(struct nt_sections *s, size_t n);

/*
 * The section at *at, which moves on to the next. Returns 1, 0 at the end, or -EPROTO where the
 * bytes are no section.
 */
int nt_section_next(const uint8_t *v, uint64_t n, uint64_t *at, struct nt_section *head,
		    const uint8_t **body);

#endif
