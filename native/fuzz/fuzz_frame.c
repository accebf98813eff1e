/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as frames, each after its length in two bytes: what unpacks is sections, which pack and
 * unpack to themselves. The same bytes as sections.
 */
#include <stdlib.h>
#include <string.h>

#include "nt_sections.h"

#define MOST (1U << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
	if (!holds)
		abort();
}

/* Packs and unpacks; frames keep no ends of dumps and no numbers, so that twice is once. */
static void there_and_back(struct nt_packer *to, struct nt_packer *from, const uint8_t *bytes,
			   uint64_t n)
{
	struct nt_sections *frame = NULL, *once = NULL, *twice = NULL;

	must(!nt_sections_new(&frame));
	must(!nt_sections_new(&once));
	must(!nt_sections_new(&twice));
	if (!nt_pack(to, bytes, n, frame) && !nt_unpack(from, frame->v, frame->n, 8 * MOST, once)) {
		struct nt_packer *to2 = NULL, *from2 = NULL;

		must(!nt_packer_new(&to2));
		must(!nt_packer_new(&from2));
		nt_sections_clear(frame);
		must(!nt_pack(to2, once->v, once->n, frame));
		must(!nt_unpack(from2, frame->v, frame->n, 8 * MOST, twice));
		must(once->n == twice->n && (!once->n || !memcmp(once->v, twice->v, once->n)));
		nt_packer_free(to2);
		nt_packer_free(from2);
	} else {
		nt_packer_reset(to);
		nt_packer_reset(from);
	}
	nt_sections_free(frame);
	nt_sections_free(once);
	nt_sections_free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nt_packer *read, *to, *from;
	struct nt_sections *out;

	must(!nt_packer_new(&read) && !nt_packer_new(&to) && !nt_packer_new(&from));
	must(!nt_sections_new(&out));
	for (size_t at = 0; at + 2 <= size;) {
		size_t n = data[at] | (size_t)data[at + 1] << 8;

		at += 2;
		if (n > size - at)
			n = size - at;
		nt_sections_clear(out);
		if (!nt_unpack(read, data + at, n, MOST, out)) {
			must(out->n <= MOST);
			there_and_back(to, from, out->v, out->n);
		}
		at += n;
	}
	there_and_back(to, from, data, size);
	nt_packer_free(read);
	nt_packer_free(to);
	nt_packer_free(from);
	nt_sections_free(out);
	return 0;
}
