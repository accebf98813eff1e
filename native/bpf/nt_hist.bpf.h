/* SPDX-License-Identifier: GPL-2.0 */
/* Which bucket a time belongs to; the layout is nt_hist.h's. */
#ifndef NT_HIST_BPF_H
#define NT_HIST_BPF_H

#include "nt_core.h"
#include "nt_hist.h"

/*
 * Bits above the lowest one: 0 for 0 and 1, 10 for 1024. A global function: the verifier looks at
 * its branches once, not in every turn of every loop that calls it.
 */
__attribute__((noinline)) u32 nt_log2(u64 v)
{
	u32 lg = 0;

	if (v >> 32) {
		v >>= 32;
		lg = 32;
	}
	if (v >> 16) {
		v >>= 16;
		lg += 16;
	}
	if (v >> 8) {
		v >>= 8;
		lg += 8;
	}
	if (v >> 4) {
		v >>= 4;
		lg += 4;
	}
	if (v >> 2) {
		v >>= 2;
		lg += 2;
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
