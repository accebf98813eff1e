/* SPDX-License-Identifier: MIT */
/* Numbers of include/uapi/asm-generic/socket.h and net_tstamp.h that older headers lack. */
#ifndef NT_STAMPS_H
#define NT_STAMPS_H

#include <stdbool.h>

enum {
	NT_SO_TIMESTAMP_OLD = 29,
	NT_SO_TIMESTAMPNS_OLD = 35,
	NT_SO_TIMESTAMPING_OLD = 37,
	NT_SCM_TIMESTAMPING_OPT_STATS = 54,
	NT_SCM_TIMESTAMPING_PKTINFO = 58,
	NT_SO_TIMESTAMP_NEW = 63,
	NT_SO_TIMESTAMPNS_NEW = 64,
	NT_SO_TIMESTAMPING_NEW = 65,
};

#endif
