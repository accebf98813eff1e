/* SPDX-License-Identifier: MIT */
/*
 * Histograms of times in ns. Fine: below 32 ns one bucket each, then 32 to an octave
 * (±1.6 %) up to 2^37 ns; what is longer falls into the last. Octaves: everything below
 * 64 ns, then one bucket for each doubling. Counters only grow; an interval is a difference.
 */
#ifndef NT_HIST_H
#define NT_HIST_H

#define NT_FINE_LOG2 5
#define NT_FINE_SUB 32U
#define NT_FINE 1056U /* (37 - 4) * 32 */
#define NT_OCTAVE_LOG2 6
#define NT_OCTAVES 32U

#endif
