// SPDX-License-Identifier: MIT
/* Percentiles, of bucketed times and of values: pure functions. */
#include "nt_hist.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "nt_api.h"

_Static_assert(NT_FINE == NT_FINE_BUCKETS && NT_OCTAVES == NT_OCTAVE_BUCKETS, "layouts differ");

uint64_t nt_bucket_ns(uint32_t i, int fine)
{
	if (!fine)
		return i ? 1ULL << (i + NT_OCTAVE_LOG2 - 1) : 0;
	if (i < NT_FINE_SUB)
		return i;
	uint32_t octave = i / NT_FINE_SUB - 1;

	return (uint64_t)(NT_FINE_SUB + i % NT_FINE_SUB) << octave;
}

uint32_t nt_fine_bucket(uint64_t ns)
{
	return nt_fine_index(ns, ns ? 63U - (uint32_t)__builtin_clzll(ns) : 0);
}

/* As nt_quantile, where it is known how many they hold. */
static uint64_t quantile(const uint64_t *buckets, uint32_t n, int fine, uint64_t count, double q)
{
	uint64_t rank = (uint64_t)ceil(q * (double)count), seen = 0;

	if (rank < 1)
		rank = 1;
	for (uint32_t i = 0; i < n; i++) {
		seen += buckets[i];
		if (seen >= rank)
			return nt_bucket_ns(i + 1, fine);
	}
	return nt_bucket_ns(n, fine);
}

uint64_t nt_quantile(const uint64_t *buckets, uint32_t n, int fine, double q)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += buckets[i];
	return count ? quantile(buckets, n, fine, count, q) : 0;
}

/* The last bucket has no upper edge: what lies there counts as the maximum. */
static bool is_open(uint64_t edge, int fine)
{
	return edge >= nt_bucket_ns(fine ? NT_FINE : NT_OCTAVES, fine);
}

static uint64_t clip(uint64_t value, uint64_t max, int fine)
{
	return value > max || is_open(value, fine) ? max : value;
}

int nt_dist_of(const uint64_t *buckets, uint32_t n, int fine, struct nt_dist *ret)
{
	uint64_t known_max = ret->max_ns, known_sum = ret->sum_ns;

	if (n > (fine ? NT_FINE : NT_OCTAVES))
		return -EINVAL;
	ret->count = 0;
	double sum = 0;
	uint64_t top = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!buckets[i])
			continue;
		ret->count += buckets[i];
		top = nt_bucket_ns(i + 1, fine);
		sum += (double)buckets[i] * ((double)nt_bucket_ns(i, fine) + (double)top) / 2;
	}
	if (!ret->count) {
		memset(ret, 0, sizeof(*ret));
		return 0;
	}
	/* Above the top bucket it is of a sample that is counted in another interval. */
	ret->max_ns = known_max && (known_max < top || is_open(top, fine)) ? known_max : top;
	if (!known_sum) /* counts of a recording may be anything */
		known_sum = sum < (double)UINT64_MAX ? (uint64_t)sum : UINT64_MAX;
	ret->sum_ns = known_sum;
	ret->p50_ns = clip(quantile(buckets, n, fine, ret->count, 0.50), ret->max_ns, fine);
	ret->p90_ns = clip(quantile(buckets, n, fine, ret->count, 0.90), ret->max_ns, fine);
	/* Fewer than a hundred cannot show a hundredth. */
	ret->p99_ns = ret->count < 100 ?
			      ret->max_ns :
			      clip(quantile(buckets, n, fine, ret->count, 0.99), ret->max_ns, fine);
	return 0;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void nt_spread(double *v, uint32_t n, double ret[3])
{
	ret[0] = ret[1] = ret[2] = NAN;
	if (!n)
		return;
	qsort(v, n, sizeof(*v), ascending);
	ret[0] = v[(n + 1ULL) / 2 - 1];
	ret[1] = v[(n * 9ULL + 9) / 10 - 1];
	ret[2] = v[n - 1];
}
