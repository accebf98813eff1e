/* SPDX-License-Identifier: MIT */
#ifndef NT_WIRE_H
#define NT_WIRE_H

#include <stdint.h>

#include "nt_planes.cdef.h"

#include "nt_wire.cdef.h"

/* What a socket costs that is not at rest (nt_rest.h), plus the index. */
_Static_assert(sizeof(struct nt_rec) <= 424, "nt_rec outgrew its budget");
_Static_assert(sizeof(struct nt_rec) % 8 == 0, "nt_rec is packed in arrays");

#endif
