// SPDX-License-Identifier: GPL-2.0-only
/* Every process with an address space: who it is, map_count, and what tells that it changed. */
#include "kernel.bpf.h"
#include "task.bpf.h"

#define PF_KTHREAD 0x00200000

struct settings {
	u64 ns_per_tick; /* 1e9 / sysconf(_SC_CLK_TCK) */
};

const volatile struct settings settings SEC(".rodata.settings") = { .ns_per_tick = 10000000 };

/* vmad/sources/bpf/census.py, KERNEL_CENSUS_ROW */
struct census_row {
	s64 pid;
	s64 start_time; /* clock ticks since boot */
	u64 mm;
	s64 map_count;
	s64 lock_seq; /* -1: no such thing in this kernel */
	s64 total_vm; /* pages */
	char comm[16];
	s64 task_pid; /* of the task that stands for it, in the initial pid namespace */
	u64 start_boottime; /* ns; of that task */
};

SEC("iter/task")
int census(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *leader;
	struct census_row row = {};
	struct mm_struct *mm;

	if (!task || task->flags & PF_KTHREAD || !stands_for_process(task))
		return 0;
	mm = task->mm;
	if (!mm)
		return 0;
	leader = task->group_leader;
	row.pid = pid_seen_by_reader(leader);
	if (!row.pid)
		return 0;
	row.start_time = leader->start_boottime / settings.ns_per_tick;
	row.mm = (u64)mm;
	row.task_pid = task->pid;
	row.start_boottime = task->start_boottime;
	row.map_count = map_count_of(mm);
	row.total_vm = mm->total_vm;
	row.lock_seq = lock_seq_of(mm);
	bpf_probe_read_kernel(row.comm, sizeof(row.comm), leader->comm);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
