/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One address space, VMA by VMA: facts of each pair, counted; or a row per VMA.
 *
 * Both walkers (open_coded.bpf.c, task_vma.bpf.c) include this. All state between two VMAs lives
 * in map values and the step is a noinline function: kept in registers or on the stack, the
 * verifier does not converge on the open-coded loop.
 */
#ifndef VMAD_WALK_BPF_H
#define VMAD_WALK_BPF_H

#include "kernel.bpf.h"
#include "facts.bpf.h"
#include "task.bpf.h"

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
};

/* Set by user space before loading; a section of its own, so that nothing else is in it. */
struct settings {
	u64 ignored_flags;         /* canonical; vmad/rules/eras.py */
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
	u64 start_boottime; /* ns */
	u64 mm;
	u32 pid; /* in the reader's pid namespace */
	u32 status;
	s32 map_count;
	u32 walked;
	u32 first_entry;
	u32 entries;
	u32 lost;    /* pairs that found no room in the histogram */
	u32 resumed; /* walks that found another VMA where they had left off */
	u32 kinds[KIND_COUNT];
	u32 recoverable[RULES];
	u32 init_pid; /* in the initial pid namespace */
};

struct row {
	u64 start, end, flags, facts, pgoff, anon_vma, file;
	u8 chain, exclusive, perms, kind, pair, spare[3];
};

/* the merged run so far, as one set of rules sees it */
struct run {
	u64 anon_vma;
	u64 shift;
	u8 chain, exclusive;
};

/* what matters of one VMA; pointers only as numbers */
struct seen {
	u64 start, end, flags, file, uffd, name, policy, pgoff, shift, anon_vma;
	u8 chain, exclusive, unknown_exclusive;
	u8 anonymous; /* and private */
	u8 kind;
};

/* where the walk of an address space stands */
struct walk {
	struct seen a; /* the VMA before */
	struct seen b; /* this one */
	u8 first; /* no VMA before this one */
	u8 seeding; /* resuming: the first VMA is the last one seen, not to be counted again */
	u8 open;    /* header is being filled */
	u64 laundry, canonical;
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

/* scratch for comparing names and policies by content */
struct scratch {
	u64 a[16], b[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct control {
	u32 queued;   /* in: processes to walk */
	u32 position; /* in/out: the next one */
	u32 budget;   /* in/out: VMAs that may still be walked in this run */
	u32 chunk;    /* in: VMAs per hold of mmap_lock */
	u32 want_rows;
	u32 headers; /* out: used */
	u32 entries;
	u32 rows;
	u32 status; /* out: why the run stopped */
	u32 busy;   /* out: times that mmap_lock was contended */
	u32 abandon; /* in: give up the process at `position` */
};

struct control control SEC(".data.control");

#define ANON_NAME_WORDS 10 /* ANON_VMA_NAME_MAX_LEN 80 */

__noinline int same_name(u64 a, u64 b)
{
	u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	long offset = bpf_core_field_offset(struct anon_vma_name, name);
	int i;

	if (!scratch)
		return 0;
	__builtin_memset(scratch, 0, sizeof(*scratch));
	if (bpf_probe_read_kernel_str(scratch->a, ANON_NAME_WORDS * 8, (void *)(a + offset)) < 0)
		return 0;
	if (bpf_probe_read_kernel_str(scratch->b, ANON_NAME_WORDS * 8, (void *)(b + offset)) < 0)
		return 0;
	/* strings shorter than the buffer leave the zeroes behind them */
	for (i = 0; i < ANON_NAME_WORDS; i++)
		if (scratch->a[i] != scratch->b[i])
			return 0;
	return 1;
}

__noinline int same_nodes(u64 a, u64 b)
{
	u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	int i;
	/* a constant once loaded: 128 bytes for 1,024 nodes */
	u32 size = bpf_core_field_size(struct mempolicy, nodes);

	if (!scratch || size == 0 || size > sizeof(scratch->a))
		return 0;
	__builtin_memset(scratch, 0, sizeof(*scratch));
	if (bpf_probe_read_kernel(scratch->a, size, (void *)a) < 0)
		return 0;
	if (bpf_probe_read_kernel(scratch->b, size, (void *)b) < 0)
		return 0;
	for (i = 0; i < 16; i++)
		if (scratch->a[i] != scratch->b[i])
			return 0;
	return 1;
}

/* mm/mempolicy.c, __mpol_equal() */
__noinline int same_policy(u64 a, u64 b)
{
	struct mempolicy *pa = (void *)a, *pb = (void *)b;
	u16 flags = BPF_CORE_READ(pa, flags);
	u16 mode = BPF_CORE_READ(pa, mode);
	u32 nodes = bpf_core_field_offset(struct mempolicy, nodes);
	u32 user = bpf_core_field_offset(struct mempolicy, w.user_nodemask);

	if (mode != BPF_CORE_READ(pb, mode) || flags != BPF_CORE_READ(pb, flags))
		return 0;
	if (bpf_core_field_exists(struct mempolicy, home_node) &&
	    BPF_CORE_READ(pa, home_node) != BPF_CORE_READ(pb, home_node))
		return 0;
	/* MPOL_MODE_FLAGS: STATIC_NODES 15, RELATIVE_NODES 14, NUMA_BALANCING 13 */
	if (flags & (1 << 15 | 1 << 14 | 1 << 13) && !same_nodes(a + user, b + user))
		return 0;
	/* MPOL_LOCAL 4 has no nodes; a mode without any (MPOL_DEFAULT 0) never is a VMA's */
	if (mode == 4)
		return 1;
	return same_nodes(a + nodes, b + nodes);
}

/* Raw flags in the canonical numbering, into walk->canonical (vmad/model/flags.py). */
__noinline int canonical_flags(u64 raw)
{
	u64 high = raw >> 32 << 32, result = raw & FLAGS_LOW_MASK;
	u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	int i;

	if (!walk)
		return 0;
	if (high) {
		for (i = 0; i < HIGH_FLAGS; i++) {
			u64 mask = settings.high_mask[i];
			u64 hit = high & mask;

			/* without a branch: eight of them are 256 paths to the verifier */
			hit = (hit | -hit) >> 63;
			result |= hit << (settings.high_bit[i] & 31);
			high &= ~mask;
		}
		if (high)
			result |= FLAG_UNNAMED;
	}
	walk->canonical = result;
	return 0;
}

#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6

/* vmad/model/kinds.py has the order of the tests */
static __always_inline u8 kind_of(struct vm_area_struct *vma, u64 flags, u64 file, int anonymous)
{
	if (file && !anonymous) {
		struct file *f = vma->vm_file;
		unsigned long magic = f->f_inode->i_sb->s_magic;
		struct dentry *dentry = f->f_path.dentry;

		if (magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC)
			return KIND_SHARED_MEMORY;
		/* d_unlinked(): what makes maps say " (deleted)" */
		if (!dentry->d_hash.pprev && dentry->d_parent != dentry)
			return KIND_FILE_DELETED;
		return KIND_FILE;
	}
	if (!anonymous)
		return KIND_SPECIAL;
	if (!file) {
		struct mm_struct *mm = vma->vm_mm;

		/* fs/proc/task_mmu.c, as of 6.6 vma_is_initial_heap() / _stack() */
		if (vma->vm_start < mm->brk && vma->vm_end > mm->start_brk)
			return KIND_HEAP;
		if (vma->vm_start <= mm->start_stack && vma->vm_end >= mm->start_stack)
			return KIND_STACK;
	}
	if (!(flags & FLAG_ACCESS))
		return KIND_ANON_NO_ACCESS;
	return flags & FLAG_WRITE ? KIND_ANON_WRITABLE : KIND_ANON_OTHER;
}

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
			return 0;
		}
		index = header->first_entry + number - 1;
		entry = bpf_map_lookup_elem(&entries, &index);
		if (!entry)
			break;
		if (entry->facts == facts) {
			entry->count++;
			return 0;
		}
	}
	header->lost++;
	return 0;
}

/*
 * A kernel pointer as a plain number. The verifier forbids arithmetic on pointers that it tracks;
 * one stored to a map value and loaded again is a scalar to it. Cheaper than a probe read.
 */
static __always_inline u64 number_of(struct walk *walk, const void *pointer)
{
	*(volatile u64 *)&walk->laundry = (u64)pointer;
	return *(volatile u64 *)&walk->laundry;
}

/* vmad/rules/runs.py says what a merge table means; this applies it */
static __always_inline void extend_run(struct run *run, struct seen *b, int rules, int joinable,
				       u32 *recoverable)
{
	u8 keep = 0;

	if (joinable) {
		u32 key = run->chain | b->chain << 2 | run->exclusive << 4 | b->exclusive << 5;

		if (run->anon_vma && run->anon_vma == b->anon_vma)
			key |= 1 << 6;
		if (run->shift != b->shift)
			key |= 1 << 7;
		keep = settings.merge_table[rules][key & (RUN_KEYS - 1)];
		if (keep)
			(*recoverable)++;
	}
	if (keep == 1)
		return;
	run->anon_vma = b->anon_vma;
	run->shift = b->shift;
	run->chain = b->chain;
	run->exclusive = b->exclusive;
}

/* Everything that is wanted of a VMA, into walk->b: the only function that touches it. */
static __noinline int look_at(struct vm_area_struct *vma, struct walk *walk)
{
	struct anon_vma *anon_vma = vma->anon_vma;
	struct seen *b = &walk->b;
	u64 file = number_of(walk, vma->vm_file);
	u64 av = number_of(walk, anon_vma);

	b->start = vma->vm_start;
	b->end = vma->vm_end;
	b->flags = vma->vm_flags;
	b->pgoff = vma->vm_pgoff;
	b->file = file;
	b->anon_vma = av;
	b->shift = b->pgoff - (b->start >> settings.page_shift);
	b->anonymous = !number_of(walk, vma->vm_ops) && !(b->flags & FLAG_SHARED);
	b->uffd = b->policy = b->name = 0;
	if (bpf_core_field_exists(vma->vm_userfaultfd_ctx.ctx))
		b->uffd = number_of(walk, vma->vm_userfaultfd_ctx.ctx);
	if (bpf_core_field_exists(vma->vm_policy))
		b->policy = number_of(walk, vma->vm_policy);
	/* until 6.1 a union with shared.rb, which only file VMAs use */
	if (bpf_core_field_exists(vma->anon_name) && !file)
		b->name = number_of(walk, vma->anon_name);
	b->kind = kind_of(vma, b->flags, file, b->anonymous);

	b->chain = AV_NONE;
	b->exclusive = b->unknown_exclusive = 0;
	if (!av)
		return 0;
	/* not empty, since anon_vma is set: one entry when next and prev are the same */
	if (vma->anon_vma_chain.next != vma->anon_vma_chain.prev) {
		b->chain = AV_CHAIN;
		return 0;
	}
	b->chain = AV_SINGULAR;
	if (av == walk->a.anon_vma && walk->a.chain == AV_SINGULAR) {
		/* the anon_vma of the VMA before: spare the pointer chase */
		b->exclusive = walk->a.exclusive;
		b->unknown_exclusive = walk->a.unknown_exclusive;
		return 0;
	}
	if (number_of(walk, anon_vma->root) != av)
		return 0;
	if (bpf_core_field_exists(anon_vma->num_children)) {
		b->exclusive = anon_vma->num_children <= 1; /* a root counts itself */
	} else {
		struct anon_vma___degree *old = (void *)anon_vma;

		b->exclusive = BPF_CORE_READ(old, degree) <= 1;
		b->unknown_exclusive = !b->exclusive; /* split VMAs, or children */
	}
	return 0;
}

static __always_inline u64 facts_of_pair(struct walk *walk, struct seen *a, struct seen *b)
{
	u64 facts;

	canonical_flags(a->flags ^ b->flags);
	facts = walk->canonical << FACT_FLAGS_SHIFT;

	if ((a->flags | b->flags) & FLAG_SPECIAL)
		facts |= FACT_SPECIAL;
	if (a->file != b->file)
		facts |= FACT_FILE;
	if (a->uffd != b->uffd)
		facts |= FACT_UFFD;
	if (a->name != b->name && (!a->name || !b->name || !same_name(a->name, b->name)))
		facts |= FACT_NAME;
	if (a->policy != b->policy &&
	    (!a->policy || !b->policy || !same_policy(a->policy, b->policy)))
		facts |= FACT_POLICY;
	if (a->shift != b->shift)
		facts |= FACT_PGOFF;
	if (b->anon_vma && a->anon_vma == b->anon_vma)
		facts |= FACT_AV_SAME;
	facts |= (u64)a->chain << FACT_A_AV_SHIFT | (u64)b->chain << FACT_B_AV_SHIFT;
	if (a->exclusive)
		facts |= FACT_A_EXCLUSIVE;
	if (b->exclusive)
		facts |= FACT_B_EXCLUSIVE;
	if (a->unknown_exclusive || b->unknown_exclusive)
		facts |= FACT_UNKNOWN_EXCLUSIVE;
	return facts;
}

#define FACTS_OF_RUNS                                                                              \
	(FACT_PGOFF | FACT_AV_SAME | 3ULL << FACT_A_AV_SHIFT | 3ULL << FACT_B_AV_SHIFT |           \
	 FACT_A_EXCLUSIVE | FACT_B_EXCLUSIVE)

/*
 * walk->b is complete: its pair with walk->a, its kind; then it becomes the one before.
 *
 * A global function, so that the verifier looks at it once and not per path of the loop.
 */
__noinline int account(u32 header_number)
{
	u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct header *header = bpf_map_lookup_elem(&headers, &header_number);
	u64 facts = 0;
	int pair, joinable = 0;
	struct seen *a, *b;

	if (!walk || !header)
		return 0;
	a = &walk->a;
	b = &walk->b;
	if (walk->seeding) {
		walk->seeding = 0;
		if (a->start == b->start && a->end == b->end) {
			walk->a = walk->b; /* pointers may have changed while unlocked */
			return 0;
		}
		/* another VMA than the last one seen; count it unless it lies below */
		header->resumed++;
		if (b->end <= a->end)
			return 0;
		a->anonymous = 0;
	}

	pair = !walk->first && a->anonymous && b->anonymous && a->end == b->start;
	if (pair) {
		facts = facts_of_pair(walk, a, b);
		joinable = !(facts & ~(FACTS_OF_RUNS | settings.ignored_flags << FACT_FLAGS_SHIFT));
	}
	if (control.want_rows) {
		u32 number = control.rows;
		struct row *row = bpf_map_lookup_elem(&rows, &number);

		if (row) {
			row->start = b->start;
			row->end = b->end;
			row->flags = b->flags;
			row->facts = facts;
			row->pgoff = b->pgoff;
			row->anon_vma = b->anon_vma;
			row->file = b->file;
			row->chain = b->chain;
			row->exclusive = b->exclusive;
			row->perms = b->flags & 15;
			row->kind = b->kind;
			row->pair = pair;
			control.rows = number + 1;
		}
	}
	extend_run(&walk->run[0], b, 0, joinable, &header->recoverable[0]);
	extend_run(&walk->run[1], b, 1, joinable, &header->recoverable[1]);
	if (pair)
		count_facts(header_number, facts);
	if (b->kind < KIND_COUNT)
		header->kinds[b->kind]++;
	header->walked++;
	walk->first = 0;
	walk->a = walk->b;
	return 0;
}

static __always_inline void begin_process(struct walk *walk, struct header *header)
{
	__builtin_memset(walk, 0, sizeof(*walk));
	__builtin_memset(header, 0, sizeof(*header));
	walk->first = 1;
	walk->open = 1;
	header->first_entry = control.entries;
}

#endif
