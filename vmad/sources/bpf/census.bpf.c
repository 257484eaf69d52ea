// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every process with an address space: who it is, map_count, and what tells that it changed.
 *
 * The rows stay in shared memory from one reading to the next, and only what has moved is written: a
 * second later all of this has left the caches, and each line that is not touched is paid for by
 * nobody. What finds no room there goes the way of every iterator, and is read.
 */
#include "kernel.bpf.h"
#include "cgroup.bpf.h"
#include "task.bpf.h"

#define PF_KTHREAD 0x00200000

/* a process that is older has been met by scans, and what it belongs to been read */
#define YOUNG 300000000000ULL /* ns */
#define BELONGS 64

struct settings {
	u64 ns_per_tick; /* 1e9 / sysconf(_SC_CLK_TCK) */
	s64 high; /* VMAs from which on it matters what a process belongs to */
	s64 boot_offset; /* ns; of the reader's time namespace, as /proc/PID/stat adds it */
};

const volatile struct settings settings SEC(".rodata.settings") = {
	.ns_per_tick = 10000000,
	.high = 1024,
};

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

/* vmad/sources/bpf/census.py, BELONGING */
struct belonging {
	s64 pid;
	s64 start_time;
	u32 path_used;
	u32 unused;
	char path[CGROUP_PATH];
};

/*
 * Who the last young processes with many VMAs were, for the reader to look at when one is gone
 * before its /proc/PID/cgroup could be read. Two readings at a time may both write here: pid is
 * written last.
 */
struct belongings {
	u64 written;
	struct belonging last[BELONGS];
};

struct belongings belongings SEC(".data.belongings") = {};

static __always_inline void tell_belonging(struct census_row *row, struct task_struct *leader)
{
	struct belonging *one = &belongings.last[belongings.written++ % BELONGS];

	one->pid = 0;
	one->start_time = row->start_time;
	one->path_used = cgroup_path(one->path, leader);
	one->pid = row->pid;
}

/* Shared with the reader. */
struct reading {
	u32 light; /* in: of whom the reader knows already only map_count is looked at */
	u32 rows;  /* in: 0; out: used */
	u32 moved; /* in: 0; out: rows that are not what they were */
	u32 spare;
};

struct reading reading SEC(".data.reading") = {};

/* ascending by pid, as the iterator goes */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* KEPT of census.py, when it is loaded */
	__type(key, u32);
	__type(value, struct census_row);
} kept SEC(".maps");

/* The name can change by itself (prctl): of whom it matters for, it is always that of now. */
static __always_inline int new_name(struct census_row *row, struct task_struct *leader)
{
	u64 *known = (u64 *)row->comm, name[2];

	bpf_probe_read_kernel(name, sizeof(name), leader->comm);
	if (known[0] == name[0] && known[1] == name[1])
		return 0;
	known[0] = name[0];
	known[1] = name[1];
	return 1;
}

/* The same process in the same place as before. Returns whether something of it has moved. */
static __always_inline int look_again(struct census_row *row, struct mm_struct *mm,
				      struct task_struct *leader)
{
	s64 count = map_count_of(mm), number;
	int moved = 0;

	if (row->map_count != count) {
		row->map_count = count;
		moved = 1;
	}
	if (!reading.light || count >= settings.high)
		moved |= new_name(row, leader);
	if (reading.light)
		return moved;
	number = mm->total_vm;
	if (row->total_vm != number) {
		row->total_vm = number;
		moved = 1;
	}
	number = lock_seq_of(mm);
	if (row->lock_seq != number) {
		row->lock_seq = number;
		moved = 1;
	}
	return moved;
}

static __always_inline void write_row(struct census_row *row, struct task_struct *task,
				      struct task_struct *leader, struct mm_struct *mm)
{
	row->start_time = (leader->start_boottime + settings.boot_offset) / settings.ns_per_tick;
	row->mm = (u64)mm;
	row->task_pid = task->pid;
	row->start_boottime = task->start_boottime;
	row->map_count = map_count_of(mm);
	row->total_vm = mm->total_vm;
	row->lock_seq = lock_seq_of(mm);
	bpf_probe_read_kernel(row->comm, sizeof(row->comm), leader->comm);
}

SEC("iter/task")
int census(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *leader;
	struct census_row *row, new = {};
	u32 place = reading.rows, pid;
	struct mm_struct *mm;

	if (!task || task->flags & PF_KTHREAD || !stands_for_process(task))
		return 0;
	mm = task->mm;
	if (!mm)
		return 0;
	leader = task->group_leader;
	row = bpf_map_lookup_elem(&kept, &place);
	if (row && row->mm == (u64)mm && row->task_pid == task->pid &&
	    row->start_boottime == task->start_boottime) {
		reading.moved += look_again(row, mm, leader);
	} else {
		pid = pid_seen_by_reader(leader);
		if (!pid)
			return 0;
		new.pid = pid;
		write_row(&new, task, leader, mm);
		if (row)
			*row = new;
		else
			bpf_seq_write(ctx->meta->seq, &new, sizeof(new));
		reading.moved++;
	}
	reading.rows = place + 1;
	row = row ? row : &new;
	if (row->map_count >= settings.high &&
	    bpf_ktime_get_boot_ns() - leader->start_boottime < YOUNG)
		tell_belonging(row, leader);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
