// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk for kernels without the open-coded iterator: the task_vma iterator (5.12).
 *
 * The kernel calls this for every VMA of every process, or of one process where link_info.task
 * is known (6.1). It waits for mmap_lock, and drops it between two VMAs when somebody else waits,
 * and when a buffer is full: see let_go(). When a process
 * ends, its header is written, then its entries; or, with want_rows, its rows as they come and
 * then the header. When the seq buffer is full, the kernel discards what this call has written
 * and calls again for the same VMA: so write first, and change state only when that went well.
 */
#include "one_by_one.bpf.h"

/* 0: every process; else only this task (initial pid namespace) */
u32 only_task SEC(".data.only");

/*
 * The end of the VMA after which the kernel last dropped mmap_lock in the middle of a process, 0
 * for never. When it is the same before and after, the lock was held all the time.
 */
static __always_inline u64 let_go(struct seq_file *seq)
{
	struct bpf_iter_seq_task_vma_info *info = seq->private;

	if (!bpf_core_field_exists(info->prev_vm_end))
		return bpf_ktime_get_ns(); /* not to be told: never the same */
	return BPF_CORE_READ(info, prev_vm_end);
}

static __noinline int finish(struct seq_file *seq, struct walk *walk, struct header *header)
{
	u32 i;

	if (!walk->open)
		return 0;
	header->status = STATUS_OK;
	if (header->steady == STEADY_UNKNOWN && let_go(seq) == walk->prev_end)
		header->steady = STEADY_YES;
	if (bpf_seq_write(seq, header, sizeof(*header)))
		return 1;
	/* one by one: a length known only at run time is hard on old verifiers */
	for (i = 0; i < MAX_DISTINCT; i++) {
		u32 index = i;
		struct entry *entry = bpf_map_lookup_elem(&entries, &index);

		if (!entry || i >= header->entries || control.want_rows)
			break;
		if (bpf_seq_write(seq, entry, sizeof(*entry)))
			return 1;
	}
	walk->open = 0;
	return 0;
}

SEC("iter/task_vma")
int run(struct bpf_iter__task_vma *ctx)
{
	struct task_struct *task = ctx->task;
	struct vm_area_struct *vma = ctx->vma;
	struct seq_file *seq = ctx->meta->seq;
	u64 session = ctx->meta->session_id;
	u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct header *header = bpf_map_lookup_elem(&headers, &zero);
	struct row *row = bpf_map_lookup_elem(&rows, &zero);
	struct mm_struct *mm;

	if (!walk || !header || !row)
		return 0;
	if (walk->session != session) {
		/* an earlier reading may have been broken off */
		walk->session = session;
		walk->open = 0;
	}
	if (!task || !vma) {
		finish(seq, walk, header);
		return 0;
	}
	mm = vma->vm_mm;
	if (!mm || !stands_for_process(task) || (only_task && task->pid != only_task))
		return 0;
	if (walk->open && (header->task_pid != task->pid ||
			   header->start_boottime != task->start_boottime)) {
		if (finish(seq, walk, header))
			return 0;
	}
	if (!walk->open) {
		begin_process(walk, header);
		header->task_pid = task->pid;
		header->start_boottime = task->start_boottime;
		header->mm = number_of(walk, mm);
		note_before(walk, header, mm);
		if (header->steady == STEADY_UNKNOWN)
			walk->prev_end = let_go(seq);
	}
	/* called again for the VMA whose row did not fit: it is accounted for already */
	if (walk->first || !control.want_rows ||
	    walk->seen[~walk->turn & 1].start != vma->vm_start) {
		note_after(walk, header, mm);
		look_at(vma, walk);
		control.rows = 0;
		account(0);
	}
	if (control.want_rows)
		bpf_seq_write(seq, row, sizeof(*row));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
