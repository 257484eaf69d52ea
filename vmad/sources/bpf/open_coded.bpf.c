// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk with the open-coded VMA iterator, run on demand as a "syscall" program.
 *
 * Wants bpf_iter_task_vma_* (6.7, 4ac454682158) and kfuncs in syscall programs (6.10). User space queues processes, runs the program until the queue is empty, and
 * reads the results through mmap. mmap_lock is only ever tried for, and held for `chunk` VMAs.
 */
#include "walk.bpf.h"

struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;
int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task, u64 addr) __ksym;
struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym;
void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym;

struct wanted {
	u32 pid; /* in the initial pid namespace */
	u32 spare;
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
	int err, status = STATUS_OK, rows_wanted = control.want_rows;

	err = bpf_iter_task_vma_new(&it, task, walk->first ? 0 : walk->a.start);
	if (!err) {
		while ((vma = bpf_iter_task_vma_next(&it))) {
			look_at(vma, walk);
			account(header_number);
			if (!left-- || (rows_wanted && control.rows >= MAX_ROWS)) {
				status = STATUS_MORE;
				break;
			}
		}
	}
	bpf_iter_task_vma_destroy(&it);
	if (err == -16 /* EBUSY */)
		return STATUS_BUSY;
	if (err)
		return STATUS_GONE;
	return status;
}

static long one_chunk(u32 turn, void *unused)
{
	u32 zero = 0, position = control.position, number = control.headers, status;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct wanted *wanted = bpf_map_lookup_elem(&queue, &position);
	struct header *header = bpf_map_lookup_elem(&headers, &number);
	struct task_struct *task;
	struct mm_struct *mm;
	u32 before;

	if (!walk || !wanted || position >= control.queued)
		return 1;
	if (control.abandon) {
		/* user space has waited long enough for this one */
		control.abandon = 0;
		control.position = position + 1;
		walk->open = 0;
		return 0;
	}
	if (!header || control.entries + MAX_DISTINCT > MAX_ENTRIES) {
		control.status = STATUS_FULL;
		return 1;
	}
	if (!walk->open)
		begin_process(walk, header);
	walk->seeding = !walk->first;
	before = header->walked;
	status = STATUS_GONE;
	task = bpf_task_from_pid(wanted->pid);
	if (task) {
		if (task->start_boottime == wanted->start_boottime) {
			mm = task->mm;
			header->start_boottime = wanted->start_boottime;
			if (!mm) {
				status = STATUS_NO_MM;
			} else if (header->mm && header->mm != (u64)mm) {
				status = STATUS_GONE; /* exec in the middle */
			} else {
				header->mm = (u64)mm;
				header->map_count = map_count_of(mm);
				status = walk_chunk(task, walk, number);
			}
		}
		bpf_task_release(task);
	}
	header->pid = position; /* user space knows whom it queued there */
	header->status = status;
	control.status = status;
	if (status == STATUS_BUSY) {
		control.busy++;
		return 1; /* user space waits a little and comes back */
	}
	before = header->walked - before;
	control.budget = control.budget > before ? control.budget - before : 0;
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
