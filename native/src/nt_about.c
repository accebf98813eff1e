// SPDX-License-Identifier: MIT
#include "nt_api.h"

/* Grows whenever a record or a function of the interface changes. */
#define NT_ABI_VERSION 1

int nt_abi_version(void)
{
	return NT_ABI_VERSION;
}

int nt_bpf_built(void)
{
#ifdef NT_WITH_BPF
	return 1;
#else
	return 0;
#endif
}
