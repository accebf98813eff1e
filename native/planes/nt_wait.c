// SPDX-License-Identifier: MIT
/* The wait plane's host: loads the programs, chooses what they look at. */
#include "nt_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef NT_WITH_BPF

int nt_wait_open(int method, int confined, struct nt_wait **ret, char *why, uint32_t n_why)
{
	(void)method, (void)confined;
	*ret = NULL;
	snprintf(why, n_why, "nettop was built without BPF");
	return -ENOTSUP;
}

int nt_wait_programs(struct nt_wait *w, struct nt_prog *ret, uint32_t max)
{
	(void)w, (void)ret, (void)max;
	return -ENOTSUP;
}

void nt_wait_close(struct nt_wait *w)
{
	(void)w;
}

int nt_wait_by_files(const struct nt_wait *w)
{
	(void)w;
	return 0;
}

int nt_wait_spaces(struct nt_wait *w, const uint32_t *netns, uint32_t n)
{
	(void)w, (void)netns, (void)n;
	return -ENOTSUP;
}

int nt_wait_seed(struct nt_wait *w, int ns_fd)
{
	(void)w, (void)ns_fd;
	return -ENOTSUP;
}

int nt_wait_kernel_sockets(struct nt_wait *w, int ns_fd, uint32_t *inodes, uint32_t max)
{
	(void)w, (void)ns_fd, (void)inodes, (void)max;
	return -ENOTSUP;
}

int nt_wait_sample(struct nt_wait *w, uint32_t shift)
{
	(void)w, (void)shift;
	return -ENOTSUP;
}

int nt_wait_focus(struct nt_wait *w, const uint64_t *cookies, uint32_t n)
{
	(void)w, (void)cookies, (void)n;
	return -ENOTSUP;
}

int nt_wait_read(struct nt_wait *w, struct nt_engine *e, struct nt_wait_totals *ret)
{
	(void)w, (void)e, (void)ret;
	return -ENOTSUP;
}

#else

#include "nt_bpf.h"
#include "nt_wait_host.h"

/* Which programs are loaded beside those of the method. */
struct parts {
	bool functions; /* UDP's own, not the tracepoints that TCP passes too */
	bool kernel;
	bool split;
};

static int load(struct nt_wait *w, int method, int confined, struct parts with)
{
	bool exact = method == NT_WAIT_EXACT;

	wait_bpf__destroy(w->skel);
	w->skel = wait_bpf__open();
	if (!w->skel)
		return -errno;
	bpf_program__set_autoload(w->skel->progs.wait_ready, exact);
	bpf_program__set_autoload(w->skel->progs.wait_udp_taken, exact && !with.functions);
	bpf_program__set_autoload(w->skel->progs.wait_udp_sent, exact && !with.functions);
	bpf_program__set_autoload(w->skel->progs.wait_udp_sent_4, exact && with.functions);
	bpf_program__set_autoload(w->skel->progs.wait_udp_sent_6, exact && with.functions);
	bpf_program__set_autoload(w->skel->progs.wait_readable, method == NT_WAIT_FENTRY);
	bpf_program__set_autoload(w->skel->progs.wait_udp_consumed,
				  exact ? with.functions : method == NT_WAIT_FENTRY);
	bpf_program__set_autoload(w->skel->progs.wait_probe, method == NT_WAIT_PROBE);
	bpf_program__set_autoload(w->skel->progs.wait_kernel_tcp, with.kernel);
	bpf_program__set_autoload(w->skel->progs.wait_kernel_udp, with.kernel);
	bpf_program__set_autoload(w->skel->progs.wait_read, !w->by_files);
	bpf_program__set_autoload(w->skel->progs.wait_read_files, w->by_files);
	bpf_program__set_autoload(w->skel->progs.split_udp_taken, with.split && with.functions);
	bpf_program__set_autoload(w->skel->progs.split_waking, with.split);
	bpf_program__set_autoload(w->skel->progs.split_switch, with.split);
	w->skel->rodata->can_split = with.split;
	w->skel->bss->some_spaces = confined != 0;
	return wait_bpf__load(w->skel);
}

static int attach(struct nt_wait *w)
{
	struct {
		struct bpf_program *program;
		struct bpf_link **link;
	} parts[] = {
		{ w->skel->progs.wait_ready, &w->skel->links.wait_ready },
		{ w->skel->progs.wait_readable, &w->skel->links.wait_readable },
		{ w->skel->progs.wait_udp_consumed, &w->skel->links.wait_udp_consumed },
		{ w->skel->progs.wait_probe, &w->skel->links.wait_probe },
		{ w->skel->progs.wait_tcp_taken, &w->skel->links.wait_tcp_taken },
		{ w->skel->progs.wait_udp_taken, &w->skel->links.wait_udp_taken },
		{ w->skel->progs.wait_udp_sent, &w->skel->links.wait_udp_sent },
		{ w->skel->progs.wait_udp_sent_4, &w->skel->links.wait_udp_sent_4 },
		{ w->skel->progs.wait_udp_sent_6, &w->skel->links.wait_udp_sent_6 },
		{ w->skel->progs.wait_seed, &w->skel->links.wait_seed },
		{ w->skel->progs.wait_kernel_tcp, &w->skel->links.wait_kernel_tcp },
		{ w->skel->progs.wait_kernel_udp, &w->skel->links.wait_kernel_udp },
		{ w->skel->progs.wait_read_files, &w->skel->links.wait_read_files },
	};
	for (uint32_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (!bpf_program__autoload(parts[i].program))
			continue;
		*parts[i].link = bpf_program__attach(parts[i].program);
		if (!*parts[i].link)
			return -errno;
	}
	if (w->by_files)
		return 0;
	w->skel->links.wait_read = nt_bpf_iter_over(w->skel->progs.wait_read,
						    w->skel->maps.sockets);
	return w->skel->links.wait_read ? 0 : -errno;
}

static int load_and_attach(struct nt_wait *w, int method, int confined, bool functions)
{
	int err = -ENOTSUP;

	/*
	 * What waits are spent on, and which sockets are the kernel's own, is no part of the wait: it
	 * goes without.
	 */
	w->split_err = -ENOTSUP;
	if (method == NT_WAIT_EXACT)
		err = w->split_err = load(w, method, confined,
					  (struct parts){ functions, true, true });
	if (err && err != -EPERM && !functions)
		err = load(w, method, confined, (struct parts){ .kernel = true });
	if (err && err != -EPERM && !functions)
		err = load(w, method, confined, (struct parts){ 0 });
	if (err)
		return err;
	w->skel->bss->attached_ns = nt_ktime_ns();
	return attach(w);
}

int nt_wait_open(int method, int confined, struct nt_wait **ret, char *why, uint32_t n_why)
{
	struct nt_wait *w = calloc(1, sizeof(*w));
	int err = -ENOMEM;

	*ret = NULL;
	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);
	nt_bpf_quiet();
	w->n_cpus = nt_bpf_cpus();
	if (w->n_cpus > 0)
		w->cpus = calloc((size_t)w->n_cpus, sizeof(*w->cpus));
	if (!w->cpus)
		goto fail;
	err = nt_bpf_kernel()->unread ? nt_bpf_kernel()->unread : -ESRCH;
	if (method == NT_WAIT_EXACT && !nt_bpf_kernel()->tells_ready)
		goto fail;
	bool functions = method == NT_WAIT_EXACT &&
			 libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_TRACING, NULL) == 1;

	do {
		w->by_files = nt_bpf_by_files();
		err = functions ? load_and_attach(w, method, confined, true) : -ENOTSUP;
		if (err && (err != -EPERM || w->by_files))
			err = load_and_attach(w, method, confined, false);
	} while (nt_bpf_try_files(err));
	if (err)
		goto fail;
	w->probe = method == NT_WAIT_PROBE;
	w->exact = method == NT_WAIT_EXACT;
	*ret = w;
	return 0;
fail:
	nt_bpf_reason(err, "the RX wait (sk_data_ready and sock_recv_length, Linux 6.3)", why,
		      n_why);
	nt_wait_close(w);
	return err ? err : -EIO;
}

int nt_wait_by_files(const struct nt_wait *w)
{
	return w->by_files;
}

int nt_wait_records_fd(const struct nt_wait *w)
{
	return bpf_map__fd(w->skel->maps.sockets);
}

int nt_wait_programs(struct nt_wait *w, struct nt_prog *ret, uint32_t max)
{
	return nt_bpf_programs(w->skel->obj, ret, max);
}

void nt_wait_close(struct nt_wait *w)
{
	if (!w)
		return;
	wait_bpf__destroy(w->skel);
	free(w->focused.v);
	free(w->ports.v);
	free(w->cpus);
	free(w->buf);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

int nt_wait_spaces(struct nt_wait *w, const uint32_t *netns, uint32_t n)
{
	pthread_mutex_lock(&w->lock);
	int err = nt_bpf_spaces(bpf_map__fd(w->skel->maps.spaces), netns, n);

	if (!err) {
		w->skel->bss->some_spaces = n > 0;
		w->skel->bss->round++;
	}
	pthread_mutex_unlock(&w->lock);
	return err;
}

int nt_wait_seed(struct nt_wait *w, int ns_fd)
{
	return nt_bpf_iter_run(bpf_link__fd(w->skel->links.wait_seed), ns_fd);
}

int nt_wait_kernel_sockets(struct nt_wait *w, int ns_fd, uint32_t *inodes, uint32_t max)
{
	if (!w->skel->links.wait_kernel_tcp || !w->skel->links.wait_kernel_udp)
		return -ENOTSUP;
	int tcp = nt_bpf_iter_numbers(bpf_link__fd(w->skel->links.wait_kernel_tcp), ns_fd, inodes,
				      max);

	if (tcp < 0)
		return tcp;
	uint32_t at = (uint32_t)tcp < max ? (uint32_t)tcp : max;
	int udp = nt_bpf_iter_numbers(bpf_link__fd(w->skel->links.wait_kernel_udp), ns_fd,
				      inodes + at, max - at);

	return udp < 0 ? udp : tcp + udp;
}

int nt_wait_sample(struct nt_wait *w, uint32_t shift)
{
	if (shift > SAMPLE_SHIFT_MAX)
		return -EINVAL;
	/* Of sockets that are traced again nothing earlier is known. */
	if (shift < w->skel->bss->sample_shift)
		w->skel->bss->attached_ns = nt_ktime_ns();
	w->skel->bss->sample_shift = shift;
	w->partial |= shift > 0;
	return 0;
}

static void set_focus_bit(struct nt_wait *w, uint64_t cookie, uint64_t *bits)
{
	uint32_t bit = (uint32_t)(nt_wait_mix(cookie) >> 51);

	(void)w;
	bits[bit / 64] |= 1ULL << bit % 64;
}

int nt_wait_focus(struct nt_wait *w, const uint64_t *cookies, uint32_t n)
{
	static const struct nt_wait_fine empty;
	uint64_t wanted[NT_FOCUS_MAX], bits[NT_FOCUS_BITS / 64] = { 0 };
	int map = bpf_map__fd(w->skel->maps.focus);
	uint32_t kept = 0;

	pthread_mutex_lock(&w->lock);
	w->focus_full = n > NT_FOCUS_MAX ? n - NT_FOCUS_MAX : 0;
	n -= w->focus_full;
	memcpy(wanted, cookies, n * sizeof(*wanted));
	qsort(wanted, n, sizeof(*wanted), nt_bpf_by_cookie);
	for (uint32_t i = 0; i < w->n_focus; i++) {
		if (bsearch(&w->focus[i], wanted, n, sizeof(*wanted), nt_bpf_by_cookie))
			w->focus[kept++] = w->focus[i];
		else
			bpf_map_delete_elem(map, &w->focus[i]);
	}
	w->n_focus = kept;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t j = 0;

		if (i && wanted[i] == wanted[i - 1])
			continue;
		while (j < kept && w->focus[j] != wanted[i])
			j++;
		if (j == kept) {
			if (bpf_map_update_elem(map, &wanted[i], &empty, BPF_ANY)) {
				w->focus_full++;
				continue;
			}
			w->focus[w->n_focus++] = wanted[i];
		}
		set_focus_bit(w, wanted[i], bits);
	}
	for (uint32_t i = 0; i < NT_FOCUS_BITS / 64; i++)
		w->skel->bss->focus_bits[i] = bits[i];
	pthread_mutex_unlock(&w->lock);
	return 0;
}

#endif
