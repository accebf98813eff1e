// SPDX-License-Identifier: MIT
/* The details of the last and of the running sweep: all that the kernel said of some sockets. */
#include <stdlib.h>
#include <string.h>

#include "nt_engine.h"

void nt_detail_fill(struct nt_detail *d, const struct nt_diag_view *v)
{
	uint32_t n = v->info_len > sizeof(d->info) ? sizeof(d->info) : v->info_len;

	memset(d, 0, sizeof(*d));
	d->cookie = v->cookie;
	d->info_len = (uint16_t)(v->info_len > UINT16_MAX ? UINT16_MAX : v->info_len);
	if (n)
		memcpy(d->info, v->info, n);
	d->skmem_len = v->skmem_len;
	if (v->skmem_len)
		memcpy(d->skmem, v->skmem, v->skmem_len);
	d->meminfo_len = v->meminfo_len;
	if (v->meminfo_len)
		memcpy(d->meminfo, v->meminfo, v->meminfo_len);
	d->cong_info_type = v->cong_info_type;
	d->cong_info_len = v->cong_info_len;
	if (v->cong_info_len)
		memcpy(d->cong_info, v->cong_info, v->cong_info_len);
	d->tos = v->tos;
	d->tclass = v->tclass;
	d->shutdown = v->shutdown;
	d->v6only = v->v6only;
	d->has = v->has;
	d->mark = v->mark;
	d->class_id = v->class_id;
	d->sockopt = v->sockopt;
	if (v->ulp)
		memcpy(d->ulp, v->ulp,
		       strnlen((const char *)v->ulp, v->ulp_len > 5 ? 5 : v->ulp_len));
	if (v->cong)
		memcpy(d->cong, v->cong, v->cong_len > 15 ? 15 : v->cong_len);
}

struct nt_detail *nt_detail_new(struct nt_engine *e)
{
	struct nt_details *d = &e->back;

	if (d->n >= e->config.detail_max)
		return NULL;
	if (d->n == d->cap) {
		uint32_t cap = d->cap ? d->cap * 2 : 256;
		struct nt_detail *v = realloc(d->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		d->v = v;
		d->cap = cap;
	}
	return &d->v[d->n++];
}

const struct nt_detail *nt_rec_detail(const struct nt_engine *e, const struct nt_rec *rec)
{
	uint32_t i = rec->detail - 1;

	if (!rec->detail)
		return NULL;
	if (i < e->back.n && e->back.v[i].cookie == rec->cookie)
		return &e->back.v[i];
	if (i < e->front.n && e->front.v[i].cookie == rec->cookie)
		return &e->front.v[i];
	return NULL;
}
