/* SPDX-License-Identifier: GPL-2.0-only */
/* What two VMAs are compared by: content, and flags in the canonical numbering. */
#ifndef VMAD_COMPARE_BPF_H
#define VMAD_COMPARE_BPF_H

#include "content.bpf.h"
#include "layout.bpf.h"

/* Raw flags in the canonical numbering, into walk->canonical (vmad/model/flags.py). */
__noinline int canonical_flags(u64 raw)
{
	u64 high = raw >> 32 << 32, result = raw & settings.low_mask;
	u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	int i;

	if (!walk)
		return 0;
	/* no VMA lacks VM_MAYREAD, whose place is taken; one that did would not be like another */
	result |= (raw >> FLAG_MAYREAD_BIT & 1) << FLAG_UNNAMED_BIT;
	if (high) {
		for (i = 0; i < HIGH_FLAGS; i++) {
			u64 mask = settings.high_mask[i];
			u64 hit = high & mask;

			/* without a branch: eight of them are 256 paths to the verifier */
			hit = (hit | -hit) >> 63;
			result |= hit << (settings.high_bit[i] & 31);
			high &= ~mask;
		}
		if (high)
			result |= FLAG_UNNAMED;
	}
	walk->canonical = result;
	return 0;
}

#endif
