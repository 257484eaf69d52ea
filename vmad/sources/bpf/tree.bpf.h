/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMAs read from the maple tree of an address space that nobody locks: a batch at a time.
 *
 * What is read may be written to meanwhile: so every step is bounded and no pointer is trusted. A
 * batch is worth something only when mm_lock_seq says that nobody had mmap_lock for writing
 * meanwhile, for which the caller looks (lockless.bpf.c). The same tree is read by
 * vmad/sources/guest/tree.py; lib/maple_tree.c is the kernel's, 6.1 and later.
 */
#ifndef VMAD_TREE_BPF_H
#define VMAD_TREE_BPF_H

#include "look.bpf.h"

void *bpf_rdonly_cast(const void *pointer, u32 type) __ksym;
void bpf_rcu_read_lock(void) __ksym;
void bpf_rcu_read_unlock(void) __ksym;

#define BATCH 64    /* VMAs; a power of two */
#define SMALLEST 8  /* of a batch that was written to again and again */
#define DEEPEST 16  /* levels; a power of two. A million VMAs has 6 */
#define NODE_SIZE 256
#define NODE_WORDS_USED (NODE_SIZE / 8)
#define MOST_PIVOTS 15

/* A node on the way to where the reader stands. */
struct level {
	u64 words[NODE_WORDS_USED];
	u64 last;   /* address that its last slot ends with */
	u32 at;     /* slot that is next */
	u32 slots;  /* first word of its slots */
	u32 pivots; /* how many it has */
	u8 leaf;
	u8 over; /* no further slot is in use */
};

/* Where the reader stands. */
struct tree {
	u64 from;  /* what ends below is skipped */
	s64 seq;   /* mm_lock_seq when this was read */
	u32 depth; /* of the node in `path` that is being read */
	u32 looked; /* VMAs in `seen`, beside the one before them */
	u32 size;   /* VMAs wanted */
	u32 moved;  /* batches in a row that were written to meanwhile */
	u32 vain;   /* all those of this address space */
	u64 task;   /* who is walked */
	u64 mm;     /* the address space */
	u32 header_number;
	int status;  /* of the newest batch */
	u8 standing; /* `path` is that of a tree */
	u8 over;     /* there is no further VMA */
	u64 fetched; /* nothing: keeps the compiler from leaving out what it is of */
	u8 torn;     /* met what no tree has */
	struct seen seen[BATCH + 1]; /* the one before the batch; the batch */
	struct level path[DEEPEST];
};

struct tree tree SEC(".data.tree");

static __always_inline int has_tree(void)
{
	return bpf_core_field_exists(struct mm_struct, mm_mt.ma_root) &&
	       bpf_core_type_exists(struct maple_arange_64) &&
	       bpf_core_enum_value_exists(enum maple_type, maple_arange_64);
}

/*
 * Have the VMAs of a leaf on their way from memory, all at once: one after the other each would be
 * waited for.
 */
static __always_inline void fetch(struct level *level)
{
	u32 i, slots = bpf_core_field_offset(struct maple_range_64, slot) / 8;
	u64 sum = 0;

#pragma unroll
	for (i = 0; i < 16; i++) {
		u64 entry = level->words[(slots + i) & (NODE_WORDS_USED - 1)];
		struct vm_area_struct *vma =
			bpf_rdonly_cast((void *)entry, bpf_core_type_id_kernel(struct vm_area_struct));

		/* what is no address of the kernel costs a fault on some machines */
		if ((s64)entry < 0)
			sum += vma->vm_start + vma->vm_pgoff;
	}
	tree.fetched = sum;
}

/* The first slot that does not end below where to begin, or one before it. */
static __always_inline u32 first_slot(struct level *level)
{
	u32 i, below = 0, pivots = bpf_core_field_offset(struct maple_range_64, pivot) / 8;

#pragma unroll
	for (i = 0; i < MOST_PIVOTS; i++) {
		u64 pivot = level->words[(pivots + i) & (NODE_WORDS_USED - 1)];

		/* of no use, or no pivot but a slot: 0 or above; neither is passed by */
		if (i == below && i < level->pivots && pivot && pivot < tree.from)
			below++;
	}
	return below;
}

/* Read a node, whose last slot ends with `last`, to stand at its first. mte_to_node() et al. */
static __always_inline void enter(u32 depth, u64 node, u64 last)
{
	struct level *level = &tree.path[depth & (DEEPEST - 1)];
	u64 type = node >> 3 & 15;

	if (depth >= DEEPEST ||
	    bpf_probe_read_kernel(level->words, NODE_SIZE, (void *)(node & ~0xffULL))) {
		tree.torn = 1;
		return;
	}
	if (type == bpf_core_enum_value(enum maple_type, maple_arange_64)) {
		level->pivots = bpf_core_field_size(struct maple_arange_64, pivot) / 8;
		level->slots = bpf_core_field_offset(struct maple_arange_64, slot) / 8;
		level->leaf = 0;
	} else {
		level->pivots = bpf_core_field_size(struct maple_range_64, pivot) / 8;
		level->slots = bpf_core_field_offset(struct maple_range_64, slot) / 8;
		level->leaf = type == bpf_core_enum_value(enum maple_type, maple_leaf_64);
		if (!level->leaf && type != bpf_core_enum_value(enum maple_type, maple_range_64))
			tree.torn = 1;
	}
	level->last = last;
	level->at = first_slot(level);
	level->over = 0;
	tree.depth = depth;
	if (level->leaf)
		fetch(level);
}

/* One slot of the node that is being read. */
static long next_slot(u32 turn, void *unused)
{
	struct tree *here = KEPT(&tree);
	u32 depth = here->depth, at, place, zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct level *level = KEPT(&here->path[depth & (DEEPEST - 1)]);
	struct seen *before;
	u64 entry, last = 0;

	if (!walk)
		return 1;
	if (level->over) {
		if (depth) {
			here->depth = depth - 1;
			return 0;
		}
		here->over = 1;
		return 1;
	}
	at = level->at;
	level->at = at + 1;
	place = bpf_core_field_offset(struct maple_range_64, pivot) / 8 + at;
	if (at < level->pivots)
		last = level->words[place & (NODE_WORDS_USED - 1)];
	/* a pivot of 0 behind the first, and the last slot, stand for the end of the node */
	if ((!last && at) || last >= level->last) {
		last = level->last;
		level->over = 1;
	}
	if (last < here->from)
		return 0;
	entry = level->words[(level->slots + at) & (NODE_WORDS_USED - 1)];
	if (!level->leaf) {
		/* mt_mk_node() sets bit 2 (MAPLE_ENODE_NULL) */
		if ((entry & 7) != 4)
			here->torn = 1;
		else
			enter(depth + 1, entry, last);
		return here->torn & 1;
	}
	if (!entry)
		return 0;
	/* XA_ZERO_ENTRY is that of a fork under way */
	if (entry & 3) {
		here->torn = 1;
		return 1;
	}
	at = here->looked;
	here->looked = at + 1;
	before = KEPT(&here->seen[at & (BATCH - 1)]);
	look_into(bpf_rdonly_cast((void *)entry, bpf_core_type_id_kernel(struct vm_area_struct)),
		  walk, before, before + 1);
	return at + 1 >= here->size;
}

/* The next VMAs into tree.seen, from where the reader stands or else from tree.from on. */
static __always_inline void next_batch(struct walk *walk, struct mm_struct *mm)
{
	tree.looked = 0;
	tree.torn = 0;
	bpf_rcu_read_lock();
	if (!tree.standing) {
		u64 root = number_of(walk, mm->mm_mt.ma_root);

		tree.over = !root;
		/* xa_is_node() */
		if (root && ((root & 3) != 2 || root < 4096))
			tree.torn = 1;
		else if (root)
			enter(0, root, ~0ULL);
		tree.standing = 1;
	}
	/* no VMA is further from the next than up and down the tree */
	if (!tree.torn && !tree.over)
		bpf_loop(BATCH * 4 + 2 * DEEPEST * 16, next_slot, NULL, 0);
	bpf_rcu_read_unlock();
}

#endif
