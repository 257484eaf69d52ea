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

/* batches in a row that were written to, after which user space is to wait a little */
#define PATIENCE 32

static long account_next(u32 turn, void *number)
{
	u32 zero = 0, header_number = *(u32 *)number;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct header *header = bpf_map_lookup_elem(&headers, &header_number);

	if (!walk || !header)
		return 1;
	account_for(header_number, header, walk, &tree.seen[turn & (BATCH - 1)],
		    &tree.seen[(turn & (BATCH - 1)) + 1]);
	return 0;
}

static __always_inline void fence(struct walk *walk)
{
	if (UNCHECKED)
		return;
	walk->laundry = __sync_fetch_and_add(&walk->fence, 1);
}

/* A batch was written to meanwhile, or by now is not of the moment of those before. */
static __always_inline int begin_again(struct walk *walk, struct header *header)
{
	tree.standing = 0;
	if (!control.want_digest && (!walk->first || tree.moved >= PATIENCE)) {
		header->steady = STEADY_NO; /* what is to be of one moment need not be read on */
		return STATUS_OK;
	}
	if (tree.size > SMALLEST)
		tree.size /= 2;
	if (++tree.moved % PATIENCE == 0)
		return STATUS_BUSY;
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
		tree.moved = 0;
		tree.size = BATCH;
	}
	if (walk->first) {
		header->count_low = header->count_high = 0; /* of a first batch that was in vain */
		note_before(walk, header, mm);
		tree.from = 0;
		tree.standing = 0;
	} else if (!tree.standing || seq != tree.seq) {
		if (!control.want_digest && tree.standing)
			return begin_again(walk, header);
		tree.from = tree.seen[0].start;
		tree.standing = 0;
	}
	walk->seeding = !walk->first && !tree.standing;
	tree.seq = seq;
	fence(walk);
	next_batch(walk, mm);
	fence(walk);
	control.budget = control.budget > tree.looked ? control.budget - tree.looked : 0;
	if (!UNCHECKED && (write_locked(mm) || lock_seq_of(mm) != seq))
		return begin_again(walk, header);
	if (tree.torn)
		return STATUS_UNKNOWN;
	tree.moved = 0;
	if (tree.size < BATCH)
		tree.size *= 2;
	bpf_loop(tree.looked, account_next, &header_number, 0);
	if (tree.looked)
		tree.seen[0] = tree.seen[tree.looked & (BATCH - 1) ? : BATCH];
	return tree.over ? STATUS_OK : STATUS_MORE;
}

/* The next part of a wanted process; pid 0 is whoever runs this. Returns a status. */
static __always_inline int walk_wanted(struct wanted *wanted, struct walk *walk,
				       struct header *header, u32 header_number)
{
	u32 pid = wanted->task_pid;
	struct task_struct *found = bpf_task_from_pid(pid ? pid : bpf_get_current_pid_tgid() >> 32);
	struct task_struct *task;
	struct mm_struct *mm;
	int status = STATUS_GONE;

	if (!found)
		return status;
	/* of what is trusted the verifier looks up, field by field, whether it is trusted, too */
	task = bpf_rdonly_cast(found, bpf_core_type_id_kernel(struct task_struct));
	if (!pid || task->start_boottime == wanted->start_boottime) {
		mm = task->mm;
		if (!mm) {
			status = STATUS_NO_MM;
		} else if (!header->mm || header->mm == (u64)mm) { /* else exec in the middle */
			status = walk_batch(mm, walk, header, header_number);
			note_after(walk, header, mm);
			if (task->mm != mm)
				status = STATUS_GONE;
		}
	}
	bpf_task_release(found);
	return status;
}

#include "queue.bpf.h"

char LICENSE[] SEC("license") = "GPL";
