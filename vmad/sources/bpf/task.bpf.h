/* SPDX-License-Identifier: GPL-2.0-only */
/* What is read of a task and its mm, wherever the kernel keeps it. */
#ifndef VMAD_TASK_BPF_H
#define VMAD_TASK_BPF_H

#include "kernel.bpf.h"

static __always_inline int map_count_of(struct mm_struct *mm)
{
	if (bpf_core_field_exists(mm->map_count))
		return mm->map_count;
	return BPF_CORE_READ((struct mm_struct___vma_count *)mm, vma_count);
}

/*
 * Process id of a group leader as the reader's pid namespace numbers it; 0 when it is not in
 * there.
 */
static __always_inline u32 pid_seen_by_reader(struct task_struct *task)
{
	struct task_struct *reader = (void *)bpf_get_current_task();
	u32 level = BPF_CORE_READ(reader, thread_pid, level), nr = task->tgid;
	struct pid *pid;

	/* keeps the compiler from folding this load with the one below: two kinds of pointer */
	asm volatile("" : "+r"(nr));
	if (level) {
		pid = BPF_CORE_READ(task, thread_pid);
		if (BPF_CORE_READ(pid, level) < level)
			return 0;
		bpf_probe_read_kernel(&nr, sizeof(nr),
				      (void *)((u64)pid + bpf_core_field_offset(struct pid, numbers) +
					       level * bpf_core_type_size(struct upid) +
					       bpf_core_field_offset(struct upid, nr)));
	}
	return nr;
}

#endif
