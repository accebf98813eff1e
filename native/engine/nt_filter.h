/* SPDX-License-Identifier: MIT */
/* Filter programs over one row: checked once, then evaluated on every socket of every poll. */
#ifndef NT_FILTER_H
#define NT_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "nt_wire.h"

struct nt_engine;

/* What is known of one socket while its message is at hand. */
struct nt_filter_view {
	const struct nt_rec *rec;
	const struct nt_proc *proc;   /* NULL: not looked up */
	const struct nt_plane *plane; /* NULL: no BPF plane knows it */
	const uint8_t *info;	      /* tcp_info as sent */
	uint32_t info_len;
	const uint32_t *skmem;
	uint32_t skmem_words;
	const char *cong;	  /* NUL-terminated, or NULL */
	struct nt_engine *engine; /* for further owners; NULL: only proc counts */
};

/* 0, or -EINVAL for a program that eval must not be given. */
int nt_filter_check(const struct nt_op *ops, uint32_t n, const uint8_t *data, uint32_t n_data);
/* Whether it asks who holds a socket. */
bool nt_filter_reads_proc(const struct nt_op *ops, uint32_t n);
/* Whether it names states of TCP. */
bool nt_filter_names_states(const struct nt_op *ops, uint32_t n);
int nt_filter_eval(const struct nt_op *ops, uint32_t n, const uint8_t *data, uint32_t n_data,
		   const struct nt_filter_view *view);
/* 1 and the number in the field's base unit, 0 if it is unknown. */
int nt_term_value(const struct nt_term *n, const struct nt_filter_view *view, double *ret);
/* The same of a whole number that stands alone, as it is stored. */
int nt_term_whole(const struct nt_term *n, const struct nt_filter_view *view, uint64_t *ret);
/* Whether it is made of something that lies there (enum nt_base). */
bool nt_term_reads(const struct nt_term *n, uint8_t base);

#endif
