/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program of type "syscall" that walks what user space has queued.
 *
 * User space queues processes, runs the program until the queue is empty, and reads the results
 * through mmap. Whoever includes this has walk_wanted(), which walks the next part of a process.
 */
#ifndef VMAD_QUEUE_BPF_H
#define VMAD_QUEUE_BPF_H

#include "walk.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_HEADERS);
	__type(key, u32);
	__type(value, struct wanted);
} queue SEC(".maps");

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
	return !control.budget || (control.want_rows && control.rows + control.chunk > MAX_ROWS);
}

SEC("syscall")
int run(void *ctx)
{
	control.status = STATUS_OK;
	bpf_loop(1 << 16, one_chunk, NULL, 0);
	return 0;
}

#endif
