// SPDX-License-Identifier: GPL-2.0-only
/*
 * A few VMAs of one process from an address on: what the probe looks at while the process stands
 * still, so it must cost microseconds whatever the size of the address space.
 *
 * Wants what open_coded.bpf.c wants.
 */
#include "iterator.bpf.h"
#include "one_by_one.bpf.h"

struct window {
	u64 start_boottime; /* in: ns; identity */
	u64 from;           /* in: the first VMA is the one that holds this address, or the next */
	u32 pid;            /* in: in the initial pid namespace */
	u32 limit;          /* in: VMAs at most */
	u32 status;         /* out */
	u32 map_count;      /* out */
	u32 users;          /* out: threads, of other processes too, and whoever looks just then */
	u32 spare;
};

struct window window SEC(".data.window");

static __noinline int walk_window(struct task_struct *task, struct walk *walk)
{
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;
	u32 left = window.limit;
	int err;

	err = bpf_iter_task_vma_new(&it, task, window.from);
	if (!err) {
		while ((vma = bpf_iter_task_vma_next(&it))) {
			look_at(vma, walk);
			account(0);
			if (left-- <= 1 || control.rows >= MAX_ROWS)
				break;
		}
	}
	bpf_iter_task_vma_destroy(&it);
	return err == -16 /* EBUSY */ ? STATUS_BUSY : err ? STATUS_GONE : STATUS_OK;
}

SEC("syscall")
int look(void *ctx)
{
	u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct header *header = bpf_map_lookup_elem(&headers, &zero);
	struct task_struct *task;

	control.want_rows = 1;
	control.rows = control.entries = 0;
	window.status = STATUS_GONE;
	if (!walk || !header)
		return 0;
	begin_process(walk, header);
	task = bpf_task_from_pid(window.pid);
	if (!task)
		return 0;
	if (task->start_boottime == window.start_boottime) {
		struct mm_struct *mm = task->mm;

		if (mm) {
			note_before(walk, header, mm);
			window.status = walk_window(task, walk);
			note_after(walk, header, mm);
			window.map_count = header->map_count;
			window.users = mm->mm_users.counter;
			/* a VMA may have been left out: to be looked at again */
			if (window.status == STATUS_OK && header->steady == STEADY_NO)
				window.status = STATUS_BUSY;
		}
	}
	bpf_task_release(task);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
