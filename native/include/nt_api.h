/* SPDX-License-Identifier: MIT */
#ifndef NT_API_H
#define NT_API_H

#include <stdint.h>

#include "nt_wire.h"

#include "nt_api.cdef.h"

#include "nt_emit.cdef.h"

#include "nt_sample.cdef.h"

#include "nt_plane_wait.cdef.h"

#include "nt_plane_split.cdef.h"

#include "nt_plane_stages.cdef.h"

#include "nt_plane_events.cdef.h"

#include "nt_plane_path.cdef.h"

#include "nt_plane_stamps.cdef.h"

#include "nt_plane_clocks.cdef.h"

#include "nt_plane_host.cdef.h"

#include "nt_count.cdef.h"

#endif
