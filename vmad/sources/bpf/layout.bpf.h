/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the walks share with user space, and the state that they keep between two VMAs.
 *
 * vmad/sources/bpf/layout.py and vmad/model/table.py have the same structures:
 * tests/unit/test_bpf_constants.py holds them together.
 */
#ifndef VMAD_LAYOUT_BPF_H
#define VMAD_LAYOUT_BPF_H

#include "kernel.bpf.h"
#include "facts.bpf.h"

#define MAX_HEADERS 1024
#define MAX_ENTRIES 65536
#define MAX_ROWS 4096
#define MAX_DISTINCT 128 /* different facts values in one process; beyond: counted as lost */
#define HASH_SLOTS 256
#define HASH_PROBES 8
#define RULES 2
#define RUN_KEYS 256

enum status {
	STATUS_OK = 0,
	STATUS_MORE = 1, /* walk not ended: resume */
	STATUS_GONE = 2,
	STATUS_BUSY = 3, /* mmap_lock contended */
	STATUS_NO_MM = 4,
	STATUS_FULL = 5, /* no room for output: take what there is and resume */
	STATUS_UNKNOWN = 6, /* nobody wrote, and yet it is no tree that is known */
};

/* Whether the VMAs stood still from the first to the last. */
enum steady {
	STEADY_UNKNOWN = 0, /* mmap_lock was let go, and there is no mm_lock_seq (before 6.4) */
	STEADY_YES = 1,
	STEADY_NO = 2,
};

/* A process to walk. */
struct wanted {
	u32 task_pid; /* of the task to walk, in the initial pid namespace */
	u32 seen_pid; /* of its process, in the reader's */
	u64 start_boottime; /* ns; identity */
};

/* Set by user space before loading; a section of its own, so that nothing else is in it. */
struct settings {
	u64 ignored_flags;         /* canonical; vmad/rules/eras.py */
	u64 low_mask;              /* flags whose canonical bit is their own; vmad/model/flags.py */
	u64 high_mask[HIGH_FLAGS]; /* raw mask of a flag above bit 31, 0 = none */
	u32 high_bit[HIGH_FLAGS];  /* its canonical bit */
	u32 page_shift;
	u32 spare;
	u8 merge_table[RULES][RUN_KEYS]; /* vmad/rules/runs.py */
};

const volatile struct settings settings SEC(".rodata.settings") = {
	.ignored_flags = 1ULL << 27,
	.page_shift = 12,
};

struct entry {
	u64 facts;
	u64 count;
};

struct header {
	u64 start_boottime; /* ns; of the task that was walked */
	u64 mm;
	u64 digest; /* of what was seen of every VMA; 0 unless asked for */
	u32 task_pid; /* of that task, in the initial pid namespace */
	u32 position; /* in the queue */
	u32 status;
	s32 map_count; /* looked at last */
	u32 walked;
	u32 first_entry;
	u32 entries;
	u32 lost;    /* pairs that found no room in the histogram */
	u32 resumed; /* chunks that found another VMA where the one before had ended */
	u32 steady;
	u32 kinds[KIND_COUNT];
	u32 recoverable[RULES];
	s32 count_low, count_high; /* of map_count, as often as it was looked at */
	u32 spare;
};

struct row {
	u64 start, end, flags, facts, pgoff, anon_vma, file;
	u8 chain, exclusive, perms, kind, pair, spare[3];
};

struct control {
	u32 queued;   /* in: processes to walk */
	u32 position; /* in/out: the next one */
	u32 budget;   /* in/out: VMAs that may still be walked in this run */
	u32 chunk;    /* in: VMAs in one go: per hold, where mmap_lock is held */
	u32 want_rows;
	u32 headers; /* out: used */
	u32 entries;
	u32 rows;
	u32 status;  /* out: why the run stopped */
	u32 abandon; /* in: give up the process at `position` */
	u32 restart; /* in: forget a process that an earlier queue left unfinished */
	u32 want_digest;
	u32 held_ns; /* out: how long the last chunk held mmap_lock (held.bpf.c) */
};

struct control control SEC(".data.control");

/* what matters of one VMA; pointers only as numbers */
struct seen {
	u64 start, end, flags, file, uffd, name, policy, pgoff, shift, anon_vma;
	u8 chain, exclusive, unknown_exclusive;
	u8 anonymous; /* and private */
	u8 kind;
};

/* the merged run so far, as one set of rules sees it */
struct run {
	u64 anon_vma;
	u64 shift;
	u8 chain, exclusive;
};

/* where the walk of an address space stands */
struct walk {
	struct seen seen[2]; /* this VMA and the one before, taking turns */
	u32 turn;            /* lowest bit: which of them is this one */
	u8 first;            /* no VMA before this one */
	u8 seeding;  /* resuming: the first VMA is the last one seen, not to be counted again */
	u8 open;     /* header is being filled */
	u8 run_open; /* `run` holds the run that the VMA before belongs to */
	u64 session; /* of the seq_file that is being read (task_vma) */
	s64 lock_seq;
	u64 prev_end; /* task_vma: see let_go() */
	u64 laundry, canonical, fence;
	u64 last_facts; /* counted last, and its entry number + 1 */
	u32 last_number;
	u32 spare;
	struct run run[RULES];
	u16 hash[HASH_SLOTS]; /* entry number + 1 within this process */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_HEADERS);
	__type(key, u32);
	__type(value, struct header);
} headers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, u32);
	__type(value, struct entry);
} entries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_ROWS);
	__type(key, u32);
	__type(value, struct row);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct walk);
} walks SEC(".maps");

#endif
