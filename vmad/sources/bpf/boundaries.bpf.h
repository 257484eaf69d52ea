/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The boundaries that calls made.
 *
 * A call can make a boundary only at its edges, the few addresses that its arguments and its result
 * name. So each edge is looked at before and after: a VMA starts there that did not, and the call
 * made it; none starts there any more, and what was known is forgotten; one started there already,
 * and its maker stays. An edge that could not be looked at is marked.
 */
#ifndef VMAD_BOUNDARIES_BPF_H
#define VMAD_BOUNDARIES_BPF_H

#include "recording.bpf.h"
#include "stacks.bpf.h"
#include "starts.bpf.h"

/* What became of one edge; the key of the call's stack, once it was needed, else 0. */
__noinline u64 settle(u64 address, u32 before, u32 number, u64 stack)
{
	struct boundary_key key = { .address = address };
	struct boundary boundary = { .call = number }, *known;
	enum there now = starts_at(address, 0);

	key.tgid = bpf_get_current_pid_tgid() >> 32;
	if (now == ABSENT) {
		if (!control.keep)
			bpf_map_delete_elem(&boundaries, &key);
		return stack;
	}
	if (before == PRESENT)
		return stack;
	if (before == UNKNOWN || now == UNKNOWN) {
		boundary.doubt = (before == UNKNOWN ? 1 << NOT_SEEN_BEFORE : 0) |
				 (now == UNKNOWN ? 1 << NOT_SEEN_AFTER : 0);
		known = bpf_map_lookup_elem(&boundaries, &key);
		/* rather the one that is known than one that may be wrong; where none was, it is none */
		if (known && before != ABSENT) {
			known->doubt |= boundary.doubt;
			return stack;
		}
	}
	if (!stack)
		stack = stack_of(number);
	boundary.stack = stack;
	boundary.sequence = next_in_order();
	boundary.when = bpf_ktime_get_boot_ns();
	if (bpf_map_update_elem(&boundaries, &key, &boundary, BPF_ANY))
		__sync_fetch_and_add(&control.lost_boundaries, 1);
	return stack;
}

#endif
