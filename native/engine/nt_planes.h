/* SPDX-License-Identifier: MIT */
/* The engine's record of what the BPF planes know of a socket; only active sockets have one. */
#ifndef NT_PLANES_H
#define NT_PLANES_H

#include "nt_engine.h"

/* The plane record of a socket, made if it has none; NULL: unknown to the table, or no memory. */
struct nt_plane *nt_plane_of(struct nt_engine *e, uint64_t cookie);
/* It or NULL, never made. */
const struct nt_plane *nt_rec_plane(const struct nt_engine *e, const struct nt_rec *rec);
const struct nt_plane *nt_plane_at(const struct nt_engine *e, uint32_t i);
/* Gives the slot of a record back; the record is about to go. */
void nt_plane_drop(struct nt_engine *e, uint32_t i);
/* A new interval begins: what the wait plane said is void. */
void nt_planes_reset_wait(struct nt_engine *e);
void nt_planes_reset_tx(struct nt_engine *e);

/* What the events plane saw dropped in the interval that ends, in any order. */
void nt_planes_dropped(struct nt_engine *e, const struct nt_dropped *v, uint32_t n);
/* Of one socket, or NULL. */
const struct nt_dropped *nt_dropped_of(const struct nt_engine *e, uint64_t cookie);

#endif
