/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ranges that a call may replace in more places than its edges: every VMA's start in them, before
 * and after.
 *
 * A move of several VMAs (6.17) carries its inner boundaries along: every start in its target is
 * looked at, or, where that is too much, the move is told as an event.
 */
#ifndef VMAD_TARGETS_BPF_H
#define VMAD_TARGETS_BPF_H

#include "boundaries.bpf.h"
#include "calls.bpf.h"

#define TARGETS 64 /* at a time */
#define STARTS 256 /* in one */
#define STEPS 8192 /* through it: VMAs, and pages where none is */

/* Where VMAs started before a call, in a range that it may replace in more places than its edges. */
struct target {
	u32 starts;
	u32 unused;
	u64 until; /* these are all below here */
	u64 start[STARTS];
};

const struct target no_target SEC(".rodata.target") = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TARGETS);
	__type(key, u64); /* tgid and tid */
	__type(value, struct target);
} targets SEC(".maps");

/* Through the target of a move, from start to start; `next` is in the list of those before. */
struct walk {
	u64 thread, at, end, stack;
	u32 next, whole;
};

/* Where the VMA at walk->at starts and ends; false where none is. */
static __always_inline int vma_met(struct walk *walk, struct look *look)
{
	struct search search = { .address = walk->at };

	look_for(&search);
	if (search.result == -EBUSY)
		walk->whole = 0;
	*look = search.look;
	return !search.result;
}

static long note_start(u32 i, struct walk *walk)
{
	struct target *target = bpf_map_lookup_elem(&targets, &walk->thread);
	struct look look = {};
	u32 place;

	if (!target || walk->at >= walk->end || !walk->whole)
		return 1;
	if (!vma_met(walk, &look)) {
		walk->at += page_size();
		return 0;
	}
	if (look.start == walk->at) {
		place = target->starts;
		if (place >= STARTS) {
			walk->whole = 0;
			return 1;
		}
		target->start[place] = look.start;
		target->starts = place + 1;
	}
	walk->at = look.end;
	return 0;
}

static __always_inline void note_target(u64 thread, u64 start, u64 size)
{
	struct walk walk = { .thread = thread, .at = start + page_size(), .end = start + size };
	struct target *target;

	if (start & (page_size() - 1) || bpf_map_update_elem(&targets, &thread, &no_target, BPF_ANY))
		return;
	walk.whole = 1;
	bpf_loop(STEPS, note_start, &walk, 0);
	target = bpf_map_lookup_elem(&targets, &thread);
	if (target)
		target->until = walk.at;
}

static long settle_start(u32 i, struct walk *walk)
{
	struct target *target = bpf_map_lookup_elem(&targets, &walk->thread);
	struct look look = {};
	u32 next = walk->next;

	if (!target || walk->at >= walk->end || !walk->whole)
		return 1;
	if (next < STARTS && next < target->starts && target->start[next] < walk->at) {
		walk->next = next + 1;
		return 0;
	}
	if (!vma_met(walk, &look)) {
		walk->at += page_size();
		return 0;
	}
	if (look.start == walk->at) {
		if (next >= STARTS || next >= target->starts || target->start[next] != walk->at)
			walk->stack = settle(walk->at, ABSENT, CALL_MREMAP, walk->stack);
	}
	walk->at = look.end;
	return 0;
}

/* What a move of several VMAs made inside its target. */
static __always_inline u64 settle_target(u64 thread, u32 tgid, const u64 *arguments)
{
	struct target *target = bpf_map_lookup_elem(&targets, &thread);
	u64 size = page_up(arguments[2]);
	struct walk walk = { .thread = thread, .at = arguments[4] + page_size() };

	walk.end = arguments[4] + size;
	walk.whole = target && target->until >= walk.end;
	bpf_loop(STEPS, settle_start, &walk, 0);
	if (!walk.whole || walk.at < walk.end) {
		if (!walk.stack)
			walk.stack = stack_of(CALL_MREMAP);
		tell(EVENT_MOVE, tgid, next_in_order(), arguments[0],
		     page_up(arguments[1]), arguments[4], size, walk.stack);
	}
	bpf_map_delete_elem(&targets, &thread);
	return walk.stack;
}

struct sought {
	u64 thread, address, found;
};

static long is_sought(u32 i, struct sought *sought)
{
	struct target *target = bpf_map_lookup_elem(&targets, &sought->thread);

	if (!target || i >= STARTS || i >= target->starts)
		return 1;
	sought->found = target->start[i] == sought->address;
	return sought->found;
}

/* Whether a VMA started there before an attachment: where nothing was replaced, what is there did. */
static __always_inline enum there started_at(u64 thread, u64 address, int replaces)
{
	struct target *target = bpf_map_lookup_elem(&targets, &thread);
	struct sought sought = { .thread = thread, .address = address };

	if (!target)
		return replaces ? UNKNOWN : PRESENT;
	bpf_loop(STARTS, is_sought, &sought, 0);
	return sought.found ? PRESENT : address < target->until ? ABSENT : UNKNOWN;
}

#endif
