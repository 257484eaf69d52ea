/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Some VMAs of one process by the open-coded iterator, from where its walk stands, and what the
 * kernel says of the whole address space before and after.
 */
#ifndef VMAD_CHUNK_BPF_H
#define VMAD_CHUNK_BPF_H

#include "iterator.bpf.h"
#include "one_by_one.bpf.h"

/* Up to `chunk` VMAs. Returns a status. */
static __noinline int walk_chunk(struct task_struct *task, struct walk *walk, u32 header_number)
{
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;
	u32 left = control.chunk;
	int err, status = STATUS_OK;

	err = bpf_iter_task_vma_new(&it, task, walk->first ? 0 : walk->seen[~walk->turn & 1].start);
	if (!err) {
		while ((vma = bpf_iter_task_vma_next(&it))) {
			look_at(vma, walk);
			account(header_number);
			if (!--left) {
				status = STATUS_MORE;
				break;
			}
		}
	}
	bpf_iter_task_vma_destroy(&it);
	left = control.chunk - left;
	control.budget = control.budget > left ? control.budget - left : 0;
	if (err == -16 /* EBUSY */)
		return STATUS_BUSY;
	if (err)
		return STATUS_GONE;
	return status;
}

/* Loads stay on their side: between reading mm_lock_seq and reading VMAs, in either order. */
static __always_inline void fence(struct walk *walk)
{
	if (UNCHECKED)
		return;
	walk->laundry = __sync_fetch_and_add(&walk->fence, 1);
}

/* The next chunk of a wanted process. Returns a status. */
static __always_inline int walk_wanted(struct wanted *wanted, struct walk *walk,
				       struct header *header, u32 header_number)
{
	struct task_struct *task = bpf_task_from_pid(wanted->task_pid);
	struct mm_struct *mm;
	int status = STATUS_GONE, first = walk->first;

	if (!task)
		return status;
	if (task->start_boottime == wanted->start_boottime) {
		mm = task->mm;
		if (!mm) {
			status = STATUS_NO_MM;
		} else if (!header->mm || header->mm == (u64)mm) { /* else exec in the middle */
			header->mm = (u64)mm;
			if (first)
				note_before(walk, header, mm);
			fence(walk);
			status = walk_chunk(task, walk, header_number);
			fence(walk);
			if (task->mm == mm)
				note_after(walk, header, mm);
			/* without mm_lock_seq this kernel's iterator held mmap_lock all the time */
			if (first && status == STATUS_OK && header->steady == STEADY_UNKNOWN)
				header->steady = STEADY_YES;
		}
	}
	bpf_task_release(task);
	return status;
}

#endif
