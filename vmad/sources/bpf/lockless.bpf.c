// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk that takes no lock: the tree of VMAs read as it stands, and believed only where
 * mm_lock_seq says that nobody wrote meanwhile.
 *
 * That is what the kernel itself does where it speculates (mmap_lock_speculate_try_begin(), 6.14):
 * whoever changes a VMA or the tree has mmap_lock for writing.
 */
#include "kernel.bpf.h"

struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

#include "walk.bpf.h"
#include "tree.bpf.h"

/*
 * Batches in vain after which user space is to wait a little. Each look at mm_lock_seq takes its
 * cache line from the writer, who waits for it to come back: between far cores, looking without a
 * pause made mmap and munmap 1.27 times as long.
 */
#define PATIENCE 32
#define LOOK_AWAY 300 /* ns, after each of them */
#define AS_MANY 4     /* VMAs are read in that time */

static long account_next(u32 turn, void *number)
{
	u32 zero = 0, header_number = *(u32 *)number;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct header *header = bpf_map_lookup_elem(&headers, &header_number);
	struct seen *before = KEPT(&tree.seen[turn & (BATCH - 1)]);

	if (!walk || !header)
		return 1;
	account_for(header_number, header, walk, before, before + 1);
	return 0;
}

static __always_inline void fence(struct walk *walk)
{
	if (UNCHECKED)
		return;
	walk->laundry = __sync_fetch_and_add(&walk->fence, 1);
}

static long is_later(u32 turn, void *time)
{
	return bpf_ktime_get_ns() >= *(u64 *)time;
}

/* For some time, nothing that is the target's. */
static __always_inline void look_away(void)
{
	u64 until = bpf_ktime_get_ns() + LOOK_AWAY;

	control.budget = control.budget > AS_MANY ? control.budget - AS_MANY : 0;
	bpf_loop(LOOK_AWAY, is_later, &until, 0);
}

/* A batch of `size` is in vain: a writer came meanwhile, is at it, or was since the one before. */
static __always_inline int begin_again(struct walk *walk, struct header *header, u32 size)
{
	tree.standing = 0;
	tree.size = size;
	if (!control.want_digest && (!walk->first || tree.moved >= PATIENCE)) {
		header->steady = STEADY_NO; /* what is to be of one moment need not be read on */
		return STATUS_OK;
	}
	tree.moved++;
	if (++tree.vain % PATIENCE == 0)
		return STATUS_BUSY;
	look_away();
	return STATUS_MORE;
}

/* The next batch of an address space. Returns a status. */
static __always_inline int walk_batch(struct mm_struct *mm, struct walk *walk,
				      struct header *header, u32 header_number)
{
	s64 seq = lock_seq_of(mm);

	if (seq < 0 || !tells_writers() || !has_tree())
		return STATUS_UNKNOWN;
	if (!header->mm) {
		header->mm = (u64)mm;
		tree.moved = tree.vain = 0;
		tree.size = BATCH;
	}
	if (walk->first) {
		header->count_low = header->count_high = 0; /* of a first batch that was in vain */
		note_before(walk, header, mm);
		tree.from = 0;
		tree.standing = 0;
	} else if (!tree.standing || seq != tree.seq) {
		if (!control.want_digest && tree.standing)
			return begin_again(walk, header, tree.size);
		tree.from = tree.seen[0].start;
		tree.standing = 0;
	}
	walk->seeding = !walk->first && !tree.standing;
	tree.seq = seq;
	if (!UNCHECKED && write_locked(mm))
		return begin_again(walk, header, tree.size);
	fence(walk);
	next_batch(walk, mm);
	fence(walk);
	control.budget = control.budget > tree.looked ? control.budget - tree.looked : 0;
	if (!UNCHECKED && (write_locked(mm) || lock_seq_of(mm) != seq))
		return begin_again(walk, header, tree.size > SMALLEST ? tree.size / 2 : SMALLEST);
	if (tree.torn)
		return STATUS_UNKNOWN;
	note_after(walk, header, mm);
	tree.moved = 0;
	if (tree.size < BATCH)
		tree.size *= 2;
	bpf_loop(tree.looked, account_next, &header_number, 0);
	if (tree.looked)
		tree.seen[0] = tree.seen[tree.looked & (BATCH - 1) ? : BATCH];
	return tree.over ? STATUS_OK : STATUS_MORE;
}

static long one_batch(u32 turn, void *unused)
{
	u32 zero = 0, number = tree.header_number;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct header *header = bpf_map_lookup_elem(&headers, &number);
	struct task_struct *task =
		bpf_rdonly_cast((void *)tree.task, bpf_core_type_id_kernel(struct task_struct));
	struct mm_struct *mm =
		bpf_rdonly_cast((void *)tree.mm, bpf_core_type_id_kernel(struct mm_struct));

	if (!walk || !header)
		return 1;
	tree.status = walk_batch(mm, walk, header, number);
	if ((u64)number_of(walk, task->mm) != tree.mm)
		tree.status = STATUS_GONE;
	return tree.status != STATUS_MORE || !control.budget ||
	       (control.want_rows && control.rows + BATCH > MAX_ROWS);
}

/*
 * The next part of a wanted process; pid 0 is whoever runs this. Returns a status.
 *
 * The task is held for many batches: to get and to put it for each would take the line of its
 * count, in which every process looks for whom its memory is accounted to (task_struct.objcg).
 */
static __always_inline int walk_wanted(struct wanted *wanted, struct walk *walk,
				       struct header *header, u32 header_number)
{
	u32 pid = wanted->task_pid;
	struct task_struct *found = bpf_task_from_pid(pid ? pid : bpf_get_current_pid_tgid() >> 32);
	struct task_struct *task;
	u64 mm;

	if (!found)
		return STATUS_GONE;
	tree.status = STATUS_GONE;
	/* of what is trusted the verifier looks up, field by field, whether it is trusted, too */
	task = bpf_rdonly_cast(found, bpf_core_type_id_kernel(struct task_struct));
	if (!pid || task->start_boottime == wanted->start_boottime) {
		mm = number_of(walk, task->mm);
		if (!mm) {
			tree.status = STATUS_NO_MM;
		} else if (!header->mm || header->mm == mm) { /* else exec in the middle */
			tree.task = number_of(walk, task);
			tree.mm = mm;
			tree.header_number = header_number;
			bpf_loop(1 << 16, one_batch, NULL, 0);
		}
	}
	bpf_task_release(found);
	return tree.status;
}

#include "queue.bpf.h"

char LICENSE[] SEC("license") = "GPL";
