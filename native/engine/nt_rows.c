// SPDX-License-Identifier: MIT
/* A row of the window: the record, who holds it, what the planes know. */
#include <math.h>
#include <string.h>

#include "nt_api.h"
#include "nt_engine.h"
#include "nt_filter.h"
#include "nt_hist.h"
#include "nt_holders.h"
#include "nt_planes.h"

void nt_owner_of(struct nt_engine *e, const struct nt_rec *rec, struct nt_proc *ret)
{
	if (rec->loaded_proc) {
		*ret = e->loaded[rec->loaded_proc - 1];
		return;
	}
	memset(ret, 0, sizeof(*ret));
	if (rec->inode) {
		const struct nt_holder *h;

		/* On a miss it says whether no process holds the socket, or not all could be read. */
		if (e->procs) {
			if (nt_procs_find(e->procs, rec->inode, ret) == 1 ||
			    nt_procs_former(e->procs, rec->inode, ret))
				ret->owner = NT_OWNER_PROC;
		} else if ((h = nt_holders_find(&e->holders, rec->inode))) {
			*ret = h->first;
			if (h->n)
				ret->owner = NT_OWNER_PROC;
		}
		return;
	}
	if (rec->proto == NT_PROTO_UDP) {
		ret->owner = NT_OWNER_KERNEL;
		return;
	}
	switch (rec->state) {
	case NT_TCP_ESTABLISHED:
	case NT_TCP_CLOSE_WAIT:
		/* close() would have left these states, so it is not accepted yet. */
		ret->owner = NT_OWNER_NOT_ACCEPTED;
		break;
	case NT_TCP_FIN_WAIT1:
	case NT_TCP_FIN_WAIT2:
	case NT_TCP_LAST_ACK:
	case NT_TCP_CLOSING:
		ret->owner = NT_OWNER_ORPHAN;
		break;
	default:
		ret->owner = NT_OWNER_KERNEL;
		break;
	}
}

bool nt_reader_of(struct nt_engine *e, const struct nt_rec *rec, struct nt_proc *ret)
{
	uint64_t listener;
	struct nt_rec room;

	nt_owner_of(e, rec, ret);
	if (ret->owner == NT_OWNER_NOT_ACCEPTED && (listener = nt_listener_of(e, rec))) {
		uint32_t i = nt_table_find(&e->table, listener);

		if (i != NT_NONE)
			nt_owner_of(e, nt_rec_read(&e->table, i, &room), ret);
	}
	return ret->owner == NT_OWNER_PROC;
}

int nt_owners_of(struct nt_engine *e, uint32_t inode, struct nt_proc *ret, uint32_t max)
{
	const struct nt_holder *h;

	if (e->procs) {
		int held = nt_procs_owners(e->procs, inode, ret, max);

		return held || !max ? held : nt_procs_former(e->procs, inode, ret);
	}
	h = nt_holders_find(&e->holders, inode);
	if (!h)
		return 0;
	uint32_t n = h->n < NT_HOLDER_PROCS ? h->n : NT_HOLDER_PROCS;

	memcpy(ret, h->all, (n < max ? n : max) * sizeof(*ret));
	return (int)n;
}

void nt_fill_row(struct nt_engine *e, uint32_t i, struct nt_row *ret)
{
	const struct nt_plane *plane;

	const struct nt_rec *rec = nt_rec_read(&e->table, i, &ret->rec);

	if (rec != &ret->rec)
		ret->rec = *rec;
	nt_owner_of(e, &ret->rec, &ret->proc);
	plane = nt_rec_plane(e, &ret->rec);
	if (plane)
		ret->plane = *plane;
	else
		memset(&ret->plane, 0, sizeof(ret->plane));
}

int nt_values_of(struct nt_engine *e, const uint64_t *cookies, uint32_t n, const struct nt_term *of,
		 uint32_t n_of, double *ret, uint32_t *octaves, uint8_t *there)
{
	struct nt_proc proc;
	struct nt_rec room;
	int found = 0;

	memset(octaves, 0, (size_t)n * NT_OCTAVES * sizeof(*octaves));
	pthread_mutex_lock(&e->lock);
	for (uint32_t k = 0; k < n; k++) {
		double *values = ret + (size_t)k * n_of;
		uint32_t i = nt_table_find(&e->table, cookies[k]);

		there[k] = i != NT_NONE;
		found += there[k];
		for (uint32_t j = 0; j < n_of; j++)
			values[j] = NAN;
		if (!there[k])
			continue;
		const struct nt_rec *rec = nt_rec_read(&e->table, i, &room);
		struct nt_filter_view fv = nt_view_of(e, rec, NULL, &proc);

		fv.proc = NULL; /* read for filters alone, and then only if one asks for it */
		for (uint32_t j = 0; j < n_of; j++)
			if (!nt_term_value(&of[j], &fv, &values[j]))
				values[j] = NAN;
		if (fv.plane)
			memcpy(octaves + (size_t)k * NT_OCTAVES, fv.plane->wait_octaves,
			       sizeof(fv.plane->wait_octaves));
	}
	pthread_mutex_unlock(&e->lock);
	return found;
}
