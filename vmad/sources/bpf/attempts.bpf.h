/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is counted of attempts to merge, and what is noted of one that is on its way.
 *
 * The includer defines READ(pointer, field) for pointers that the kernel handed over.
 */
#ifndef VMAD_ATTEMPTS_BPF_H
#define VMAD_ATTEMPTS_BPF_H

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
	u64 from_distance; /* of its page offset from the one of its address */
	u8 from_singular, from_open, from_exclusive;
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
 * Of a VMA with an anon_vma: is it no fork child's (list_is_singular()), may others be put on its
 * anon_vma (vma_anon_open() of the series), and are its pages its process's alone
 * (vma_anon_exclusive())? And how far is it from its natural place?
 */
#define CHAIN(name, GET)                                                                     \
	static __always_inline void name(struct vm_area_struct *vma, u8 *singular, u8 *open, \
					 u8 *exclusive)                                      \
	{                                                                                    \
		struct anon_vma *anon_vma = GET(vma, anon_vma);                              \
									                     \
		*singular = *open = *exclusive = 0;                                          \
		if (!anon_vma)                                                               \
			return;                                                              \
		if (GET(vma, anon_vma_chain.next) == GET(vma, anon_vma_chain.prev))          \
			*singular = 1;                                                       \
		if (*singular && GET(anon_vma, root) == anon_vma)                            \
			*open = 1;                                                           \
		if (*open && GET(anon_vma, num_children) == 1)                               \
			*exclusive = 1;                                                      \
	}                                                                                    \
	static __always_inline u64 name##_distance(struct vm_area_struct *vma)               \
	{                                                                                    \
		return GET(vma, vm_pgoff) - (GET(vma, vm_start) >> settings.page_shift);     \
	}

CHAIN(chain_of, READ)
CHAIN(chain_of_noted, BPF_CORE_READ) /* of a VMA whose address was kept as a number */

#endif
