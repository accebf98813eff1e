// SPDX-License-Identifier: MIT
/* What the kernel's BTF says of tracepoints' arguments and of the names of reasons. */
#ifdef NT_WITH_BPF

#include "nt_api.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nt_events_host.h"

static int add(struct ev_names *names, uint32_t value, const char *name)
{
	struct ev_name *bigger = realloc(names->v, (names->n + 1) * sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	names->v = bigger;
	names->v[names->n].name = strdup(name);
	if (!names->v[names->n].name)
		return -ENOMEM;
	names->v[names->n++].value = value;
	return 0;
}

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && !strcmp(name + n - m, end);
}

/* The enumerators, without their common prefix; those that only mark an end are left out. */
static int add_enum(struct ev_names *names, const struct btf *btf, const struct btf_type *t,
		    const char *prefix)
{
	const struct btf_enum *e = btf_enum(t);

	for (uint16_t i = 0; i < btf_vlen(t); i++, e++) {
		const char *name = btf__name_by_offset(btf, e->name_off);
		int err;

		if (!name || ends_with(name, "_MAX") || ends_with(name, "_MASK"))
			continue;
		if (!strncmp(name, prefix, strlen(prefix)))
			name += strlen(prefix);
		err = add(names, (uint32_t)e->val, name);
		if (err)
			return err;
	}
	return 0;
}

static const char *const modules[] = { "mac80211", "openvswitch" };

/* Enums of reasons that begin at a type; subsystems have their own, in vmlinux or in a module. */
static int read_enums(struct ev_kernel *k, const struct btf *btf, uint32_t from)
{
	uint32_t n = btf__type_cnt(btf);
	int err = 0;

	for (uint32_t id = from; id < n && !err; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);

		if (!btf_is_enum(t))
			continue;
		const char *name = btf__name_by_offset(btf, t->name_off);

		if (!strcmp(name, "sk_rst_reason"))
			err = add_enum(&k->resets, btf, t, "SK_RST_REASON_");
		else if (!strcmp(name, "ovs_drop_reason"))
			err = add_enum(&k->drops, btf, t, "OVS_DROP_");
		else if (ends_with(name, "_drop_reason"))
			err = add_enum(&k->drops, btf, t, "SKB_DROP_REASON_");
	}
	return err;
}

static void read_args(struct ev_kernel *k, const struct btf *btf)
{
	uint32_t n = btf__type_cnt(btf);

	for (int i = 0; i < EV_PROGRAMS; i++)
		k->args[i] = -1;
	for (uint32_t id = 1; id < n; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		const char *name;

		if (!btf_is_typedef(t))
			continue;
		name = btf__name_by_offset(btf, t->name_off);
		if (strncmp(name, "btf_trace_", 10))
			continue;
		t = btf__type_by_id(btf, t->type);
		if (t && btf_is_ptr(t))
			t = btf__type_by_id(btf, t->type);
		if (!t || !btf_is_func_proto(t))
			continue;
		for (int i = 0; i < EV_PROGRAMS; i++)
			if (!strcmp(name + 10, nt_ev_programs[i].tracepoint))
				k->args[i] = btf_vlen(t) - 1; /* the first is the program's own */
	}
}

int nt_ev_kernel(struct ev_kernel *ret)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int err;

	memset(ret, 0, sizeof(*ret));
	if (!btf)
		return -errno;
	read_args(ret, btf);
	err = read_enums(ret, btf, 1);
	for (uint32_t i = 0; i < sizeof(modules) / sizeof(*modules) && !err; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/sys/kernel/btf/%s", modules[i]);
		if (access(path, R_OK))
			continue;
		struct btf *module = btf__load_module_btf(modules[i], btf);

		if (!module)
			continue;
		err = read_enums(ret, module, btf__type_cnt(btf));
		btf__free(module);
	}
	btf__free(btf);
	return err;
}

void nt_ev_kernel_free(struct ev_kernel *k)
{
	struct ev_names *both[] = { &k->drops, &k->resets };

	for (int i = 0; i < 2; i++) {
		for (uint32_t j = 0; j < both[i]->n; j++)
			free(both[i]->v[j].name);
		free(both[i]->v);
	}
}

void nt_ev_name(const struct ev_names *names, uint32_t value, char *ret, size_t n)
{
	for (uint32_t i = 0; i < names->n; i++)
		if (names->v[i].value == value) {
			snprintf(ret, n, "%s", names->v[i].name);
			return;
		}
}

#endif
