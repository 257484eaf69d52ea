// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk of a process that does not hold still: by the open-coded iterator, under mmap_lock.
 *
 * The task_vma iterator waits for mmap_lock and holds it while this runs; under it no VMA is
 * locked for writing, so the open-coded iterator leaves none out. The first call walks a chunk
 * and asks for no other: "again" (1) makes the kernel let go of the lock and end the read.
 *
 * Where the open-coded iterator still takes mmap_lock itself (see iterator.bpf.h) it only tries:
 * it fails where a writer waits already, and user space tries again.
 */
#include "chunk.bpf.h"

struct wanted wanted SEC(".data.wanted");

SEC("iter/task_vma")
int run(struct bpf_iter__task_vma *ctx)
{
	struct vm_area_struct *vma = ctx->vma;
	u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct header *header = bpf_map_lookup_elem(&headers, &zero);
	u64 mm, began = bpf_ktime_get_ns();

	if (!ctx->task || !vma || !walk || !header)
		return 0;
	mm = number_of(walk, vma->vm_mm);
	if (control.restart) {
		control.restart = 0;
		control.entries = 0;
		begin_process(walk, header);
		header->task_pid = wanted.task_pid;
		header->start_boottime = wanted.start_boottime;
		header->mm = mm;
	}
	walk->seeding = !walk->first;
	control.status = walk_wanted(&wanted, walk, header, zero);
	header->status = control.status;
	control.held_ns = bpf_ktime_get_ns() - began;
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
