/* SPDX-License-Identifier: MIT */
/* Memory of which mostly a part is used. */
#ifndef NT_ROOM_H
#define NT_ROOM_H

#include <stddef.h>
#include <sys/mman.h>

/*
 * All zero, and what is not used takes no memory. calloc would write to all of it where its memory
 * was used before, as it is once some was freed. NULL: there is none.
 */
static inline void *nt_room_new(size_t bytes)
{
	void *v = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return v == MAP_FAILED ? NULL : v;
}

static inline void nt_room_free(void *v, size_t bytes)
{
	if (v)
		munmap(v, bytes);
}

#endif
