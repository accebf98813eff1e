// SPDX-License-Identifier: MIT
/* Shared by the hosts of the BPF planes: reasons, iterators. */
#ifdef NT_WITH_BPF

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nt_api.h"
#include "nt_bpf.h"
#include "nt_engine.h"

#define READ_BYTES 65536U

#define TYPES "/sys/kernel/btf/vmlinux"
#define LOG_BYTES (1U << 18)

/* libbpf's warnings, with the verifier's log of a program that was refused: process-wide, as its
 * print function is. */
static struct {
	pthread_mutex_t lock;
	char *text;
	uint32_t n;
} words = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level != LIBBPF_WARN)
		return 0;
	pthread_mutex_lock(&words.lock);
	if (!words.text)
		words.text = malloc(LOG_BYTES);
	int n = words.text ? vsnprintf(words.text + words.n, LOG_BYTES - words.n, format, args) : 0;

	/* What does not fit is cut: the first refusal says most. */
	if (n > 0)
		words.n = words.n + (uint32_t)n < LOG_BYTES ? words.n + (uint32_t)n : LOG_BYTES - 1;
	pthread_mutex_unlock(&words.lock);
	return 0;
}

void nt_bpf_quiet(void)
{
	libbpf_set_print(keep_words);
}

uint32_t nt_bpf_log(char *ret, uint32_t max)
{
	pthread_mutex_lock(&words.lock);
	uint32_t n = words.n;

	if (n && max)
		memcpy(ret, words.text, n < max ? n : max);
	pthread_mutex_unlock(&words.lock);
	return n;
}

static struct nt_bpf_kernel kernel;

static void look_at_kernel(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int err = btf ? 0 : -errno;
	const struct {
		bool *has;
		const char *name;
		uint32_t kind;
	} asked[] = {
		{ &kernel.keeps_records, "bpf_sk_storage_get_tracing", BTF_KIND_FUNC },
		{ &kernel.tells_ready, "btf_trace_sk_data_ready", BTF_KIND_TYPEDEF },
		{ &kernel.stamps, "bpf_sock_ops_enable_tx_tstamp", BTF_KIND_FUNC },
		{ &kernel.tells_sends, "btf_trace_tcp_sendmsg_locked", BTF_KIND_TYPEDEF },
	};

	for (uint32_t i = 0; i < sizeof(asked) / sizeof(*asked); i++)
		*asked[i].has = btf &&
				btf__find_by_name_kind(btf, asked[i].name, asked[i].kind) > 0;
	btf__free(btf);
	kernel.unread = err;
}

const struct nt_bpf_kernel *nt_bpf_kernel(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool looked;

	pthread_mutex_lock(&lock);
	/* For want of memory or descriptors it may fail once. */
	if (!looked || kernel.unread)
		look_at_kernel();
	looked = true;
	pthread_mutex_unlock(&lock);
	return &kernel;
}

void nt_bpf_reason(int err, const char *what, char *why, uint32_t n)
{
	if (access("/sys/kernel", F_OK))
		snprintf(why, n, "/sys is not mounted here, where the kernel's BTF is read");
	else if (access("/sys/kernel/btf", F_OK))
		snprintf(why, n, "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)");
	else if (err == -EPERM || err == -EACCES)
		snprintf(why, n, "needs CAP_BPF and CAP_PERFMON");
	else if (access(TYPES, R_OK))
		snprintf(why, n, TYPES " cannot be read: %s", strerror(errno));
	else if (nt_bpf_kernel()->unread == -ESRCH) /* libbpf found nothing that it can read */
		snprintf(why, n, TYPES " cannot be read: it is no BTF");
	else if (nt_bpf_kernel()->unread)
		snprintf(why, n, TYPES " cannot be read: %s", strerror(-nt_bpf_kernel()->unread));
	else if (!nt_bpf_kernel()->keeps_records)
		snprintf(why, n,
			 "tracepoints keep no records of sockets on this kernel (Linux 5.11)");
	else if (err == -ENOENT || err == -ESRCH)
		snprintf(why, n, "this kernel lacks what %s needs", what);
	else
		snprintf(why, n, "%s: the kernel refused: %s", what, strerror(-err));
}

int nt_bpf_stats_open(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	return fd < 0 ? -errno : fd;
}

int nt_bpf_programs(const struct bpf_object *object, struct nt_prog *ret, uint32_t max)
{
	struct bpf_program *program;
	uint32_t n = 0;

	bpf_object__for_each_program(program, object)
	{
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);
		int fd = bpf_program__fd(program);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
			continue;
		if (n < max) {
			ret[n].runs = info.run_cnt;
			ret[n].time_ns = info.run_time_ns;
			memcpy(ret[n].name, info.name, sizeof(ret[n].name));
		}
		n++;
	}
	return (int)n;
}

static int64_t timens_ns;

static void read_timens(void)
{
	FILE *f = fopen("/proc/self/timens_offsets", "re");
	int64_t s = 0, ns = 0;

	if (!f)
		return; /* before Linux 5.6 there is one time for all */
	if (fscanf(f, "monotonic %" SCNd64 " %" SCNd64, &s, &ns) == 2)
		timens_ns = s * 1000000000LL + ns;
	fclose(f);
}

int64_t nt_timens_ns(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_timens);
	return timens_ns;
}

uint64_t nt_ktime_ns(void)
{
	return nt_clock_ns(CLOCK_MONOTONIC) - (uint64_t)nt_timens_ns();
}

int nt_bpf_cpus(void)
{
	return libbpf_num_possible_cpus();
}

int nt_bpf_iter_read(int link_fd, uint8_t **buf, uint32_t *n, uint32_t *cap)
{
	int fd = bpf_iter_create(link_fd), ret = 0;

	*n = 0;
	if (fd < 0)
		return -errno;
	for (;;) {
		if (*cap - *n < READ_BYTES) {
			uint32_t bigger = *cap ? *cap * 2 : 4 * READ_BYTES;
			uint8_t *p = realloc(*buf, bigger);

			if (!p) {
				ret = -ENOMEM;
				break;
			}
			*buf = p;
			*cap = bigger;
		}
		ssize_t got = read(fd, *buf + *n, READ_BYTES);

		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			ret = -errno;
		if (got <= 0)
			break;
		*n += (uint32_t)got;
	}
	close(fd);
	return ret;
}

struct bpf_link *nt_bpf_iter_over(const struct bpf_program *program, const struct bpf_map *map)
{
	union bpf_iter_link_info info = { .map.map_fd = (uint32_t)bpf_map__fd(map) };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	return bpf_program__attach_iter(program, &opts);
}

static atomic_bool by_files;

bool nt_bpf_by_files(void)
{
	return by_files;
}

bool nt_bpf_try_files(int err)
{
	bool again = err == -EPERM && !by_files;

	by_files = again || (by_files && !err);
	return again;
}

int nt_bpf_by_cookie(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

void nt_bpf_once_each(uint8_t *buf, uint32_t *n, uint32_t size)
{
	uint32_t kept = 0;

	if (*n)
		qsort(buf, *n / size, size, nt_bpf_by_cookie);
	for (uint32_t at = 0; at + size <= *n; at += size) {
		if (kept && !nt_bpf_by_cookie(buf + kept - size, buf + at))
			continue;
		memmove(buf + kept, buf + at, size);
		kept += size;
	}
	*n = kept;
}

/* Takes keys that are none of these out of the map; how many, at most 64. */
static uint32_t forget_spaces(int map, const uint32_t *netns, uint32_t n)
{
	uint32_t keys[64], key, *before = NULL, gone = 0;

	while (gone < 64 && !bpf_map_get_next_key(map, before, &key)) {
		uint32_t i = 0;

		while (i < n && netns[i] != key)
			i++;
		if (i == n)
			keys[gone++] = key;
		before = &key;
	}
	for (uint32_t i = 0; i < gone; i++)
		bpf_map_delete_elem(map, &keys[i]);
	return gone;
}

int nt_bpf_spaces(int map, const uint32_t *netns, uint32_t n)
{
	uint8_t yes = 1;

	while (forget_spaces(map, netns, n))
		;
	for (uint32_t i = 0; i < n; i++)
		if (bpf_map_update_elem(map, &netns[i], &yes, BPF_ANY))
			return -errno;
	return 0;
}

struct walk {
	int link_fd, ns_fd, ret;
	uint32_t *numbers, n, max;
};

/* In a thread of its own: the network namespace belongs to a thread. */
static void *walk_in(void *arg)
{
	struct walk *w = arg;
	uint32_t drain[1024];
	ssize_t got;

	if (w->ns_fd >= 0 && setns(w->ns_fd, CLONE_NEWNET)) {
		w->ret = -errno;
		return NULL;
	}
	int fd = bpf_iter_create(w->link_fd);

	if (fd < 0) {
		w->ret = -errno;
		return NULL;
	}
	while ((got = read(fd, drain, sizeof(drain))) > 0 || (got < 0 && errno == EINTR))
		for (ssize_t i = 0; w->numbers && i < got / (ssize_t)sizeof(*drain); i++, w->n++)
			if (w->n < w->max)
				w->numbers[w->n] = drain[i];
	w->ret = got < 0 ? -errno : 0;
	close(fd);
	return NULL;
}

static int run(struct walk *w)
{
	pthread_t thread;

	if (w->ns_fd < 0) {
		walk_in(w);
		return w->ret;
	}
	int err = pthread_create(&thread, NULL, walk_in, w);

	if (err)
		return -err;
	pthread_join(thread, NULL);
	return w->ret;
}

int nt_bpf_iter_run(int link_fd, int ns_fd)
{
	struct walk w = { .link_fd = link_fd, .ns_fd = ns_fd };

	return run(&w);
}

int nt_bpf_iter_numbers(int link_fd, int ns_fd, uint32_t *ret, uint32_t max)
{
	struct walk w = { .link_fd = link_fd, .ns_fd = ns_fd, .numbers = ret, .max = max };
	int err = run(&w);

	return err ? err : (int)w.n;
}

#else

#include "nt_api.h"

#include <errno.h>

int nt_bpf_stats_open(void)
{
	return -ENOTSUP;
}

uint32_t nt_bpf_log(char *ret, uint32_t max)
{
	(void)ret, (void)max;
	return 0;
}

#endif
