/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a range did not merge with a neighbour: in the order and by the names of the patched kernel
 * (deploy/kernel/patches, vmg_prepare()), as that counts with everything switched off.
 */
#ifndef VMAD_REFUSED_BPF_H
#define VMAD_REFUSED_BPF_H

#include "attempts.bpf.h"

/* A kernel pointer as a plain number: see look.bpf.h */
static __always_inline u64 number_of(struct pending *range, const void *pointer)
{
	*(volatile u64 *)&range->laundry = (u64)pointer;
	return *(volatile u64 *)&range->laundry;
}

/*
 * Why the range did not merge with `other`, which is still there. `joined`: the neighbour before,
 * if the range is part of that now; it stands for the range then, whose name and policy may be
 * gone.
 */
static __always_inline u32 why_refused(struct vma_merge_struct *vmg, struct pending *range,
				       struct vm_area_struct *other, struct vm_area_struct *joined,
				       int behind, u32 slot)
{
	u64 pages = (range->end - range->start) >> settings.page_shift;
	u64 other_pages, range_pgoff, other_pgoff, a, b, other_av, from_av, from;
	u8 other_singular, other_open, other_exclusive, from_singular, from_open;
	u8 joined_singular = 0, joined_open = 0, joined_exclusive = 0, ours = 0, theirs;
	u64 from_distance;
	int differ, gap, adopt;

	if ((READ(other, vm_flags) ^ flags_of(vmg)) & ~settings.flags_ignored)
		return REFUSED_VM_FLAGS;
	if (READ(other, vm_file))
		return REFUSED_VM_FILE;
	if (bpf_core_field_exists(other->vm_policy)) {
		a = number_of(range, READ(other, vm_policy));
		b = number_of(range, joined ? READ(joined, vm_policy) : READ(vmg, policy));
		if (a != b && (!a || !b || !same_policy(a, b, slot)))
			return REFUSED_MEMPOLICY;
	}
	if (bpf_core_field_exists(other->vm_userfaultfd_ctx.ctx)) {
		a = number_of(range, READ(other, vm_userfaultfd_ctx.ctx));
		b = number_of(range, joined ? READ(joined, vm_userfaultfd_ctx.ctx) :
					      READ(vmg, uffd_ctx.ctx));
		if (a != b)
			return REFUSED_VM_USERFAULTFD_CTX;
	}
	if (bpf_core_field_exists(other->anon_name)) {
		a = number_of(range, READ(other, anon_name));
		b = number_of(range, joined ? READ(joined, anon_name) : READ(vmg, anon_name));
		if (a != b && (!a || !b || !same_name(a, b, slot)))
			return REFUSED_ANON_VMA_NAME;
	}

	other_pages = (READ(other, vm_end) - READ(other, vm_start)) >> settings.page_shift;
	if (behind) {
		range_pgoff = READ(other, vm_pgoff) - pages;
		other_pgoff = range->pgoff + pages;
	} else {
		range_pgoff = READ(other, vm_pgoff) + other_pages;
		other_pgoff = range->pgoff - other_pages;
	}
	gap = range->pgoff != range_pgoff;

	other_av = number_of(range, READ(other, anon_vma));
	chain_of(other, &other_singular, &other_open, &other_exclusive);
	if (joined)
		chain_of(joined, &joined_singular, &joined_open, &joined_exclusive);
	from = range->from;
	from_av = range->anon_vma;
	from_singular = range->from_singular;
	from_open = range->from_open;
	from_distance = range->from_distance;
	if (!from_av && joined) {
		from_av = number_of(range, READ(joined, anon_vma));
		from = from_av ? number_of(range, joined) : 0;
		from_singular = joined_singular;
		from_open = joined_open;
		from_distance = chain_of_distance(joined);
	}
	differ = from_av && other_av && from_av != other_av;
	if (!range->anon_vma && other_av && !other_singular)
		return REFUSED_ANON_VMA_CHAIN;
	adopt = range->anon_vma && !other_av;
	if (adopt && (!range->from_singular || !gap))
		return REFUSED_ANON_VMA_CHAIN;
	if (!differ && !gap && !adopt)
		return REFUSED_NOMEM; /* there was nothing against it */

	if (joined && from && from == number_of(range, joined))
		ours = joined_exclusive;
	else if (range->existing && range->anon_vma)
		ours = range->from_exclusive;
	ours = ours && (!differ || other_open);
	theirs = other_exclusive && (!differ || from_open) &&
		 !(from && from != number_of(range, other) && from_av == other_av &&
		   from_distance == chain_of_distance(other));
	if (!ours && !theirs && from && !(!other_av && from_singular))
		return differ ? REFUSED_ANON_VMA_SHARED : REFUSED_VM_PGOFF_SHARED;
	/* beside itself no offset continues itself; nor may any wrap */
	if ((gap && from == number_of(range, other)) || range_pgoff + pages < range_pgoff ||
	    other_pgoff + other_pages < other_pgoff)
		return REFUSED_UNSUPPORTED;
	return differ ? REFUSED_ANON_VMA_OFF : REFUSED_VM_PGOFF_OFF;
}

#endif
