/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a VMA starts at an address of the current process.
 *
 * bpf_find_vma() (5.17) does not wait for mmap_lock: one that could not be looked at is unknown.
 */
#ifndef VMAD_STARTS_BPF_H
#define VMAD_STARTS_BPF_H

#include "recording.bpf.h"

#define EBUSY 16
#define TRIES 32 /* of a look */

enum there { ABSENT, PRESENT, UNKNOWN };

static __always_inline u64 page_size(void)
{
	return 1ULL << (settings.page_shift & 31);
}

static __always_inline u64 page_down(u64 address)
{
	return address & ~(page_size() - 1);
}

static __always_inline u64 page_up(u64 address)
{
	return page_down(address + page_size() - 1);
}

struct look {
	u64 start, end;
};

static long vma_at(struct task_struct *task, struct vm_area_struct *vma, struct look *look)
{
	look->start = vma->vm_start;
	look->end = vma->vm_end;
	return 0;
}

/* One look for the VMA that has this address. */
struct search {
	u64 address;
	struct look look; /* zeros: none has it */
	s64 result; /* 0, -ENOENT, -EBUSY */
};

static long look_once(u32 i, struct search *search)
{
	search->result = bpf_find_vma(bpf_get_current_task_btf(), search->address, vma_at,
				      &search->look, 0);
	return search->result != -EBUSY;
}

/* mmap_lock is only tried: who has it lets go soon, mostly. */
static __always_inline void look_for(struct search *search)
{
	bpf_loop(TRIES, look_once, search, 0);
	if (search->result == -EBUSY)
		__sync_fetch_and_add(&control.busy, 1);
}

/* Whether a VMA starts there; `end`, where wanted, is where it ends. */
static __always_inline enum there starts_at(u64 address, u64 *end)
{
	struct search search = { .address = address };

	look_for(&search);
	if (search.result == -EBUSY)
		return UNKNOWN;
	if (search.result || search.look.start != address)
		return ABSENT;
	if (end)
		*end = search.look.end;
	return PRESENT;
}

__noinline int look(u64 address)
{
	return starts_at(address, 0);
}

/* Where the VMA that has this address ends; 0 where none has, or it cannot be told. */
__noinline u64 end_of(u64 address)
{
	struct search search = { .address = address };

	look_for(&search);
	return search.look.end;
}

#endif
