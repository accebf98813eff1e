/* SPDX-License-Identifier: MIT */
/* Any bytes as control data of recvmsg: nothing outside them is read, no wrong value results. */
#include <stdlib.h>
#include <string.h>

#include "nt_api.h"

/* 2554 in ns: what a struct timespec can say and 64 bits can hold. */
#define MOST_NS 18446744073000000000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nt_stamp s;
	uint32_t flags = 0;

	if (size < sizeof(flags))
		return 0;
	memcpy(&flags, data, sizeof(flags));
	size -= sizeof(flags);
	/* Allocated to size, so that a step beyond it is seen. */
	uint8_t *control = malloc(size + !size);

	if (!control)
		return 0;
	memcpy(control, data + sizeof(flags), size);
	must(!nt_stamps_parse(control, (uint32_t)size, flags, &s));
	must(s.software_ns <= MOST_NS && s.hardware_ns <= MOST_NS && s.legacy_ns <= MOST_NS);
	must(!(s.has & NT_ST_SOFTWARE) == !s.software_ns);
	must(!(s.has & NT_ST_HARDWARE) == !s.hardware_ns);
	must(s.type <= NT_STAMP_COMPLETION);
	must(!(s.errors & ~63U) && !(s.has & ~127U));
	must(size >= 16 || !s.has);
	free(control);
	return 0;
}
