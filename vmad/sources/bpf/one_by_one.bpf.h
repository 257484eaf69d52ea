/* SPDX-License-Identifier: GPL-2.0-only */
/* The two halves of a step, where an iterator hands out one VMA after the other. */
#ifndef VMAD_ONE_BY_ONE_BPF_H
#define VMAD_ONE_BY_ONE_BPF_H

#include "walk.bpf.h"

/* Everything that is wanted of a VMA, into walk->seen[walk->turn & 1]. */
static __noinline int look_at(struct vm_area_struct *vma, struct walk *walk)
{
	u32 turn = walk->turn;

	look_into(vma, walk, &walk->seen[~turn & 1], &walk->seen[turn & 1]);
	return 0;
}

/*
 * What look_at() has seen.
 *
 * A global function, so that the verifier looks at it once and not per path of the loop.
 */
__noinline int account(u32 header_number)
{
	u32 zero = 0, turn;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct header *header = bpf_map_lookup_elem(&headers, &header_number);

	if (!walk || !header)
		return 0;
	turn = walk->turn;
	account_for(header_number, header, walk, &walk->seen[~turn & 1], &walk->seen[turn & 1]);
	walk->turn = turn + 1;
	return 0;
}

#endif
