/* SPDX-License-Identifier: GPL-2.0 */
/* Which bucket a time belongs to; the layout is nt_hist.h's. */
#ifndef NT_HIST_BPF_H
#define NT_HIST_BPF_H

#include "nt_core.h"
#include "nt_hist.h"

/*
 * Bits above the lowest one: 0 for 0 and 1, 10 for 1024. Without branches, so that the verifier has
 * no more paths to follow in the loops that use it, and without a call, which costs more.
 */
static __always_inline u32 nt_log2(u64 v)
{
	u32 lg = 0;

#pragma unroll
	for (u32 bits = 32; bits >= 2; bits /= 2) {
		u64 more = (0 - (v >> bits)) >> 63; /* 1 if there are any above these */

		barrier_var(more);
		more *= bits;
		v >>= more;
		lg += (u32)more;
	}
	return lg + (u32)(v >> 1);
}

static __always_inline u32 nt_octave(u32 lg)
{
	u32 o = lg < NT_OCTAVE_LOG2 ? 0 : lg - NT_OCTAVE_LOG2 + 1;

	return o < NT_OCTAVES ? o : NT_OCTAVES - 1;
}

static __always_inline u32 nt_fine(u64 ns, u32 lg)
{
	return nt_fine_index(ns, lg);
}

#endif
