// SPDX-License-Identifier: MIT
/* The engine's life, its settings and its single-socket questions. */
#include "nt_engine.h"
#include "nt_events_state.h"
#include "nt_holders.h"
#include "nt_planes.h"
#include "nt_stages_state.h"
#include "nt_wait_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECV_BYTES 65536

int nt_engine_new(struct nt_procs *procs, struct nt_engine **ret)
{
	struct nt_engine *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->buf = malloc(RECV_BYTES);
	if (!e->buf || nt_table_init(&e->table)) {
		free(e->buf);
		free(e);
		return -ENOMEM;
	}
	pthread_mutex_init(&e->lock, NULL);
	nt_config_default(&e->config);
	e->procs = procs;
	e->totals.flow_retrans_pct = e->last.flow_retrans_pct = -1;
	*ret = e;
	return 0;
}

void nt_engine_free(struct nt_engine *e)
{
	if (!e)
		return;
	for (uint32_t i = 0; i < e->n_ns; i++) {
		close(e->ns[i].diag_fd);
		if (e->ns[i].lookup_fd >= 0)
			close(e->ns[i].lookup_fd);
	}
	nt_table_deinit(&e->table);
	pthread_mutex_destroy(&e->lock);
	free(e->ns);
	free(e->jobs);
	free(e->ops);
	free(e->data);
	free(e->order.v);
	free(e->next.v);
	free(e->planes.v);
	free(e->dropped);
	free(e->peers);
	free(e->front.v);
	free(e->back.v);
	free(e->loaded);
	nt_waits_free(e->waits);
	nt_sends_free(e->sends);
	nt_events_free(e->events);
	free(e->paths);
	nt_holders_deinit(&e->holders);
	nt_sections_free(e->answers);
	nt_sections_free(e->buffers[0]);
	nt_sections_free(e->buffers[1]);
	free(e->failures);
	free(e->buf);
	free(e);
}

int nt_engine_add_netns(struct nt_engine *e, uint32_t netns, int diag_fd, int lookup_fd)
{
	pthread_mutex_lock(&e->lock);
	struct nt_ns *ns = realloc(e->ns, (e->n_ns + 1UL) * sizeof(*ns));

	if (!ns) {
		pthread_mutex_unlock(&e->lock);
		return -ENOMEM;
	}
	e->ns = ns;
	e->ns[e->n_ns++] =
		(struct nt_ns){ .netns = netns, .diag_fd = diag_fd, .lookup_fd = lookup_fd };
	pthread_mutex_unlock(&e->lock);
	return 0;
}

int nt_engine_del_netns(struct nt_engine *e, uint32_t netns)
{
	int ret = -ENOENT;

	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < e->n_ns; i++) {
		if (e->ns[i].netns != netns)
			continue;
		close(e->ns[i].diag_fd);
		if (e->ns[i].lookup_fd >= 0)
			close(e->ns[i].lookup_fd);
		e->ns[i] = e->ns[--e->n_ns];
		ret = 0;
		break;
	}
	pthread_mutex_unlock(&e->lock);
	return ret;
}

int nt_engine_configure(struct nt_engine *e, const struct nt_config *config)
{
	pthread_mutex_lock(&e->lock);
	e->config = *config;
	pthread_mutex_unlock(&e->lock);
	return 0;
}

int nt_engine_set_filter(struct nt_engine *e, const struct nt_op *ops, uint32_t n_ops,
			 const uint8_t *data, uint32_t n_data)
{
	int err = n_ops ? nt_filter_check(ops, n_ops, data, n_data) : 0;

	if (err)
		return err;
	/* One byte more than asked: malloc(0) may be NULL. */
	struct nt_op *new_ops = malloc(n_ops * sizeof(*ops) + 1);
	uint8_t *new_data = malloc(n_data + 1UL);

	if (!new_ops || !new_data) {
		free(new_ops);
		free(new_data);
		return -ENOMEM;
	}
	if (n_ops)
		memcpy(new_ops, ops, n_ops * sizeof(*ops));
	if (n_data)
		memcpy(new_data, data, n_data);

	pthread_mutex_lock(&e->lock);
	free(e->ops);
	free(e->data);
	e->ops = new_ops;
	e->n_ops = n_ops;
	e->data = new_data;
	e->n_data = n_data;
	e->filter_needs_proc = nt_filter_reads_proc(ops, n_ops);
	e->filter_has_states = nt_filter_names_states(ops, n_ops);
	e->next_stale = true;
	e->next_whole = false;
	nt_rematch(e);
	pthread_mutex_unlock(&e->lock);
	return 0;
}

static int load_rec(struct nt_table *t, uint32_t i, const struct nt_rec *rec)
{
	struct nt_rec room, *at = nt_rec_take(t, i, &room);

	*at = *rec;
	return nt_rec_put(t, i, at);
}

int nt_load(struct nt_engine *e, const struct nt_row *rows, const struct nt_detail *details,
	    uint32_t n)
{
	int ret = 0;

	pthread_mutex_lock(&e->lock);
	free(e->loaded);
	e->loaded = calloc(n + 1UL, sizeof(*e->loaded));
	free(e->front.v);
	e->front = (struct nt_details){ 0 };
	if (details)
		e->front.v = calloc(n + 1UL, sizeof(*e->front.v));
	if (!e->loaded || (details && !e->front.v)) {
		pthread_mutex_unlock(&e->lock);
		return -ENOMEM;
	}
	for (uint32_t j = 0; j < n; j++) {
		bool fresh;
		uint32_t i = rows[j].rec.cookie ?
				     nt_table_upsert(&e->table, rows[j].rec.cookie, &fresh) :
				     NT_NONE;

		if (i == NT_NONE) {
			ret = -EINVAL;
			break;
		}
		struct nt_rec room = rows[j].rec, *rec = &room;

		e->loaded[j] = rows[j].proc;
		rec->loaded_proc = j + 1;
		rec->detail = rec->plane = 0;
		/* So that a name read from a file cannot point outside the table. */
		rec->cong_id = 0;
		if (details) {
			e->front.v[j] = details[j];
			e->front.v[j].cookie = rec->cookie;
			rec->detail = j + 1;
			struct nt_diag_view v = { .cong = details[j].cong,
						  .cong_len = (uint32_t)strnlen(
							  details[j].cong,
							  sizeof(details[j].cong)) };

			rec->cong_id = nt_cong_id(e, &v);
		}
		ret = load_rec(&e->table, i, rec);
		if (ret)
			break;
		const struct nt_plane *known = &rows[j].plane;

		if (known->has || known->wait.count) {
			struct nt_plane *plane = nt_plane_of(e, rec->cookie);

			if (plane) {
				*plane = *known;
				plane->has &= NT_P_WAIT | NT_P_UNREAD | NT_P_UNREAD_BOUND |
					      NT_P_TX | NT_P_WAIT_PROBE | NT_P_TX_PATH |
					      NT_P_WAIT_OCTAVES | NT_P_TX_OCTAVES | NT_P_SPLIT |
					      NT_P_UDP;
			}
		}
	}
	e->n_loaded = n;
	e->front.n = e->front.cap = details ? n : 0;
	e->next_whole = false;
	nt_rematch(e);
	pthread_mutex_unlock(&e->lock);
	return ret;
}

int nt_find(struct nt_engine *e, uint64_t cookie, struct nt_row *ret)
{
	pthread_mutex_lock(&e->lock);
	uint32_t i = nt_table_find(&e->table, cookie);

	if (i != NT_NONE) {
		nt_fill_row(e, i, ret);
	}
	pthread_mutex_unlock(&e->lock);
	return i != NT_NONE;
}

int nt_detail_of(struct nt_engine *e, uint64_t cookie, struct nt_detail *ret)
{
	struct nt_rec room;
	int found = 0;

	pthread_mutex_lock(&e->lock);
	uint32_t i = nt_table_find(&e->table, cookie);

	if (i != NT_NONE) {
		const struct nt_detail *d = nt_rec_detail(e, nt_rec_read(&e->table, i, &room));

		if (d) {
			*ret = *d;
			found = 1;
		}
	}
	pthread_mutex_unlock(&e->lock);
	return found;
}

const char *nt_cong_name(struct nt_engine *e, uint32_t cong_id)
{
	return cong_id < 256 ? e->cong_names[cong_id] : "";
}

uint64_t nt_engine_ms(struct nt_engine *e)
{
	pthread_mutex_lock(&e->lock);
	uint64_t ms = nt_ms_of(e, e->now_ns);

	pthread_mutex_unlock(&e->lock);
	return ms;
}

int nt_totals_now(struct nt_engine *e, struct nt_totals *ret)
{
	pthread_mutex_lock(&e->lock);
	*ret = e->last;
	pthread_mutex_unlock(&e->lock);
	return 0;
}

int nt_owners_changed(struct nt_engine *e)
{
	pthread_mutex_lock(&e->lock);
	if (e->filter_needs_proc)
		nt_rematch(e);
	pthread_mutex_unlock(&e->lock);
	return 0;
}

int nt_engine_owners(struct nt_engine *e, uint32_t inode, struct nt_proc *ret, uint32_t max)
{
	pthread_mutex_lock(&e->lock);
	int n = nt_owners_of(e, inode, ret, max);

	pthread_mutex_unlock(&e->lock);
	return n;
}
