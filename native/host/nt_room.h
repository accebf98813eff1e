/* SPDX-License-Identifier: MIT */
/* Memory of which mostly a part is used. */
#ifndef NT_ROOM_H
#define NT_ROOM_H

#include <stddef.h>

/*
 * All zero, and what is not used takes no memory. calloc would write to all of it where its memory
 * was used before, as it is once some was freed. NULL: there is none.
 */
void *nt_room_new(size_t bytes);
void nt_room_free(void *v, size_t bytes);

#endif
