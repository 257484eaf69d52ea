/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What became of each attempt to merge a private anonymous range with a neighbour.
 *
 * Every merge that is tried goes through vma_modify() (a range that is there gets other
 * attributes) or vma_merge_new_range() (memory is mapped, grown or moved), both with a
 * struct vma_merge_struct (6.12). At the entry the range is noted; at the return the kernel's
 * own answer tells whether it merged, on which side; and where it did not, the neighbour is still
 * there to be asked why. So outcomes are facts, and only reasons are worked out (refused.bpf.h).
 *
 * The includer defines READ(pointer, field) for pointers that the kernel handed over.
 */
#ifndef VMAD_MERGE_BPF_H
#define VMAD_MERGE_BPF_H

#include "attempts.bpf.h"
#include "refused.bpf.h"

/* mremap, where the range does not name the VMA that it is a copy of. */
static __always_inline int move_begins(struct vm_area_struct *vma, u64 to)
{
	struct pending moved = { .moved = (u64)vma, .moved_to = to };
	struct vma_merge_struct *vmg = NULL;
	u32 key = thread();

	if (!bpf_core_field_exists(vmg->copied_from) && is_wanted())
		bpf_map_update_elem(&pending, &key, &moved, 0);
	return 0;
}

/* Whose anon_vma the range has; only asked when it has one. */
static __always_inline void note_owner(struct vma_merge_struct *vmg, struct pending *range,
				       struct vm_area_struct *middle)
{
	struct vm_area_struct *from = middle;

	if (!from && bpf_core_field_exists(vmg->copied_from)) {
		from = READ(vmg, copied_from);
	} else if (!from) {
		u32 key = thread();
		struct pending *noted = bpf_map_lookup_elem(&pending, &key);

		if (noted && noted->moved && noted->moved_to == range->start) {
			range->from = noted->moved;
			chain_of_noted((void *)noted->moved, &range->from_singular,
				       &range->from_open, &range->from_exclusive);
			range->from_distance = chain_of_noted_distance((void *)noted->moved);
			return;
		}
	}
	if (!from)
		from = READ(vmg, prev); /* which grows: vma_merge_extend() */
	range->from = (u64)from;
	if (from) {
		chain_of(from, &range->from_singular, &range->from_open, &range->from_exclusive);
		range->from_distance = chain_of_distance(from);
	}
}

static __always_inline int merge_begins(struct vma_merge_struct *vmg, int existing)
{
	struct vm_area_struct *prev, *next, *middle = NULL;
	struct pending range = {};
	u32 key;

	if (READ(vmg, file) || flags_of(vmg) & (FLAG_SPECIAL | FLAG_SHARED | FLAG_MAYSHARE))
		return 0;
	if (!is_wanted())
		return 0;
	range.vmg = (u64)vmg;
	range.existing = existing;
	range.start = READ(vmg, start);
	range.end = READ(vmg, end);
	prev = READ(vmg, prev);
	if (prev && READ(prev, vm_end) == range.start)
		range.prev = 1;
	if (existing) {
		middle = middle_of(vmg);
		if (!middle || READ(middle, vm_ops))
			return 0;
		if (READ(middle, vm_start) != range.start)
			range.prev = 0;
		if (READ(middle, vm_end) == range.end)
			range.next = 1;
	} else {
		next = READ(vmg, next);
		if (next && READ(next, vm_start) == range.end)
			range.next = 1;
	}
	if (!range.prev && !range.next)
		return 0;
	range.pgoff = READ(vmg, pgoff);
	range.anon_vma = (u64)READ(vmg, anon_vma);
	if (range.anon_vma)
		note_owner(vmg, &range, middle);
	key = thread();
	bpf_map_update_elem(&pending, &key, &range, 0);
	return 0;
}

/* `result`: what the function returned; a VMA, NULL or an error. */
static __always_inline int merge_ends(struct vma_merge_struct *vmg, struct pending *range,
				      u64 result, u32 slot)
{
	struct vm_area_struct *made = (void *)result, *prev, *next;
	u64 start = ~0ULL, end = 0;
	u32 key = thread();

	if (result && result < (u64)-4095) {
		start = BPF_CORE_READ(made, vm_start);
		end = BPF_CORE_READ(made, vm_end);
	}
	prev = READ(vmg, prev);
	if (range->prev) {
		if (start < range->start)
			count(MERGED_STOCK);
		else if (prev)
			count(why_refused(vmg, range, prev, NULL, 0, slot));
	}
	if (range->next) {
		next = READ(vmg, next);
		if (end > range->end)
			count(MERGED_STOCK);
		else if (next && READ(next, vm_start) == range->end)
			count(why_refused(vmg, range, next,
					  range->prev && start < range->start ? prev : NULL, 1,
					  slot));
	}
	bpf_map_delete_elem(&pending, &key);
	return 0;
}

static __always_inline struct pending *what_began(void)
{
	u32 key = thread();
	struct pending *range = bpf_map_lookup_elem(&pending, &key);

	return range && range->vmg ? range : NULL;
}

#endif
