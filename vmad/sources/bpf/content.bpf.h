/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names and memory policies compared by content, as the kernel compares them.
 *
 * Each is a global function, which the verifier checks once and by itself, called or not: so
 * what this kernel does not have is tested for inside.
 */
#ifndef VMAD_CONTENT_BPF_H
#define VMAD_CONTENT_BPF_H

#include "kernel.bpf.h"

#define ANON_NAME_WORDS 10 /* ANON_VMA_NAME_MAX_LEN 80, its NUL included */
#define NODE_WORDS 16      /* 1,024 nodes */

#define MODE_LOCAL 4 /* MPOL_LOCAL */
/* MPOL_MODE_FLAGS: MPOL_F_STATIC_NODES, _RELATIVE_NODES, _NUMA_BALANCING (uapi/mempolicy.h) */
#define MODE_FLAGS (1 << 15 | 1 << 14 | 1 << 13)

struct scratch {
	u64 a[NODE_WORDS], b[NODE_WORDS];
};

/* A program that may run on several CPUs at once sets its own type and uses a slot of its own. */
#ifndef SCRATCH_TYPE
#define SCRATCH_TYPE BPF_MAP_TYPE_ARRAY
#endif
#define SCRATCH_SLOTS 2

struct {
	__uint(type, SCRATCH_TYPE);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* anon_vma_name_eq(), include/linux/mm_inline.h */
__noinline int same_name(u64 a, u64 b, u32 slot)
{
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &slot);
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

__noinline int same_nodes(u64 a, u64 b, u32 slot)
{
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &slot);
	u32 size;
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
__noinline int same_policy(u64 a, u64 b, u32 slot)
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
	if (flags & MODE_FLAGS && !same_nodes(a + user, b + user, slot))
		return 0;
	if (mode == MODE_LOCAL)
		return 1; /* has no nodes */
	return same_nodes(a + nodes, b + nodes, slot);
}

#endif
