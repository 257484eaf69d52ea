/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls that failed because of vm.max_map_count, at the moment when they return.
 *
 * A call that did not fail leaves after one comparison. One that failed is looked at twice: did it
 * fail as calls do at the limit, and does its process have as many VMAs as it takes for that (the
 * thresholds come from vmad/rules/at_limit.py, for this kernel)? Then it is counted under its
 * process, its call and its error, with who the process is, since it may be gone when somebody
 * reads. A process that fails a million times is one row.
 *
 * The includer has the programs. vmad/sources/bpf/failures.py has the same numbers.
 */
#ifndef VMAD_FAILURES_BPF_H
#define VMAD_FAILURES_BPF_H

#include "known.bpf.h"
#include "calls.bpf.h"

enum { BPF_NOEXIST = 1 };

/* how a call may fail earlier: thresholds beyond those of the calls */
enum { FORM_MMAP_FIXED = CALLS, FORM_MREMAP_FIXED, FORMS };

#define EAGAIN 11
#define ENOMEM 12
#define MAP_FIXED 0x10
#define MREMAP_FIXED_OR_DONTUNMAP 6
#define PR_SET_VMA 0x53564d41

/* Shared with the reader, who writes the first two and adjusts them to the sysctl. */
struct control {
	s32 from[32]; /* by form: fewer VMAs than this, and the limit is not why it failed */
	s32 max_map_count;
	u32 unused;
	u64 recorded; /* failures in rows */
	u64 lost; /* failures for which there was no row left */
};

struct control control SEC(".data.control") = {};

struct failure_key {
	u64 start_boottime;
	u32 tgid;
	u16 call, error;
};

struct failure {
	u64 count;
	u64 last; /* ns since boot */
	s64 map_count, max_map_count; /* at the last one */
	struct caller who;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ROWS);
	__type(key, struct failure_key);
	__type(value, struct failure);
} failures SEC(".maps");

/* one for each call: the kernel does not enter a program twice on a CPU, but may another one */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CALLS);
	__type(key, u32);
	__type(value, struct failure);
} scratch SEC(".maps");

static __always_inline int is_error(s64 result)
{
	return (u64)result >= (u64)-4095;
}

/* Which threshold a failed call is held against. */
static __always_inline u32 form_of(u32 call, u64 fourth)
{
	if (call == CALL_MMAP && fourth & MAP_FIXED)
		return FORM_MMAP_FIXED;
	if (call == CALL_MREMAP && fourth & MREMAP_FIXED_OR_DONTUNMAP)
		return FORM_MREMAP_FIXED;
	return call;
}

static __always_inline int failed(u32 call, u32 form, u32 error)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct failure_key key = { .call = call, .error = error };
	struct failure *row;
	s64 map_count;

	if (!mm)
		return 0;
	map_count = map_count_now(mm);
	if (map_count < control.from[form & 31] || !control.max_map_count)
		return 0;
	key.tgid = BPF_CORE_READ(leader, tgid);
	key.start_boottime = BPF_CORE_READ(leader, start_boottime);
	row = bpf_map_lookup_elem(&failures, &key);
	if (!row) {
		row = bpf_map_lookup_elem(&scratch, &call);
		if (!row || !known_to_reader(&row->who, leader, key.start_boottime))
			return 0;
		row->count = 0;
		bpf_map_update_elem(&failures, &key, row, BPF_NOEXIST);
		row = bpf_map_lookup_elem(&failures, &key);
		if (!row) {
			__sync_fetch_and_add(&control.lost, 1);
			return 0;
		}
	}
	row->last = bpf_ktime_get_boot_ns();
	row->map_count = map_count;
	row->max_map_count = control.max_map_count;
	__sync_fetch_and_add(&row->count, 1);
	__sync_fetch_and_add(&control.recorded, 1);
	return 0;
}

/* At the return of a call that is no brk; regs still has its arguments. */
static __always_inline int call_returned(u32 call, struct pt_regs *regs, s64 result)
{
	u64 fourth = 0;

	if (!is_error(result))
		return 0;
	if (result != -ENOMEM && !(result == -EAGAIN && call == CALL_MADVISE))
		return 0;
	if (call == CALL_PRCTL && first_argument(regs) != PR_SET_VMA)
		return 0;
	if (call == CALL_MMAP || call == CALL_MREMAP)
		fourth = fourth_argument(regs);
	return failed(call, form_of(call, fourth), -result);
}

/* brk returns where the end is: it failed when that is not where it was asked to be. */
static __always_inline int brk_returned(struct pt_regs *regs, s64 result)
{
	u64 asked = first_argument(regs);

	if (asked <= (u64)result)
		return 0; /* moved, or asked where it is */
	return failed(CALL_BRK, CALL_BRK, ENOMEM);
}

#endif
