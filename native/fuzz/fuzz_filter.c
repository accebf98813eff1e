/* SPDX-License-Identifier: MIT */
/* Any bytes as a filter program: refused, or evaluated without leaving the row. */
#include <stdlib.h>
#include <string.h>

#include "nt_api.h"

#define MAX_OPS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Copies the next bytes of the input; what is missing is zero. */
static void take(const uint8_t **data, size_t *size, void *to, size_t n)
{
	size_t have = n < *size ? n : *size;

	memset(to, 0, n);
	memcpy(to, *data, have);
	*data += have;
	*size -= have;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t n_ops, n_data;
	struct nt_row row;
	struct nt_detail detail;

	take(&data, &size, &n_ops, 1);
	take(&data, &size, &n_data, 1);
	n_ops %= MAX_OPS + 1;
	/* Allocated to size, so that a step beyond either array is seen. */
	struct nt_op *ops = malloc(n_ops * sizeof(*ops) + !n_ops);
	uint8_t *text = malloc(n_data + !n_data);

	if (ops && text) {
		take(&data, &size, ops, n_ops * sizeof(*ops));
		/* Mostly known codes: the others are refused at once. */
		for (int i = 0; i < n_ops; i++)
			ops[i].code %= NT_OP_OWNER + 2;
		take(&data, &size, text, n_data);
		take(&data, &size, &row, sizeof(row));
		take(&data, &size, &detail, sizeof(detail));
		/* As whoever fills these records promises. */
		row.proc.comm[sizeof(row.proc.comm) - 1] = 0;
		row.rec.proto = (uint8_t)(NT_PROTO_TCP + row.rec.proto % NT_PROTO_MPTCP);
		detail.skmem_len %= sizeof(detail.skmem) + 1;
		nt_filter_row(ops, n_ops, text, n_data, &row, &detail, "cubic");
		nt_filter_row(ops, n_ops, text, n_data, &row, NULL, NULL);
	}
	free(text);
	free(ops);
	return 0;
}
