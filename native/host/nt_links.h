/* SPDX-License-Identifier: MIT */
#ifndef NT_LINKS_H
#define NT_LINKS_H

/* How a read of a dump ended, as nt_links_parse() and nt_qdiscs_parse() return it. */
enum nt_route_end {
	NT_ROUTE_MORE = 0,
	NT_ROUTE_DONE = 1,
	NT_ROUTE_CHANGED = 2,
};

#endif
