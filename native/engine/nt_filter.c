// SPDX-License-Identifier: MIT
#include "nt_engine.h"
#include "nt_filter.h"

#include <errno.h>
#include <string.h>

#include "nt_api.h"

#define MAX_DEPTH 64
#define MAX_OWNERS 64

static const uint8_t *base_of(const struct nt_operand *o, const struct nt_filter_view *v,
			      uint32_t *size)
{
	switch (o->base) {
	case NT_BASE_REC:
		*size = sizeof(*v->rec);
		return (const uint8_t *)v->rec;
	case NT_BASE_INFO:
		*size = v->info_len;
		return v->info;
	case NT_BASE_SKMEM:
		*size = v->skmem_words * 4;
		return (const uint8_t *)v->skmem;
	case NT_BASE_PROC:
		*size = sizeof(*v->proc);
		return (const uint8_t *)v->proc;
	case NT_BASE_PLANE:
		*size = sizeof(*v->plane);
		return (const uint8_t *)v->plane;
	default:
		*size = 0;
		return NULL;
	}
}

static uint32_t width_of(uint8_t type)
{
	switch (type) {
	case NT_U8:
	case NT_BIT:
		return 1;
	case NT_U16:
		return 2;
	case NT_U32:
	case NT_F32:
		return 4;
	default:
		return 8;
	}
}

/* The stored number: 1 and its bits (a float's value in *real), 0 if it is unknown. */
static int raw_value(const struct nt_operand *o, const struct nt_filter_view *v, uint64_t *bits,
		     float *real)
{
	const struct nt_rec *rec = v->rec;
	uint32_t size, width = width_of(o->type);
	const uint8_t *p = base_of(o, v, &size);

	if (!p || (uint32_t)o->offset + width > size)
		return 0;
	if (!(o->protos >> rec->proto & 1) || (rec->flags & o->need_flags) != o->need_flags)
		return 0;
	if (rec->proto != NT_PROTO_UDP && !(o->states >> (rec->state & 31) & 1))
		return 0;
	*bits = 0;
	if (o->type == NT_F32) {
		memcpy(real, p + o->offset, 4);
		return 1;
	}
	memcpy(bits, p + o->offset, width); /* little endian, as all that nettop builds for */
	if (o->type == NT_BIT)
		*bits = *bits >> (o->bit & 0xff) & ((1U << (o->bit >> 8)) - 1);
	return !(o->has_absent && *bits == o->absent);
}

static int operand_value(const struct nt_operand *o, const struct nt_filter_view *view, double *ret)
{
	uint64_t bits;
	float real;

	if (!raw_value(o, view, &bits, &real))
		return 0;
	*ret = (o->type == NT_F32 ? (double)real : (double)bits) * o->scale;
	return 1;
}

int nt_term_value(const struct nt_term *n, const struct nt_filter_view *view, double *ret)
{
	double b;

	if (!operand_value(&n->a, view, ret))
		return 0;
	if (n->how == NT_HOW_ALONE)
		return 1;
	if (!operand_value(&n->b, view, &b))
		return 0;
	switch (n->how) {
	case NT_HOW_RATIO:
		if (b == 0)
			return 0;
		*ret /= b;
		return 1;
	case NT_HOW_SUM:
		*ret += b;
		return 1;
	default:
		*ret -= b;
		return 1;
	}
}

int nt_term_whole(const struct nt_term *n, const struct nt_filter_view *view, uint64_t *ret)
{
	float real;

	return raw_value(&n->a, view, ret, &real);
}

bool nt_term_reads(const struct nt_term *n, uint8_t base)
{
	return n->a.base == base || (n->how != NT_HOW_ALONE && n->b.base == base);
}

static bool holds(int order, uint8_t cmp)
{
	switch (cmp) {
	case NT_EQ:
		return order == 0;
	case NT_NE:
		return order != 0;
	case NT_LT:
		return order < 0;
	case NT_LE:
		return order <= 0;
	case NT_GT:
		return order > 0;
	default:
		return order >= 0;
	}
}

static bool whole(const struct nt_term *n)
{
	return n->how == NT_HOW_ALONE && n->a.type != NT_F32 && n->a.scale == 1.0;
}

static bool compare(const struct nt_op *op, const struct nt_filter_view *v)
{
	double left, right = op->number, other;
	uint64_t a, b;
	float real;

	/* Cookies and cgroup ids exceed a double's 53 bits. */
	if (op->right.a.base && whole(&op->left) && whole(&op->right) && op->number == 1.0)
		return raw_value(&op->left.a, v, &a, &real) &&
		       raw_value(&op->right.a, v, &b, &real) && holds((a > b) - (a < b), op->cmp);
	if (!nt_term_value(&op->left, v, &left))
		return false;
	if (op->right.a.base) {
		if (!nt_term_value(&op->right, v, &other))
			return false;
		right = other * op->number;
	}
	return holds((left > right) - (left < right), op->cmp);
}

static bool in_prefix(const uint8_t *a, const uint8_t *b, uint8_t bits)
{
	uint8_t rest = bits % 8;

	if (memcmp(a, b, bits / 8U))
		return false;
	return !rest || !((a[bits / 8U] ^ b[bits / 8U]) >> (8 - rest));
}

static bool address(const struct nt_op *op, const struct nt_rec *rec)
{
	uint16_t port = op->side ? rec->dport : rec->sport;

	if (op->port >= 0 && port != op->port)
		return false;
	if (op->family && op->family != rec->family)
		return false;
	return in_prefix(op->side ? rec->dst : rec->src, op->addr, op->prefix);
}

/* `*` and `?`; steps back to the last star only, so it is linear in practice. */
static char small(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool glob(const char *pattern, const char *text, uint32_t n, bool nocase)
{
	const char *star = NULL;
	uint32_t i = 0, mark = 0;

	while (i < n && text[i]) {
		if (*pattern == '*') {
			star = pattern++;
			mark = i;
		} else if (*pattern == '?' || *pattern == (nocase ? small(text[i]) : text[i])) {
			pattern++;
			i++;
		} else if (star) {
			pattern = star + 1;
			i = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static bool text(const struct nt_op *op, const uint8_t *data, const struct nt_filter_view *v)
{
	const char *pattern = (const char *)data + op->data;
	bool same;

	if (op->side == NT_TEXT_COMM || op->side == NT_TEXT_COMM_NOCASE) {
		if (!v->proc || !v->proc->pid)
			return false;
		same = glob(pattern, v->proc->comm, sizeof(v->proc->comm),
			    op->side == NT_TEXT_COMM_NOCASE);
	} else {
		if (!v->cong)
			return false;
		same = glob(pattern, v->cong, 16, false);
	}
	return same == (op->cmp == NT_EQ);
}

static bool in_set(const struct nt_op *op, const uint8_t *data, const struct nt_filter_view *v)
{
	uint64_t x, at;
	float real;
	uint32_t lo = 0, hi = op->n;

	if (!raw_value(&op->left.a, v, &x, &real))
		return false;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		memcpy(&at, data + op->data + mid * 8UL, 8);
		if (at == x)
			return true;
		if (at < x)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool owner(const struct nt_op *op, const struct nt_filter_view *v)
{
	struct nt_proc all[MAX_OWNERS];
	double pid = op->number; /* as given: it may be no pid at all */

	if (!v->proc || !v->proc->pid)
		return false;
	if (v->proc->pid == pid)
		return true;
	if (!v->engine || !v->proc->more)
		return false;
	int n = nt_owners_of(v->engine, v->rec->inode, all, MAX_OWNERS);

	for (int i = 0; i < n && i < MAX_OWNERS; i++)
		if (all[i].pid == pid)
			return true;
	return false;
}

static bool leaf(const struct nt_op *op, const uint8_t *data, const struct nt_filter_view *v)
{
	switch (op->code) {
	case NT_OP_CMP:
		return compare(op, v);
	case NT_OP_ADDR:
		return address(op, v->rec);
	case NT_OP_TEXT:
		return text(op, data, v);
	case NT_OP_IN:
		return in_set(op, data, v);
	case NT_OP_STATES:
		return op->mask >> (v->rec->state & 31) & 1;
	case NT_OP_OWNER:
		return owner(op, v);
	default:
		return true;
	}
}

int nt_filter_eval(const struct nt_op *ops, uint32_t n, const uint8_t *data, uint32_t n_data,
		   const struct nt_filter_view *view)
{
	bool stack[MAX_DEPTH];
	uint32_t depth = 0;

	(void)n_data;
	for (uint32_t i = 0; i < n; i++) {
		switch (ops[i].code) {
		case NT_OP_AND:
			depth--;
			stack[depth - 1] = stack[depth - 1] && stack[depth];
			break;
		case NT_OP_OR:
			depth--;
			stack[depth - 1] = stack[depth - 1] || stack[depth];
			break;
		case NT_OP_NOT:
			stack[depth - 1] = !stack[depth - 1];
			break;
		default:
			stack[depth++] = leaf(&ops[i], data, view);
			break;
		}
	}
	return stack[0];
}

static bool good_operand(const struct nt_operand *o)
{
	static const uint32_t sizes[] = {
		[NT_BASE_REC] = sizeof(struct nt_rec),
		[NT_BASE_INFO] = UINT16_MAX, /* bounded by what the kernel sent */
		[NT_BASE_SKMEM] = 36,
		[NT_BASE_PROC] = sizeof(struct nt_proc),
		[NT_BASE_PLANE] = sizeof(struct nt_plane),
	};

	if ((o->base < NT_BASE_REC || o->base > NT_BASE_PROC) && o->base != NT_BASE_PLANE)
		return false;
	if (o->type < NT_U8 || o->type > NT_BIT)
		return false;
	if (o->type == NT_BIT && ((o->bit & 0xff) > 7 || o->bit >> 8 > 8))
		return false;
	return o->offset + width_of(o->type) <= sizes[o->base];
}

static bool good_number(const struct nt_term *n)
{
	return n->how <= NT_HOW_DIFFERENCE && good_operand(&n->a) &&
	       (n->how == NT_HOW_ALONE || good_operand(&n->b));
}

static bool good_leaf(const struct nt_op *op, const uint8_t *data, uint32_t n_data)
{
	switch (op->code) {
	case NT_OP_CMP:
		return op->cmp >= NT_EQ && op->cmp <= NT_GE && good_number(&op->left) &&
		       (!op->right.a.base || good_number(&op->right));
	case NT_OP_ADDR:
		return op->side <= 1 && op->prefix <= 128;
	case NT_OP_TEXT:
		return (op->cmp == NT_EQ || op->cmp == NT_NE) && op->side >= NT_TEXT_COMM &&
		       op->side <= NT_TEXT_COMM_NOCASE && op->data < n_data &&
		       memchr(data + op->data, 0, n_data - op->data);
	case NT_OP_IN:
		return op->left.how == NT_HOW_ALONE && good_number(&op->left) &&
		       op->data <= n_data && op->n <= (n_data - op->data) / 8;
	case NT_OP_TRUE:
	case NT_OP_STATES:
	case NT_OP_OWNER:
		return true;
	default:
		return false;
	}
}

int nt_filter_check(const struct nt_op *ops, uint32_t n, const uint8_t *data, uint32_t n_data)
{
	uint32_t depth = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (ops[i].code == NT_OP_AND || ops[i].code == NT_OP_OR) {
			if (depth < 2)
				return -EINVAL;
			depth--;
		} else if (ops[i].code == NT_OP_NOT) {
			if (!depth)
				return -EINVAL;
		} else {
			if (depth == MAX_DEPTH || !good_leaf(&ops[i], data, n_data))
				return -EINVAL;
			depth++;
		}
	}
	return depth == 1 ? 0 : -EINVAL;
}

int nt_filter_row(const struct nt_op *ops, uint32_t n_ops, const uint8_t *data, uint32_t n_data,
		  const struct nt_row *row, const struct nt_detail *detail, const char *cong)
{
	struct nt_filter_view v = {
		.rec = &row->rec, .proc = &row->proc, .plane = &row->plane, .cong = cong
	};
	int err = nt_filter_check(ops, n_ops, data, n_data);

	if (err)
		return err;
	if (detail) {
		v.info = detail->info;
		v.info_len = detail->info_len < sizeof(detail->info) ? detail->info_len :
								       sizeof(detail->info);
		v.skmem = detail->skmem;
		v.skmem_words = detail->skmem_len / 4U;
	}
	return nt_filter_eval(ops, n_ops, data, n_data, &v);
}

bool nt_filter_reads_proc(const struct nt_op *ops, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct nt_op *op = &ops[i];

		if (op->code == NT_OP_OWNER ||
		    (op->code == NT_OP_TEXT && op->side != NT_TEXT_CONG) ||
		    nt_term_reads(&op->left, NT_BASE_PROC) ||
		    nt_term_reads(&op->right, NT_BASE_PROC))
			return true;
	}
	return false;
}

bool nt_filter_names_states(const struct nt_op *ops, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (ops[i].code == NT_OP_STATES)
			return true;
	return false;
}
