/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One address space, VMA by VMA: facts of each pair, counted; or a row per VMA.
 *
 * Both walks (open_coded.bpf.c, task_vma.bpf.c) include this. All state between two VMAs lives
 * in map values and the step is a noinline function: kept in registers or on the stack, the
 * verifier does not converge on the open-coded loop.
 */
#ifndef VMAD_WALK_BPF_H
#define VMAD_WALK_BPF_H

#include "layout.bpf.h"
#include "compare.bpf.h"
#include "look.bpf.h"
#include "task.bpf.h"

/* One pair into the histogram of the process: open addressing, entries in order of appearance. */
__noinline int count_facts(u32 header_number, u64 facts)
{
	u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct header *header = bpf_map_lookup_elem(&headers, &header_number);
	u64 mixed = (facts ^ facts >> 29) * 0x9e3779b97f4a7c15ULL;
	u32 slot = mixed >> 56;
	int i;

	if (!walk || !header)
		return 0;
	for (i = 0; i < HASH_PROBES; i++, slot++) {
		u32 number = walk->hash[slot & (HASH_SLOTS - 1)], index;
		struct entry *entry;

		if (!number) {
			number = header->entries + 1;
			index = header->first_entry + header->entries;
			if (number > MAX_DISTINCT)
				break;
			entry = bpf_map_lookup_elem(&entries, &index);
			if (!entry)
				break;
			entry->facts = facts;
			entry->count = 1;
			header->entries = number;
			walk->hash[slot & (HASH_SLOTS - 1)] = number;
			walk->last_facts = facts;
			walk->last_number = number;
			return 0;
		}
		index = header->first_entry + number - 1;
		entry = bpf_map_lookup_elem(&entries, &index);
		if (!entry)
			break;
		if (entry->facts == facts) {
			entry->count++;
			walk->last_facts = facts;
			walk->last_number = number;
			return 0;
		}
	}
	header->lost++;
	return 0;
}

/*
 * A number that the verifier knows nothing of: what it knows of bits that were put together it
 * follows on every way through what comes, each by itself.
 */
static __always_inline u64 any_number(struct walk *walk, u64 number)
{
	*(volatile u64 *)&walk->laundry = number;
	return *(volatile u64 *)&walk->laundry;
}

/* 1 or 0, without a branch; the barrier keeps the compiler from making one of it */
static __always_inline u64 differ(u64 a, u64 b)
{
	u64 difference = a ^ b, negative = -difference;

	asm volatile("" : "+r"(negative));
	return (difference | negative) >> 63;
}

static __always_inline u64 facts_of_pair(struct walk *walk, struct seen *a, struct seen *b)
{
	u64 facts = 0, differing = a->flags ^ b->flags;

	if (differing) {
		canonical_flags(differing);
		facts = walk->canonical << FACT_FLAGS_SHIFT;
	}
	facts |= differ((a->flags | b->flags) & FLAG_SPECIAL, 0) * FACT_SPECIAL;
	facts |= differ(a->file, b->file) * FACT_FILE;
	facts |= differ(a->uffd, b->uffd) * FACT_UFFD;
	if (a->name != b->name && (!a->name || !b->name || !same_name(a->name, b->name, 0)))
		facts |= FACT_NAME;
	if (a->policy != b->policy &&
	    (!a->policy || !b->policy || !same_policy(a->policy, b->policy, 0)))
		facts |= FACT_POLICY;
	facts |= differ(a->shift, b->shift) * FACT_PGOFF;
	if (b->anon_vma && a->anon_vma == b->anon_vma)
		facts |= FACT_AV_SAME;
	facts |= (u64)a->chain << FACT_A_AV_SHIFT | (u64)b->chain << FACT_B_AV_SHIFT;
	facts |= (u64)(a->exclusive & 1) * FACT_A_EXCLUSIVE;
	facts |= (u64)(b->exclusive & 1) * FACT_B_EXCLUSIVE;
	facts |= (u64)((a->unknown_exclusive | b->unknown_exclusive) & 1) * FACT_UNKNOWN_EXCLUSIVE;
	return any_number(walk, facts);
}

static __always_inline void start_run(struct run *run, struct seen *from)
{
	run->anon_vma = from->anon_vma;
	run->shift = from->shift;
	run->chain = from->chain;
	run->exclusive = from->exclusive;
}

/* vmad/rules/runs.py says what a merge table means; this applies it. Returns VMAs recovered. */
static __always_inline u32 extend_run(struct walk *walk, struct run *run, struct seen *b, int rules)
{
	u32 key = run->chain | b->chain << 2 | run->exclusive << 4 | b->exclusive << 5;
	u8 keep;

	if (run->anon_vma && run->anon_vma == b->anon_vma)
		key |= 1 << 6;
	key |= differ(run->shift, b->shift) << 7;
	key = any_number(walk, key);
	keep = settings.merge_table[rules][key & (RUN_KEYS - 1)];
	if (keep != 1)
		start_run(run, b);
	return keep ? 1 : 0;
}

#define FACTS_OF_RUNS                                                                              \
	(FACT_PGOFF | FACT_AV_SAME | 3ULL << FACT_A_AV_SHIFT | 3ULL << FACT_B_AV_SHIFT |           \
	 FACT_A_EXCLUSIVE | FACT_B_EXCLUSIVE | FACT_UNKNOWN_EXCLUSIVE)

static __always_inline u64 account_pair(u32 header_number, struct header *header,
					struct walk *walk, struct seen *a, struct seen *b)
{
	u64 facts = facts_of_pair(walk, a, b);
	u32 index = header->first_entry + walk->last_number - 1;
	struct entry *entry;

	if (walk->last_number && walk->last_facts == facts) {
		entry = bpf_map_lookup_elem(&entries, &index);
		if (entry)
			entry->count++;
	} else {
		count_facts(header_number, facts);
	}
	if (facts & ~(FACTS_OF_RUNS | settings.ignored_flags << FACT_FLAGS_SHIFT)) {
		walk->run_open = 0;
		return facts;
	}
	if (!walk->run_open) {
		walk->run_open = 1;
		start_run(&walk->run[0], a);
		start_run(&walk->run[1], a);
	}
	header->recoverable[0] += extend_run(walk, &walk->run[0], b, 0);
	header->recoverable[1] += extend_run(walk, &walk->run[1], b, 1);
	return facts;
}

static __noinline int write_row(struct seen *b, u64 facts, int pair)
{
	u32 number = control.rows;
	struct row *row = bpf_map_lookup_elem(&rows, &number);

	if (!row)
		return 0;
	row->start = b->start;
	row->end = b->end;
	row->flags = b->flags;
	row->facts = facts;
	row->pgoff = b->pgoff;
	row->anon_vma = b->anon_vma;
	row->file = b->file;
	row->chain = b->chain;
	row->exclusive = b->exclusive;
	row->perms = (b->flags & FLAG_ACCESS) | !!(b->flags & FLAG_MAYSHARE) << 3; /* as maps has it */
	row->kind = b->kind;
	row->pair = pair;
	control.rows = number + 1;
	return 0;
}

/* Two walks with the same digest have seen the same VMAs. */
static __noinline int digest(struct header *header, struct seen *seen, u64 facts)
{
	u64 mixed = header->digest;

	mixed = (mixed ^ seen->start) * 0x9e3779b97f4a7c15ULL;
	mixed = (mixed ^ mixed >> 32 ^ seen->end) * 0x9e3779b97f4a7c15ULL;
	mixed = (mixed ^ mixed >> 32 ^ seen->flags) * 0x9e3779b97f4a7c15ULL;
	mixed = (mixed ^ mixed >> 32 ^ seen->pgoff) * 0x9e3779b97f4a7c15ULL;
	mixed = (mixed ^ mixed >> 32 ^ seen->anon_vma ^ seen->kind) * 0x9e3779b97f4a7c15ULL;
	mixed = (mixed ^ mixed >> 32 ^ facts) * 0x9e3779b97f4a7c15ULL;
	header->digest = mixed ^ mixed >> 32;
	return 0;
}

/*
 * What has been seen of a VMA is complete: its pair with `a`, the VMA before, its kind. Afterwards
 * `b` is the one before.
 */
static __always_inline void account_for(u32 header_number, struct header *header,
					struct walk *walk, struct seen *a, struct seen *b)
{
	u64 facts = 0, kind;
	int pair;

	if (walk->seeding) {
		walk->seeding = 0;
		if (a->start == b->start && a->end == b->end) {
			if (a->flags != b->flags || a->pgoff != b->pgoff)
				header->resumed++; /* the pair to come is of another VMA */
			return; /* pointers may have changed while unlocked */
		}
		/* another VMA than the last one seen; count it unless it lies below */
		header->resumed++;
		if (b->end <= a->end) {
			*b = *a;
			return;
		}
		a->anonymous = 0;
	}
	pair = !walk->first && a->anonymous && b->anonymous && a->end == b->start;
	if (pair)
		facts = account_pair(header_number, header, walk, a, b);
	else
		walk->run_open = 0;
	if (control.want_rows)
		write_row(b, facts, pair);
	if (control.want_digest)
		digest(header, b, facts);
	kind = b->kind;
	asm volatile("" : "+r"(kind)); /* one register is both compared and used */
	if (kind < KIND_COUNT)
		header->kinds[kind]++;
	header->walked++;
	walk->first = 0;
}

static __always_inline void begin_process(struct walk *walk, struct header *header)
{
	u64 session = walk->session;

	__builtin_memset(walk, 0, sizeof(*walk));
	__builtin_memset(header, 0, sizeof(*header));
	walk->first = 1;
	walk->open = 1;
	walk->session = session;
	header->first_entry = control.entries;
}

/* What the check costs is measured against a walk without it (bench/check.py). */
#ifndef UNCHECKED
#define UNCHECKED 0
#endif

static __always_inline void note_count(struct header *header, struct mm_struct *mm)
{
	s32 count = map_count_of(mm);

	header->map_count = count;
	if (count > header->count_high)
		header->count_high = count;
	if (count < header->count_low || !header->count_low)
		header->count_low = count;
}

/* Before a process's first VMA. */
static __always_inline void note_before(struct walk *walk, struct header *header,
					struct mm_struct *mm)
{
	s64 seq;

	if (UNCHECKED)
		return;
	seq = lock_seq_of(mm);
	note_count(header, mm);
	walk->lock_seq = seq;
	header->steady = seq < 0 ? STEADY_UNKNOWN : lock_seq_busy(seq) ? STEADY_NO : STEADY_YES;
}

/* After each VMA that may be the last: still steady if nobody has had the lock for writing. */
static __always_inline void note_after(struct walk *walk, struct header *header,
				       struct mm_struct *mm)
{
	if (UNCHECKED)
		return;
	note_count(header, mm);
	if (header->steady == STEADY_YES &&
	    (write_locked(mm) || lock_seq_of(mm) != walk->lock_seq))
		header->steady = STEADY_NO;
}

#endif
