// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk with the open-coded VMA iterator, run on demand as a "syscall" program.
 *
 * Wants bpf_iter_task_vma_* (6.7, 4ac454682158) and kfuncs in syscall programs (6.10). User
 * space queues processes, runs the program until the queue is empty, and reads the results
 * through mmap. mmap_lock is only ever tried for, and held for `chunk` VMAs.
 */
#include "walk.bpf.h"

struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;
int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task, u64 addr) __ksym;
struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym;
void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym;

struct wanted {
	u32 task_pid; /* of the task to walk, in the initial pid namespace */
	u32 seen_pid; /* of its process, in the reader's */
	u64 start_boottime; /* ns; identity */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_HEADERS);
	__type(key, u32);
	__type(value, struct wanted);
} queue SEC(".maps");

/* One hold of mmap_lock: up to `chunk` VMAs of one process. Returns a status. */
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

/* The next chunk of the process at the head of the queue. Returns a status. */
static __always_inline int walk_wanted(struct wanted *wanted, struct walk *walk,
				       struct header *header, u32 header_number)
{
	struct task_struct *task = bpf_task_from_pid(wanted->task_pid);
	struct mm_struct *mm;
	int status = STATUS_GONE;

	if (!task)
		return status;
	if (task->start_boottime == wanted->start_boottime) {
		mm = task->mm;
		if (!mm) {
			status = STATUS_NO_MM;
		} else if (!header->mm || header->mm == (u64)mm) { /* else exec in the middle */
			header->mm = (u64)mm;
			header->map_count = map_count_of(mm);
			if (walk->first)
				note_lock_seq(walk, header, mm);
			status = walk_chunk(task, walk, header_number);
			if (task->mm == mm)
				note_lock_seq(walk, header, mm);
		}
	}
	bpf_task_release(task);
	return status;
}

static long one_chunk(u32 turn, void *unused)
{
	u32 zero = 0, position = control.position, number = control.headers, status;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct wanted *wanted = bpf_map_lookup_elem(&queue, &position);
	struct header *header = bpf_map_lookup_elem(&headers, &number);

	if (!walk || !wanted || position >= control.queued)
		return 1;
	if (control.restart || control.abandon) {
		walk->open = 0;
		control.restart = 0;
	}
	if (control.abandon) {
		/* user space has waited long enough for this one */
		control.abandon = 0;
		control.position = position + 1;
		return 0;
	}
	if (!header || control.entries + MAX_DISTINCT > MAX_ENTRIES) {
		control.status = STATUS_FULL;
		return 1;
	}
	if (!walk->open) {
		begin_process(walk, header);
		header->position = position;
		header->task_pid = wanted->task_pid;
		header->start_boottime = wanted->start_boottime;
	}
	walk->seeding = !walk->first;
	status = walk_wanted(wanted, walk, header, number);
	header->status = status;
	control.status = status;
	if (status == STATUS_BUSY)
		return 1; /* user space waits a little and comes back */
	if (status != STATUS_MORE) {
		control.entries += header->entries;
		control.headers = number + 1;
		control.position = position + 1;
		walk->open = 0;
	}
	return !control.budget || (control.want_rows && status == STATUS_MORE);
}

SEC("syscall")
int run(void *ctx)
{
	control.status = STATUS_OK;
	bpf_loop(1 << 16, one_chunk, NULL, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
