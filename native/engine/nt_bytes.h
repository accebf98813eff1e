/* SPDX-License-Identifier: MIT */
/* Bytes written and read with bounds: varints, and differences whose zeros take no room. */
#ifndef NT_BYTES_H
#define NT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Written: grows; failed once memory ended. */
struct nt_out {
	uint8_t *v;
	size_t n, cap;
	bool failed;
};

/* Read: failed once it asked for more than there is. */
struct nt_in {
	const uint8_t *v;
	size_t n, at;
	bool failed;
};

void nt_put(struct nt_out *o, const void *bytes, size_t n);
void nt_put_varint(struct nt_out *o, uint64_t x);
/* Small numbers of either sign stay short. */
void nt_put_signed(struct nt_out *o, int64_t x);
/* now XOR before (NULL: zeros), n bytes. */
void nt_put_xor(struct nt_out *o, const uint8_t *now, const uint8_t *before, size_t n);

/* NULL where fewer are left. */
const uint8_t *nt_get(struct nt_in *i, size_t n);
uint64_t nt_get_varint(struct nt_in *i);
int64_t nt_get_signed(struct nt_in *i);
/* The inverse of nt_put_xor: ret holds what was before. */
void nt_get_xor(struct nt_in *i, uint8_t *ret, size_t n);

#endif
