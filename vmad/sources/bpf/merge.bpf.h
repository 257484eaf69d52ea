/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What became of each attempt to merge a private anonymous range with a neighbour.
 *
 * Every merge that is tried goes through vma_modify() (a range that is there gets other
 * attributes) or vma_merge_new_range() (memory is mapped, grown or moved), both with a
 * struct vma_merge_struct (6.12). At the entry the range is noted; at the return the kernel's
 * own answer tells whether it merged, on which side; and where it did not, the neighbour is still
 * there to be asked why. So outcomes are facts, and only reasons are worked out, in the order and
 * by the names of the patched kernel (deploy/kernel/patches, vmg_prepare()), as that counts
 * with everything switched off.
 *
 * The includer defines READ(pointer, field) for pointers that the kernel handed over.
 */
#ifndef VMAD_MERGE_BPF_H
#define VMAD_MERGE_BPF_H

#define SCRATCH_TYPE BPF_MAP_TYPE_PERCPU_ARRAY

#include "content.bpf.h"
#include "facts.bpf.h"

/* vmad/sources/bpf/merge_attempts.py has the same order */
enum result {
	MERGED_STOCK,
	REFUSED_VM_FLAGS,
	REFUSED_VM_FILE,
	REFUSED_MEMPOLICY,
	REFUSED_VM_USERFAULTFD_CTX,
	REFUSED_ANON_VMA_NAME,
	REFUSED_ANON_VMA_CHAIN,
	REFUSED_ANON_VMA_OFF,
	REFUSED_VM_PGOFF_OFF,
	REFUSED_ANON_VMA_SHARED,
	REFUSED_VM_PGOFF_SHARED,
	REFUSED_NOMEM,
	REFUSED_UNSUPPORTED,
	RESULTS
};

/* scratch slots: a program does not interrupt itself on a CPU, but another one may */
#define SLOT_MODIFY 0
#define SLOT_NEW_RANGE 1

#define CPU_ROWS 256 /* CPUs beyond share one with another: hence atomic additions */
#define PENDING 4096 /* threads that are inside of a merge function at once */

struct settings {
	u64 flags_ignored; /* a difference in these never blocks */
	u64 namespace_dev, namespace_ino; /* the pid namespace that `process` is a number of */
	u32 process; /* only this one counts; 0: every one */
	u32 page_shift;
};

const volatile struct settings settings SEC(".rodata.settings") = { .page_shift = 12 };

struct cpu_row {
	u64 result[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CPU_ROWS);
	__type(key, u32);
	__type(value, struct cpu_row);
} counts SEC(".maps");

/* A range as it was when the kernel set out to merge it. */
struct pending {
	u64 vmg;
	u64 start, end, pgoff;
	u64 anon_vma;
	u64 from; /* the VMA that anon_vma is of */
	u64 moved, moved_to; /* noted by copy_vma(): the VMA being moved, and where to */
	u64 laundry;
	u8 prev; /* there is a VMA right before */
	u8 next; /* there is one right behind; or, for a part of a VMA: it reaches to its end */
	u8 existing;
	u8 from_singular, from_exclusive;
};

/* LRU: what a missed return leaves behind goes by itself */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PENDING);
	__type(key, u32);
	__type(value, struct pending);
} pending SEC(".maps");

struct bpf_pidns_info {
	u32 pid, tgid;
};

static __always_inline u32 thread(void)
{
	return bpf_get_current_pid_tgid();
}

static __always_inline int is_wanted(void)
{
	struct bpf_pidns_info who;

	if (!settings.process)
		return 1;
	return !bpf_get_ns_current_pid_tgid(settings.namespace_dev, settings.namespace_ino, &who,
					    sizeof(who)) &&
	       who.tgid == settings.process;
}

static __always_inline void count(u32 result)
{
	u32 cpu = bpf_get_smp_processor_id() % CPU_ROWS;
	struct cpu_row *row = bpf_map_lookup_elem(&counts, &cpu);

	if (row && result < RESULTS)
		__sync_fetch_and_add(&row->result[result], 1);
}

static __always_inline u64 flags_of(struct vma_merge_struct *vmg)
{
	struct vma_merge_struct___6_12 *old = (void *)vmg;

	if (bpf_core_field_exists(vmg->vm_flags))
		return READ(vmg, vm_flags);
	return READ(old, flags);
}

static __always_inline struct vm_area_struct *middle_of(struct vma_merge_struct *vmg)
{
	struct vma_merge_struct___6_12 *old = (void *)vmg;

	if (bpf_core_field_exists(vmg->middle))
		return READ(vmg, middle);
	return READ(old, vma);
}

/*
 * Of a VMA with an anon_vma: is it no fork child's (list_is_singular()), and are its pages its
 * process's alone (vma_anon_exclusive() of the series)?
 */
#define CHAIN(name, GET)                                                                     \
	static __always_inline void name(struct vm_area_struct *vma, u8 *singular, u8 *exclusive) \
	{                                                                                    \
		struct anon_vma *anon_vma = GET(vma, anon_vma);                              \
									                     \
		*singular = *exclusive = 0;                                                  \
		if (!anon_vma)                                                               \
			return;                                                              \
		if (GET(vma, anon_vma_chain.next) == GET(vma, anon_vma_chain.prev))          \
			*singular = 1;                                                       \
		if (*singular && GET(anon_vma, root) == anon_vma &&                          \
		    GET(anon_vma, num_children) == 1)                                        \
			*exclusive = 1;                                                      \
	}

CHAIN(chain_of, READ)
CHAIN(chain_of_noted, BPF_CORE_READ) /* of a VMA whose address was kept as a number */

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
				       &range->from_exclusive);
			return;
		}
	}
	if (!from)
		from = READ(vmg, prev); /* which grows: vma_merge_extend() */
	range->from = (u64)from;
	if (from)
		chain_of(from, &range->from_singular, &range->from_exclusive);
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
	u8 other_singular, other_exclusive, from_exclusive, joined_singular, joined_exclusive = 0;
	u8 ours_exclusive = 0;
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
	chain_of(other, &other_singular, &other_exclusive);
	if (joined)
		chain_of(joined, &joined_singular, &joined_exclusive);
	from = range->from;
	from_av = range->anon_vma;
	from_exclusive = range->from_exclusive;
	if (!from_av && joined) {
		from_av = number_of(range, READ(joined, anon_vma));
		from = from_av ? number_of(range, joined) : 0;
		from_exclusive = joined_exclusive;
	}
	differ = from_av && other_av && from_av != other_av;
	if (!range->anon_vma && other_av && !other_singular)
		return REFUSED_ANON_VMA_CHAIN;
	adopt = range->anon_vma && !other_av;
	if (adopt && (!range->from_singular || !gap))
		return REFUSED_ANON_VMA_CHAIN;
	if (!differ && !gap && !adopt)
		return REFUSED_NOMEM; /* there was nothing against it */

	if (!joined)
		ours_exclusive = range->existing && range->anon_vma && range->from_exclusive;
	else if (!range->anon_vma || from == number_of(range, joined))
		ours_exclusive = joined_exclusive;
	if (!ours_exclusive && !other_exclusive && !(from && !other_av && from_exclusive))
		return differ ? REFUSED_ANON_VMA_SHARED : REFUSED_VM_PGOFF_SHARED;
	/* beside itself no offset continues itself; nor may any wrap */
	if ((gap && from == number_of(range, other)) || range_pgoff + pages < range_pgoff ||
	    other_pgoff + other_pages < other_pgoff)
		return REFUSED_UNSUPPORTED;
	return differ ? REFUSED_ANON_VMA_OFF : REFUSED_VM_PGOFF_OFF;
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
