/* SPDX-License-Identifier: MIT */
/* Text of rows as it is written: where to, and how numbers, addresses and names look in JSON. */
#ifndef NT_EMIT_H
#define NT_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nt_api.h"

#define NT_EMIT_DEPTH 4

struct nt_emit_out {
	char *at, *end;
	struct {
		char *begin;
		bool any;    /* something stands in it */
		bool before; /* in the one around it, when it began */
	} open[NT_EMIT_DEPTH];
	uint32_t depth;
	enum nt_emit_end why; /* when a step failed */
};

/* nt_emit_text.c: each false with o->why where it does not fit or cannot be written. */
bool nt_write(struct nt_emit_out *o, const char *text, size_t len);
bool nt_write_whole(struct nt_emit_out *o, uint64_t v);
bool nt_write_real(struct nt_emit_out *o, double v);
bool nt_write_cell(struct nt_emit_out *o, double v); /* the same, 2 for 2.0 */
bool nt_write_share(struct nt_emit_out *o, uint64_t percent);
bool nt_write_address(struct nt_emit_out *o, uint8_t family, const uint8_t *a);
bool nt_write_comm(struct nt_emit_out *o, const char *comm, bool bare);

#endif
