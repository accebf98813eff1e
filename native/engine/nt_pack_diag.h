/* SPDX-License-Identifier: MIT */
/*
 * Dumps packed against the dump before: sockets come in the order of the kernel's hash tables,
 * which is the same each time, so that most of a dump is "the next n are as they were".
 */
#ifndef NT_PACK_DIAG_H
#define NT_PACK_DIAG_H

#include "nt_bytes.h"
#include "nt_sections.h"

/* One netlink message of a dump. */
struct nt_message {
	uint64_t cookie;  /* 0: not a socket's */
	uint32_t at, n;	  /* its bytes in nt_dump.v */
	uint16_t info_at; /* of tcp_info within it; 0 none */
};

/* The messages of one dump in the order in which the kernel sent them. */
struct nt_dump {
	uint32_t netns, arg; /* as in struct nt_section */
	uint8_t *v;
	size_t n, cap;
	struct nt_message *m;
	uint32_t n_m, cap_m;
	uint32_t *index; /* by cookie: 1 + message; made when it is needed */
	uint32_t index_mask;
	bool indexed;
};

/* One read: when, and how many of the dump's messages it held. */
struct nt_read {
	uint64_t at_ns;
	uint32_t messages;
};

void nt_dump_deinit(struct nt_dump *d);
void nt_dump_clear(struct nt_dump *d);
/*
 * The messages of now become those of before, whose room now gets; few of them are copied, so that
 * the room of the largest dump does not go round among all. Returns 0 or -ENOMEM.
 */
int nt_dump_take(struct nt_dump *before, struct nt_dump *now);
/* The messages of one read; the number of the dump is not kept. Returns how many, or -ENOMEM. */
int nt_dump_add(struct nt_dump *d, const uint8_t *bytes, uint32_t n);
/* now against before. */
void nt_dump_pack(const struct nt_dump *now, struct nt_dump *before, const struct nt_read *reads,
		  uint32_t n_reads, struct nt_out *out);
/* The inverse; writes one section a read. Returns 0, -EPROTO or -ENOMEM. */
int nt_dump_unpack(struct nt_dump *now, const struct nt_dump *before, struct nt_in *in,
		   uint64_t at_ns, uint64_t most, struct nt_sections *ret);

#endif
