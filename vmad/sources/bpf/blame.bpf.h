/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which call, with which stack, made each boundary of the recorded processes' address spaces.
 *
 * A VMA begins where the one below ends or where nothing is: its start is its boundary. What a call
 * could have made is looked at before it and after it: its edges (boundaries.bpf.h), and ranges that
 * it may replace (targets.bpf.h). Boundaries inside any other range only vanish, so that what is left
 * of them is dropped by whoever holds the table against the VMAs of the end.
 *
 * The includer has the programs that watch calls.
 */
#ifndef VMAD_BLAME_BPF_H
#define VMAD_BLAME_BPF_H

#include "kernel.bpf.h"
#include "calls.bpf.h"
#include "boundaries.bpf.h"
#include "followed.bpf.h"
#include "targets.bpf.h"

#define MAP_FIXED 0x10
#define MAP_FIXED_NOREPLACE 0x100000
#define PROT_EXEC 4
#define MREMAP_FIXED 2
#define PR_SET_VMA 0x53564d41
#define SHM_REMAP 040000

#define THREADS 16384
#define EDGES 6

/* A call on its way. */
struct pending {
	u64 arguments[5];
	u64 edge[EDGES];
	u32 there[EDGES]; /* enum there, before the call */
	u32 call;
	u32 edges;
	u64 several; /* an mremap of more than one VMA to elsewhere */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, THREADS);
	__type(key, u64); /* tgid and tid */
	__type(value, struct pending);
} pending SEC(".maps");

static __always_inline void add_edge(struct pending *call, u64 address, enum there before)
{
	u32 i = call->edges;

	if (i >= EDGES)
		return;
	call->edge[i] = address;
	call->there[i] = before;
	call->edges = i + 1;
}

static __always_inline void look_at(struct pending *call, u64 address)
{
	add_edge(call, address, look(address));
}

static __always_inline void look_at_range(struct pending *call, u64 start, u64 size)
{
	u64 from = page_down(start), to = page_up(start + size);

	if (!size || to <= from)
		return;
	look_at(call, from);
	look_at(call, to);
}

/* Before a call of a recorded process. */
static __always_inline void call_begins(u32 number, const u64 *arguments)
{
	u64 thread = bpf_get_current_pid_tgid();
	u32 tgid = thread >> 32;
	struct pending call = { .call = number };
	struct task_struct *task;
	struct mm_struct *mm;
	u64 old;

	if (!bpf_map_lookup_elem(&recorded, &tgid))
		return;
#pragma unroll
	for (int i = 0; i < 5; i++)
		call.arguments[i] = arguments[i];
	switch (number) {
	case CALL_MMAP:
		/* elsewhere nothing is replaced, and where it will be is not known yet */
		if (arguments[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE))
			look_at_range(&call, arguments[0], arguments[1]);
		break;
	case CALL_MREMAP:
		look_at_range(&call, arguments[0], arguments[1]);
		if (arguments[2] && page_up(arguments[2]) != page_up(arguments[1]))
			look_at(&call, page_up(arguments[0] + arguments[2]));
		if (arguments[3] & MREMAP_FIXED)
			look_at_range(&call, arguments[4], arguments[2]);
		/* nothing else moves more than one (mm/mremap.c, remap_move()) */
		call.several = arguments[3] & MREMAP_FIXED &&
			       end_of(arguments[0]) < page_up(arguments[0] + arguments[1]);
		if (call.several)
			note_target(thread, arguments[4], page_up(arguments[2]));
		break;
	case CALL_BRK:
		task = bpf_get_current_task_btf();
		mm = BPF_CORE_READ(task, mm);
		if (!mm || !arguments[0])
			return;
		old = page_up(BPF_CORE_READ(mm, brk));
		if (page_up(arguments[0]) == old)
			return;
		look_at(&call, old);
		look_at(&call, page_up(arguments[0]));
		break;
	case CALL_PRCTL:
		if (arguments[0] != PR_SET_VMA)
			return;
		look_at_range(&call, arguments[2], arguments[3]);
		break;
	case CALL_SHMAT:
		if (!arguments[1])
			break;
		look_at(&call, page_down(arguments[1]));
		/* how large it is only its end tells */
		if (arguments[2] & SHM_REMAP)
			note_target(thread, page_down(arguments[1]), STEPS * page_size());
		break;
	case CALL_IO_SETUP:
		break;
	default:
		look_at_range(&call, arguments[0], arguments[1]);
	}
	if (bpf_map_update_elem(&pending, &thread, &call, BPF_ANY))
		__sync_fetch_and_add(&control.lost_calls, 1);
}

static __always_inline int is_error(s64 result)
{
	return (u64)result >= (u64)-4095;
}

/* What a call that succeeded tells of its edges only now. */
static __always_inline void add_results(struct pending *call, u64 thread, u64 result)
{
	u32 tgid = thread >> 32;
	u64 size, end = 0;

	switch (call->call) {
	case CALL_MMAP:
		size = page_up(call->arguments[1]);
		if (!(call->arguments[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE))) {
			/* nothing was there, so that what starts at its end did before */
			add_edge(call, result, ABSENT);
			add_edge(call, result + size, PRESENT);
		}
		if (call->arguments[2] & PROT_EXEC) {
			mark_code(result, size);
			tell(EVENT_CODE, tgid, 0, result, size, 0, 0, 0);
		}
		break;
	case CALL_MREMAP:
		size = page_up(call->arguments[2]);
		if (result == call->arguments[0])
			break;
		if (!(call->arguments[3] & MREMAP_FIXED)) {
			add_edge(call, result, ABSENT);
			add_edge(call, result + size, PRESENT);
		}
		break;
	case CALL_SHMAT:
		if (!call->arguments[1])
			add_edge(call, result, ABSENT);
		if (starts_at(result, &end) == PRESENT)
			add_edge(call, end,
				 started_at(thread, end, call->arguments[2] & SHM_REMAP));
		break;
	case CALL_IO_SETUP:
		/* the ring's place is its context's name */
		if (!bpf_probe_read_user(&result, sizeof(result), (void *)call->arguments[1]))
			add_edge(call, result, ABSENT);
		break;
	case CALL_MPROTECT:
	case CALL_PKEY_MPROTECT:
		if (call->arguments[2] & PROT_EXEC) {
			mark_code(call->arguments[0], call->arguments[1]);
			tell(EVENT_CODE, tgid, 0, call->arguments[0], call->arguments[1], 0, 0,
			     0);
		}
		break;
	}
}

/* After a call; one that failed may have cut VMAs already. */
static __always_inline void call_ends(s64 result)
{
	u64 thread = bpf_get_current_pid_tgid(), stack = 0;
	u32 tgid = thread >> 32;
	struct pending *call = bpf_map_lookup_elem(&pending, &thread);

	if (!call)
		return;
	if (!is_error(result))
		add_results(call, thread, result);
	/* one that failed may have moved some */
	if (call->several)
		stack = settle_target(thread, tgid, call->arguments);
	if (call->call == CALL_SHMAT)
		bpf_map_delete_elem(&targets, &thread);
	for (u32 i = 0; i < EDGES; i++) {
		if (i >= call->edges)
			break;
		stack = settle(call->edge[i], call->there[i], call->call, stack);
	}
	__sync_fetch_and_add(&control.calls, 1);
	bpf_map_delete_elem(&pending, &thread);
}

#endif
