/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names and memory policies compared by content, as the kernel compares them, and flags in the
 * canonical numbering.
 *
 * Each is a global function, which the verifier checks once and by itself, called or not: so
 * what this kernel does not have is tested for inside.
 */
#ifndef VMAD_COMPARE_BPF_H
#define VMAD_COMPARE_BPF_H

#include "layout.bpf.h"

#define ANON_NAME_WORDS 10 /* ANON_VMA_NAME_MAX_LEN 80, its NUL included */
#define NODE_WORDS 16      /* 1,024 nodes */

#define MODE_LOCAL 4 /* MPOL_LOCAL */
/* MPOL_MODE_FLAGS: MPOL_F_STATIC_NODES, _RELATIVE_NODES, _NUMA_BALANCING (uapi/mempolicy.h) */
#define MODE_FLAGS (1 << 15 | 1 << 14 | 1 << 13)

struct scratch {
	u64 a[NODE_WORDS], b[NODE_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* anon_vma_name_eq(), include/linux/mm_inline.h */
__noinline int same_name(u64 a, u64 b)
{
	u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	long offset;
	int i;

	if (!scratch)
		return 0;
	if (!bpf_core_field_exists(struct anon_vma_name, name))
		return 0; /* before 5.17 */
	offset = bpf_core_field_offset(struct anon_vma_name, name);
	__builtin_memset(scratch, 0, sizeof(*scratch));
	if (bpf_probe_read_kernel_str(scratch->a, ANON_NAME_WORDS * 8, (void *)(a + offset)) < 0)
		return 0;
	if (bpf_probe_read_kernel_str(scratch->b, ANON_NAME_WORDS * 8, (void *)(b + offset)) < 0)
		return 0;
	/* strings shorter than the buffer leave the zeroes behind them */
	for (i = 0; i < ANON_NAME_WORDS; i++)
		if (scratch->a[i] != scratch->b[i])
			return 0;
	return 1;
}

__noinline int same_nodes(u64 a, u64 b)
{
	u32 zero = 0, size;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	int i;

	if (!scratch)
		return 0;
	if (!bpf_core_field_exists(struct mempolicy, nodes))
		return 0; /* no CONFIG_NUMA */
	size = bpf_core_field_size(struct mempolicy, nodes); /* a constant once loaded */
	if (size == 0 || size > sizeof(scratch->a))
		return 0;
	__builtin_memset(scratch, 0, sizeof(*scratch));
	if (bpf_probe_read_kernel(scratch->a, size, (void *)a) < 0)
		return 0;
	if (bpf_probe_read_kernel(scratch->b, size, (void *)b) < 0)
		return 0;
	for (i = 0; i < NODE_WORDS; i++)
		if (scratch->a[i] != scratch->b[i])
			return 0;
	return 1;
}

/* __mpol_equal(), mm/mempolicy.c */
__noinline int same_policy(u64 a, u64 b)
{
	struct mempolicy *pa = (void *)a, *pb = (void *)b;
	u32 nodes, user;
	u16 flags, mode;

	if (!bpf_core_field_exists(struct mempolicy, nodes))
		return 0; /* no CONFIG_NUMA */
	flags = BPF_CORE_READ(pa, flags);
	mode = BPF_CORE_READ(pa, mode);
	nodes = bpf_core_field_offset(struct mempolicy, nodes);
	user = bpf_core_field_offset(struct mempolicy, w.user_nodemask);
	if (mode != BPF_CORE_READ(pb, mode) || flags != BPF_CORE_READ(pb, flags))
		return 0;
	if (bpf_core_field_exists(struct mempolicy, home_node) &&
	    BPF_CORE_READ(pa, home_node) != BPF_CORE_READ(pb, home_node))
		return 0;
	if (flags & MODE_FLAGS && !same_nodes(a + user, b + user))
		return 0;
	if (mode == MODE_LOCAL)
		return 1; /* has no nodes */
	return same_nodes(a + nodes, b + nodes);
}

/* Raw flags in the canonical numbering, into walk->canonical (vmad/model/flags.py). */
__noinline int canonical_flags(u64 raw)
{
	u64 high = raw >> 32 << 32, result = raw & FLAGS_LOW_MASK;
	u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	int i;

	if (!walk)
		return 0;
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
