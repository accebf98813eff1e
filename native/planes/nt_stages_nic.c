// SPDX-License-Identifier: MIT
/*
 * The nic stage: NICs' stamps of sends come through a ring in the NIC's own time, user space says
 * what they are in the system's, and the next read hands them over with the kernel's stages.
 */
#include "nt_api.h"

#include <errno.h>
#include <string.h>

#ifndef NT_WITH_BPF

int nt_stages_nics(struct nt_stages *s, struct nt_stages_nic *ret, uint32_t max)
{
	(void)s, (void)ret, (void)max;
	return -ENOTSUP;
}

int nt_stages_place(struct nt_stages *s, const struct nt_stages_placed *v, uint32_t n)
{
	(void)s, (void)v, (void)n;
	return -ENOTSUP;
}

#else

#include <stdlib.h>

#include "nt_bpf.h"
#include "nt_stages_host.h"

#define STOP 1

/* One stamp of the ring; it stops once there is no room for another. */
static int take(void *ctx, void *data, size_t size)
{
	struct nt_stages *s = ctx;
	const struct nt_tx_nic *n = data;

	if (size >= sizeof(*n))
		*s->nic_to++ = (struct nt_stages_nic){
			.cookie = n->cookie,
			.left_ns = n->left_ns + (uint64_t)nt_timens_ns(),
			.hw_ns = n->hw_ns,
			.ifindex = n->ifindex,
			.netns = n->netns,
		};
	return s->nic_to == s->nic_end ? -STOP : 0;
}

int nt_tx_nics_open(struct nt_stages *s)
{
	s->nics = ring_buffer__new(bpf_map__fd(s->skel->maps.nics), take, s, NULL);
	return s->nics ? 0 : -errno;
}

int nt_stages_nics(struct nt_stages *s, struct nt_stages_nic *ret, uint32_t max)
{
	if (!s->nics || !max)
		return 0;
	pthread_mutex_lock(&s->lock);
	s->nic_to = ret;
	s->nic_end = ret + max;
	int err = ring_buffer__consume(s->nics);
	int n = (int)(s->nic_to - ret);

	pthread_mutex_unlock(&s->lock);
	return err < 0 && err != -STOP ? err : n;
}

int nt_stages_place(struct nt_stages *s, const struct nt_stages_placed *v, uint32_t n)
{
	int err = 0;

	pthread_mutex_lock(&s->lock);
	struct nt_stages_placed *placed = realloc(s->placed, (n + 1UL) * sizeof(*placed));

	if (placed) {
		s->placed = placed;
		memcpy(placed, v, n * sizeof(*v));
	} else {
		err = -ENOMEM;
	}
	s->n_placed = err ? 0 : n;
	pthread_mutex_unlock(&s->lock);
	return err;
}

#endif
