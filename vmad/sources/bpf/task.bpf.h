/* SPDX-License-Identifier: GPL-2.0-only */
/* What is read of a task and its mm, wherever the kernel keeps it. */
#ifndef VMAD_TASK_BPF_H
#define VMAD_TASK_BPF_H

#include "kernel.bpf.h"

/*
 * Whether a task stands for its process: the leader, or any thread that outlives a leader which
 * has exited. Such a leader is a zombie without mm until its threads are gone too, and the
 * address space goes on.
 */
static __always_inline int stands_for_process(struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	return task->pid == task->tgid || (leader && !leader->mm);
}

static __always_inline int map_count_of(struct mm_struct *mm)
{
	if (bpf_core_field_exists(mm->map_count))
		return mm->map_count;
	return BPF_CORE_READ((struct mm_struct___vma_count *)mm, vma_count);
}

/*
 * A number that changes when mmap_lock, held for writing, is let go (vma_end_write_all(), in
 * mmap_write_unlock() and mmap_write_downgrade()); -1 where the kernel has none. As a seqcount it
 * changes when the lock is taken, too, and is odd until it is let go.
 */
static __always_inline s64 lock_seq_of(struct mm_struct *mm)
{
	struct mm_struct___seqcount *count = (void *)mm;
	struct mm_struct___seq_int *number = (void *)mm;

	if (bpf_core_field_exists(count->mm_lock_seq.sequence))
		return count->mm_lock_seq.sequence;
	if (bpf_core_field_exists(number->mm_lock_seq))
		return (u32)number->mm_lock_seq;
	return -1;
}

/* Whether a writer was at it when lock_seq_of() said so: only the seqcount tells (6.14; 6.12.y). */
static __always_inline int lock_seq_busy(s64 seq)
{
	struct mm_struct___seqcount *count = 0;

	return bpf_core_field_exists(count->mm_lock_seq.sequence) && seq & 1;
}

/*
 * Whether a writer is at it now. Where mm_lock_seq is an int, which moves only at the writer's
 * end, it takes both to say that none was: RWSEM_WRITER_LOCKED, kernel/locking/rwsem.c.
 */
static __always_inline int write_locked(struct mm_struct *mm)
{
	struct mm_struct___seqcount *count = (void *)mm;

	if (bpf_core_field_exists(count->mm_lock_seq.sequence))
		return count->mm_lock_seq.sequence & 1;
	if (bpf_core_field_exists(mm->mmap_lock.count.counter)) /* else PREEMPT_RT */
		return mm->mmap_lock.count.counter & 1;
	return 0;
}

/* Whether write_locked() can tell: not of an int of a PREEMPT_RT kernel, whose lock is another. */
static __always_inline int tells_writers(void)
{
	struct mm_struct___seqcount *count = 0;
	struct mm_struct *mm = 0;

	return bpf_core_field_exists(count->mm_lock_seq.sequence) ||
	       bpf_core_field_exists(mm->mmap_lock.count.counter);
}

/*
 * Process id of a group leader as the reader's pid namespace numbers it; 0 when it is not in
 * there.
 */
static __always_inline u32 pid_seen_by_reader(struct task_struct *leader)
{
	u32 level = bpf_get_current_task_btf()->thread_pid->level, nr = leader->pid;
	struct pid *pid;

	/* keeps the compiler from folding this load with the one below: two kinds of pointer */
	asm volatile("" : "+r"(nr));
	if (level) {
		pid = BPF_CORE_READ(leader, thread_pid);
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
