/* SPDX-License-Identifier: MIT */
/* Who held sockets by a recording: the process table of an engine that has none of its own. */
#ifndef NT_HOLDERS_H
#define NT_HOLDERS_H

#include "nt_engine.h"

#define NT_HOLDER_PROCS 8

/* A record of NT_S_OWNERS: the answers of a process table about one inode. */
struct nt_holder {
	uint64_t inode; /* 0: none */
	uint32_t n;	/* how many hold it; all[] has at most NT_HOLDER_PROCS of them */
	uint32_t pad;
	struct nt_proc first; /* n 0: owner says why no holder is known */
	struct nt_proc all[NT_HOLDER_PROCS];
};

const struct nt_holder *nt_holders_find(const struct nt_holders *h, uint64_t inode);
int nt_holders_apply(struct nt_engine *e, const struct nt_section *s, const uint8_t *body);
/*
 * Asks the process table about an inode (0: nothing) and keeps the answer if it is another than
 * before, or always.
 */
int nt_holders_ask(struct nt_engine *e, uint32_t inode, bool always);
/* Makes the answers that were kept a section. */
void nt_holders_flush(struct nt_engine *e, enum nt_section_kind kind);
void nt_holders_deinit(struct nt_holders *h);
/* The same for another engine, until one of the two notes something new. */
int nt_holders_share(struct nt_holders *h, struct nt_holders *ret);

#endif
