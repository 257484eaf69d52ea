/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The highest map_count of each process, looked at wherever VMAs are made.
 *
 * A process below the threshold pays one load and one comparison. Above it, each look is held
 * against its row, which has who it was: it may be gone when somebody reads.
 *
 * The includer has the programs. vmad/sources/bpf/bursts.py has the same numbers.
 */
#ifndef VMAD_BURSTS_BPF_H
#define VMAD_BURSTS_BPF_H

#include "known.bpf.h"

enum { BPF_ANY = 0 };

/* Shared with the reader, who writes the first. */
struct control {
	s32 from; /* processes with fewer VMAs are of no interest */
	u32 unused;
	u64 risen; /* times that a row rose */
	u64 lost; /* rises for which there was no row */
};

struct control control SEC(".data.control") = { .from = 0x7fffffff };

struct peak_key {
	u64 start_boottime;
	u64 tgid;
};

struct peak {
	s64 map_count;
	u64 at; /* ns since boot */
	struct caller who;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ROWS);
	__type(key, struct peak_key);
	__type(value, struct peak);
} peaks SEC(".maps");

/* one for each program: the kernel does not enter one twice on a CPU, but may another one */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, struct peak);
} scratch SEC(".maps");

static __always_inline int seen_high(struct mm_struct *mm, s64 map_count, u32 program)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct peak_key key = {};
	struct peak *row;

	if (BPF_CORE_READ(task, mm) != mm) /* somebody looks at it, or it is being made */
		return 0;
	key.tgid = BPF_CORE_READ(leader, tgid);
	key.start_boottime = BPF_CORE_READ(leader, start_boottime);
	row = bpf_map_lookup_elem(&peaks, &key);
	if (!row) {
		row = bpf_map_lookup_elem(&scratch, &program);
		if (!row || !known_to_reader(&row->who, leader, key.start_boottime))
			return 0;
		row->map_count = 0;
		bpf_map_update_elem(&peaks, &key, row, BPF_ANY);
		row = bpf_map_lookup_elem(&peaks, &key);
		if (!row) {
			__sync_fetch_and_add(&control.lost, 1);
			return 0;
		}
	}
	if (map_count > row->map_count) {
		row->map_count = map_count;
		row->at = bpf_ktime_get_boot_ns();
		__sync_fetch_and_add(&control.risen, 1);
	}
	return 0;
}

#endif
