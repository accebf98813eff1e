// SPDX-License-Identifier: MIT
#include <sys/mman.h>

#include "nt_room.h"

void *nt_room_new(size_t bytes)
{
	void *v = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return v == MAP_FAILED ? NULL : v;
}

void nt_room_free(void *v, size_t bytes)
{
	if (v)
		munmap(v, bytes);
}
