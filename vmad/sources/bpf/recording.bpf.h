/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs that record boundaries and their reader share: settings, processes, boundaries,
 * events. vmad/sources/bpf/blame.py has the same numbers.
 */
#ifndef VMAD_RECORDING_BPF_H
#define VMAD_RECORDING_BPF_H

#include "kernel.bpf.h"

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_ANY = 0 };

#define PROCESSES 1024
#define RING (1 << 25)

/* Set before loading. */
struct settings {
	u32 namespace_ino; /* the pid namespace of the reader */
	u32 page_shift;
};

const volatile struct settings settings SEC(".rodata.settings") = { .page_shift = 12 };

/* Shared with the reader, who writes wanted, follow and keep. */
struct control {
	s32 wanted; /* the process to begin with, as the reader numbers it; see vmad_begin */
	u32 follow; /* whether children are recorded, too */
	u32 tgid; /* of the first one, once vmad_begin has met it */
	u32 keep; /* forget no boundary: the reader is about to look at the VMAs that there are */
	u64 sequence; /* of boundaries made, forks and execs, in one order */
	u64 calls; /* recorded ones */
	u64 busy; /* looks at an edge that mmap_lock forbade */
	u64 lost_boundaries, lost_stacks, lost_calls, lost_events;
};

struct control control SEC(".data.control") = {};

struct recorded {
	u64 since; /* sequence: of its last exec, or of its fork */
	u32 parent; /* tgid; 0: none that is recorded */
	u32 pid; /* as the reader numbers it */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROCESSES);
	__type(key, u32); /* tgid */
	__type(value, struct recorded);
} recorded SEC(".maps");

struct boundary_key {
	u64 address;
	u64 tgid;
};

enum { SEEN_EXACTLY, NOT_SEEN_BEFORE, NOT_SEEN_AFTER };

struct boundary {
	u64 stack; /* key */
	u64 sequence;
	u64 when; /* ns since boot */
	u32 call;
	u32 doubt; /* the bits of 1 << NOT_SEEN_... */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072); /* the reader sets it */
	__type(key, struct boundary_key);
	__type(value, struct boundary);
} boundaries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING);
} events SEC(".maps");

enum event_kind { EVENT_STACK, EVENT_EXEC, EVENT_FORK, EVENT_MOVE, EVENT_CODE };

struct event {
	u32 kind;
	u32 tgid;
	u64 sequence;
	u64 values[5];
};

static __always_inline u64 next_in_order(void)
{
	return __sync_fetch_and_add(&control.sequence, 1) + 1;
}

static __always_inline void tell(u32 kind, u32 tgid, u64 sequence, u64 a, u64 b, u64 c, u64 d,
				 u64 e)
{
	struct event event = { .kind = kind, .tgid = tgid, .sequence = sequence };

	event.values[0] = a;
	event.values[1] = b;
	event.values[2] = c;
	event.values[3] = d;
	event.values[4] = e;
	if (bpf_ringbuf_output(&events, &event, sizeof(event), 0))
		__sync_fetch_and_add(&control.lost_events, 1);
}

#endif
