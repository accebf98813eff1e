/* SPDX-License-Identifier: MIT */
/*
 * Histograms of times in ns. Fine: below 64 ns one bucket each, then 64 to an octave
 * (an upper edge is at most 1.6 % too high) up to 2^37 ns; what is longer falls into the last. Octaves: everything below
 * 64 ns, then one bucket for each doubling. Counters only grow; an interval is a difference.
 */
#ifndef NT_HIST_H
#define NT_HIST_H

#define NT_FINE_LOG2 6
#define NT_FINE_SUB 64U
#define NT_FINE 2048U /* (37 - 5) * 64 */
#define NT_OCTAVE_LOG2 6
#define NT_OCTAVES 32U

/* lg: the highest bit of ns, 0 for 0. */
static inline unsigned int nt_fine_index(unsigned long long ns, unsigned int lg)
{
	unsigned int i = (unsigned int)ns;

	if (lg >= NT_FINE_LOG2)
		i = (lg - NT_FINE_LOG2 + 1) * NT_FINE_SUB +
		    (unsigned int)(ns >> (lg - NT_FINE_LOG2)) % NT_FINE_SUB;
	return i < NT_FINE ? i : NT_FINE - 1;
}

#endif
