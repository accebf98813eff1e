// SPDX-License-Identifier: MIT
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "nt_api.h"

/* Made by the build: a hash of all of the interface (nettop/engine/abi.py). */
#if __has_include("nt_abi.h")
#include "nt_abi.h"
#else
#define NT_ABI_VERSION 0
#endif

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

void nt_memory_give_back(void)
{
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}
