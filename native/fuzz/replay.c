/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over files without libFuzzer: each file whole, cut short everywhere, and
 * with bits turned, the same ones in every run; after --whole, only whole. Prints how many inputs
 * that were.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (1 << 20)
#define CUTS 400
#define FLIPS 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A copy of exactly this size, so that one byte beyond it is seen. */
static int run(const uint8_t *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		return -1;
	memcpy(copy, bytes, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	return 0;
}

static long replay(const char *name, int only_whole)
{
	static uint8_t bytes[MAX_BYTES], turned[MAX_BYTES];
	uint64_t state = 0x9e3779b97f4a7c15ULL;
	FILE *file = fopen(name, "rb");
	long count = 0;

	if (!file)
		return -1;
	size_t n = fread(bytes, 1, sizeof(bytes), file);
	size_t step = n / CUTS + 1;

	fclose(file);
	if (only_whole)
		return run(bytes, n) ? -1 : 1;
	for (size_t cut = 0; cut <= n; cut += step, count++)
		if (run(bytes, cut))
			return -1;
	if (run(bytes, n))
		return -1;
	count++;
	for (int i = 0; n && i < FLIPS; i++, count++) {
		memcpy(turned, bytes, n);
		for (uint64_t left = 1 + next_random(&state) % 8; left; left--)
			turned[next_random(&state) % n] ^= (uint8_t)(1 << next_random(&state) % 8);
		if (run(turned, n))
			return -1;
	}
	return count;
}

int main(int argc, char **argv)
{
	int only_whole = argc > 1 && !strcmp(argv[1], "--whole");
	long total = 0;

	for (int i = 1 + only_whole; i < argc; i++) {
		long n = replay(argv[i], only_whole);

		if (n < 0) {
			perror(argv[i]);
			return 1;
		}
		total += n;
	}
	printf("%ld inputs\n", total);
	return total == 0;
}
