/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which call, with which stack, made each boundary of the recorded processes' address spaces.
 *
 * A VMA begins where the one below ends or where nothing is: its start is its boundary. A call can
 * make a boundary only at the few addresses that its arguments and its result name, its edges. So
 * each edge is looked at before and after: a VMA starts there that did not, and the call made it;
 * none starts there any more, and what was known is forgotten; one started there already, and its maker stays.
 * Boundaries inside a range only vanish, so that what is left of them is dropped by whoever holds
 * the table against the VMAs of the end. A move of several VMAs (6.17) carries its inner boundaries
 * along: every start in its target is looked at before and after, or, where that is too much, the
 * move is told as an event.
 *
 * A stack is known by a key: the call, where it was made from, and those words of the topmost 4 KiB
 * that point into code. Only a stack with a key that is new is copied, up to 64 KiB, for the reader
 * to unwind.
 *
 * bpf_find_vma() (5.17) does not wait for mmap_lock: an edge that could not be looked at is marked.
 *
 * The includer has the programs that watch calls. vmad/sources/bpf/blame.py has the same numbers.
 */
#ifndef VMAD_BLAME_BPF_H
#define VMAD_BLAME_BPF_H

#include "kernel.bpf.h"
#include "calls.bpf.h"
#include "caller.bpf.h"

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_RB_AVAIL_DATA = 0 };

#define MAP_FIXED 0x10
#define MAP_FIXED_NOREPLACE 0x100000
#define PROT_EXEC 4
#define MREMAP_FIXED 2
#define MREMAP_DONTUNMAP 4
#define PR_SET_VMA 0x53564d41
#define SHM_REMAP 040000
#define EBUSY 16
#define ENOENT 2

#define PROCESSES 1024
#define THREADS 16384
#define STACKS 65536
#define EDGES 6
#define TARGETS 64 /* at a time */
#define STARTS 256 /* in one */
#define TRIES 32 /* of a look */
#define STEPS 8192 /* through it: VMAs, and pages where none is */
#define PEEK 4096 /* bytes of a stack that its key is made of */
#define COPY 65536 /* bytes of a stack that are copied at most */
#define PIECE 4096
#define RING (1 << 25)
#define CODE_WORDS (1 << 14) /* 64 pages each: addresses modulo 4 GiB */

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

/* One bit for each page of code, by its number modulo what the table holds. */
struct code {
	u64 words[CODE_WORDS];
};

struct code code SEC(".data.code") = {};

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
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STACKS);
	__type(key, u64);
	__type(value, u32);
} stacks SEC(".maps");

enum there { ABSENT, PRESENT, UNKNOWN };

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

/*
 * In the order of DWARF, the last one is where it is: x86-64 psABI, figure 3.36; AADWARF64 (x0 to x30,
 * sp; it has a number of its own for the pc).
 */
#if defined(__TARGET_ARCH_x86)
#define REGISTERS 17
#else
#define REGISTERS 33
#endif

struct stack_event {
	struct event event; /* sequence: the thread; key, -, bytes, address of the first, - */
	u64 registers[REGISTERS];
	u8 bytes[COPY];
};

struct peek {
	u64 words[PEEK / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2); /* a process's, and one for who interrupts */
	__type(key, u32);
	__type(value, struct peek);
} peeks SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs___all {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};
#else
struct pt_regs___all {
	u64 regs[31];
	u64 sp;
	u64 pc;
};
#endif
#pragma clang attribute pop

/* The first five arguments of a system call, as its pt_regs have them. */
static __always_inline void read_arguments(u64 *to, struct pt_regs *regs)
{
	struct pt_regs___all *all = (void *)regs;

#if defined(__TARGET_ARCH_x86)
	to[0] = BPF_CORE_READ(all, di);
	to[1] = BPF_CORE_READ(all, si);
	to[2] = BPF_CORE_READ(all, dx);
	to[3] = BPF_CORE_READ(all, r10);
	to[4] = BPF_CORE_READ(all, r8);
#else
	/* before the call: its result has not come into the place of the first one yet */
	BPF_CORE_READ_INTO(&to[0], all, regs[0]);
	BPF_CORE_READ_INTO(&to[1], all, regs[1]);
	BPF_CORE_READ_INTO(&to[2], all, regs[2]);
	BPF_CORE_READ_INTO(&to[3], all, regs[3]);
	BPF_CORE_READ_INTO(&to[4], all, regs[4]);
#endif
}

static __always_inline u64 page_size(void)
{
	return 1ULL << (settings.page_shift & 31);
}

static __always_inline u64 page_down(u64 address)
{
	return address & ~(page_size() - 1);
}

static __always_inline u64 page_up(u64 address)
{
	return page_down(address + page_size() - 1);
}

static __always_inline int is_error(s64 result)
{
	return (u64)result >= (u64)-4095;
}

static __always_inline u64 next_in_order(void)
{
	return __sync_fetch_and_add(&control.sequence, 1) + 1;
}

struct look {
	u64 start, end;
};

static long vma_at(struct task_struct *task, struct vm_area_struct *vma, struct look *look)
{
	look->start = vma->vm_start;
	look->end = vma->vm_end;
	return 0;
}

/* One look for the VMA that has this address. */
struct search {
	u64 address;
	struct look look; /* zeros: none has it */
	s64 result; /* 0, -ENOENT, -EBUSY */
};

static long look_once(u32 i, struct search *search)
{
	search->result = bpf_find_vma(bpf_get_current_task_btf(), search->address, vma_at,
				      &search->look, 0);
	return search->result != -EBUSY;
}

/* mmap_lock is only tried: who has it lets go soon, mostly. */
static __always_inline void look_for(struct search *search)
{
	bpf_loop(TRIES, look_once, search, 0);
	if (search->result == -EBUSY)
		__sync_fetch_and_add(&control.busy, 1);
}

/* Whether a VMA starts there; `end`, where wanted, is where it ends. */
static __always_inline enum there starts_at(u64 address, u64 *end)
{
	struct search search = { .address = address };

	look_for(&search);
	if (search.result == -EBUSY)
		return UNKNOWN;
	if (search.result || search.look.start != address)
		return ABSENT;
	if (end)
		*end = search.look.end;
	return PRESENT;
}

static __always_inline void add_edge(struct pending *call, u64 address, enum there before)
{
	u32 i = call->edges;

	if (i >= EDGES)
		return;
	call->edge[i] = address;
	call->there[i] = before;
	call->edges = i + 1;
}

__noinline int look(u64 address)
{
	return starts_at(address, 0);
}

/* Where the VMA that has this address ends; 0 where none has, or it cannot be told. */
__noinline u64 end_of(u64 address)
{
	struct search search = { .address = address };

	look_for(&search);
	return search.look.end;
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

/* What is thought of a page of code is thought of all that are a multiple of 4 GiB away. */
static __always_inline int is_code(u64 word)
{
	u64 page = word >> 12;

	if (word >> 47 || word < 0x1000)
		return 0;
	return code.words[(page >> 6) & (CODE_WORDS - 1)] >> (page & 63) & 1;
}

static long mark_word(u32 i, u64 *first)
{
	code.words[(*first + i) & (CODE_WORDS - 1)] = ~0ULL;
	return 0;
}

static __always_inline void mark_code(u64 start, u64 size)
{
	u64 first = start >> 18, words = ((start + size - 1) >> 18) - first + 1;

	if (size)
		bpf_loop(words < CODE_WORDS ? words : CODE_WORDS, mark_word, &first, 0);
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

#if defined(__TARGET_ARCH_x86)
static __always_inline u64 stack_pointer(struct pt_regs *regs)
{
	return BPF_CORE_READ((struct pt_regs___all *)regs, sp);
}

static __always_inline u64 instruction_pointer(struct pt_regs *regs)
{
	return BPF_CORE_READ((struct pt_regs___all *)regs, ip);
}

static __always_inline void keep_registers(u64 *to, struct pt_regs *regs)
{
	struct pt_regs___all *all = (void *)regs;

	to[0] = BPF_CORE_READ(all, ax);
	to[1] = BPF_CORE_READ(all, dx);
	to[2] = BPF_CORE_READ(all, cx);
	to[3] = BPF_CORE_READ(all, bx);
	to[4] = BPF_CORE_READ(all, si);
	to[5] = BPF_CORE_READ(all, di);
	to[6] = BPF_CORE_READ(all, bp);
	to[7] = BPF_CORE_READ(all, sp);
	to[8] = BPF_CORE_READ(all, r8);
	to[9] = BPF_CORE_READ(all, r9);
	to[10] = BPF_CORE_READ(all, r10);
	to[11] = BPF_CORE_READ(all, r11);
	to[12] = BPF_CORE_READ(all, r12);
	to[13] = BPF_CORE_READ(all, r13);
	to[14] = BPF_CORE_READ(all, r14);
	to[15] = BPF_CORE_READ(all, r15);
	to[16] = BPF_CORE_READ(all, ip);
}
#else
static __always_inline u64 stack_pointer(struct pt_regs *regs)
{
	return BPF_CORE_READ((struct pt_regs___all *)regs, sp);
}

static __always_inline u64 instruction_pointer(struct pt_regs *regs)
{
	return BPF_CORE_READ((struct pt_regs___all *)regs, pc);
}

static __always_inline void keep_registers(u64 *to, struct pt_regs *regs)
{
	struct pt_regs___all *all = (void *)regs;

	bpf_core_read(to, sizeof(all->regs), &all->regs);
	to[31] = BPF_CORE_READ(all, sp);
	to[32] = BPF_CORE_READ(all, pc);
}
#endif

/* Copy a stack for the reader to unwind; 0 where there is no room now. */
static __always_inline int copy_stack(u32 tgid, u64 key, struct pt_regs *regs)
{
	u64 from = stack_pointer(regs), copied = 0;
	struct stack_event *copy;

	/* there is always room for what is no stack */
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > RING - RING / 8)
		return 0;
	copy = bpf_ringbuf_reserve(&events, sizeof(*copy), 0);
	if (!copy)
		return 0;
	copy->event.kind = EVENT_STACK;
	copy->event.tgid = tgid;
	copy->event.sequence = bpf_get_current_pid_tgid() & 0xffffffff;
	copy->event.values[0] = key;
	copy->event.values[3] = from;
	keep_registers(copy->registers, regs);
	/* page by page: the stack ends somewhere, and none is waited for */
	for (u32 i = 0; i < COPY / PIECE; i++) {
		u32 size = i ? PIECE : PIECE - (from & (PIECE - 1));

		if (size > PIECE || copied > COPY - PIECE)
			break;
		if (bpf_probe_read_user(copy->bytes + copied, size, (void *)(from + copied)))
			break;
		copied += size;
	}
	copy->event.values[2] = copied;
	bpf_ringbuf_submit(copy, 0);
	return 1;
}

/* The key of the stack that a call was made with; copied when it is a new one. */
__noinline u64 stack_of(u32 number)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	u32 tgid = bpf_get_current_pid_tgid() >> 32, slot = 0, one = 1;
	u64 from = stack_pointer(regs), key = 0xcbf29ce484222325ULL;
	struct peek *peek = bpf_map_lookup_elem(&peeks, &slot);
	u32 words = 0;

	if (!peek)
		return 0;
	for (u32 i = 0; i < PEEK / 512; i++) {
		if (bpf_probe_read_user((u8 *)peek->words + i * 512, 512, (void *)(from + i * 512)))
			break;
		words += 512 / 8;
	}
	key = (key ^ number) * 0x100000001b3ULL;
	key = (key ^ instruction_pointer(regs)) * 0x100000001b3ULL;
	for (u32 i = 0; i < PEEK / 8; i++) {
		u64 word = peek->words[i];

		if (i >= words)
			break;
		if (is_code(word)) {
			key = (key ^ word) * 0x100000001b3ULL;
			key ^= key >> 29;
		}
	}
	key ^= tgid;
	if (!key)
		key = 1;
	if (bpf_map_lookup_elem(&stacks, &key))
		return key;
	if (!copy_stack(tgid, key, regs) || bpf_map_update_elem(&stacks, &key, &one, BPF_ANY))
		__sync_fetch_and_add(&control.lost_stacks, 1);
	return key;
}

/* What became of one edge; the key of the call's stack, once it was needed, else 0. */
__noinline u64 settle(u64 address, u32 before, u32 number, u64 stack)
{
	struct boundary_key key = { .address = address };
	struct boundary boundary = { .call = number }, *known;
	enum there now = starts_at(address, 0);

	key.tgid = bpf_get_current_pid_tgid() >> 32;
	if (now == ABSENT) {
		if (!control.keep)
			bpf_map_delete_elem(&boundaries, &key);
		return stack;
	}
	if (before == PRESENT)
		return stack;
	if (before == UNKNOWN || now == UNKNOWN) {
		boundary.doubt = (before == UNKNOWN ? 1 << NOT_SEEN_BEFORE : 0) |
				 (now == UNKNOWN ? 1 << NOT_SEEN_AFTER : 0);
		known = bpf_map_lookup_elem(&boundaries, &key);
		/* rather the one that is known than one that may be wrong; where none was, it is none */
		if (known && before != ABSENT) {
			known->doubt |= boundary.doubt;
			return stack;
		}
	}
	if (!stack)
		stack = stack_of(number);
	boundary.stack = stack;
	boundary.sequence = next_in_order();
	boundary.when = bpf_ktime_get_boot_ns();
	if (bpf_map_update_elem(&boundaries, &key, &boundary, BPF_ANY))
		__sync_fetch_and_add(&control.lost_boundaries, 1);
	return stack;
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
static __always_inline u64 settle_target(u64 thread, u32 tgid, const struct pending *call)
{
	struct target *target = bpf_map_lookup_elem(&targets, &thread);
	u64 size = page_up(call->arguments[2]);
	struct walk walk = { .thread = thread, .at = call->arguments[4] + page_size() };

	walk.end = call->arguments[4] + size;
	walk.whole = target && target->until >= walk.end;
	bpf_loop(STEPS, settle_start, &walk, 0);
	if (!walk.whole || walk.at < walk.end) {
		if (!walk.stack)
			walk.stack = stack_of(CALL_MREMAP);
		tell(EVENT_MOVE, tgid, next_in_order(), call->arguments[0],
		     page_up(call->arguments[1]), call->arguments[4], size, walk.stack);
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
		stack = settle_target(thread, tgid, call);
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

/* Run over all tasks, once: record the one that the reader wants. */
SEC("iter/task")
int vmad_begin(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct recorded begun = {};
	u32 tgid;

	if (!task || task->pid != task->tgid ||
	    pid_in_namespace(task, settings.namespace_ino) != (u32)control.wanted)
		return 0;
	tgid = task->tgid;
	begun.pid = control.wanted;
	control.tgid = tgid;
	bpf_map_update_elem(&recorded, &tgid, &begun, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int vmad_exec(u64 *ctx)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct recorded *process = bpf_map_lookup_elem(&recorded, &tgid);

	if (!process)
		return 0;
	process->since = next_in_order();
	process->parent = 0;
	tell(EVENT_EXEC, tgid, process->since, process->pid, bpf_ktime_get_boot_ns(), 0, 0, 0);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int vmad_fork(u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	u32 from = parent->tgid, to = child->tgid;
	struct recorded begun = { .parent = from };

	if (!control.follow || from == to || !bpf_map_lookup_elem(&recorded, &from))
		return 0;
	begun.since = next_in_order();
	begun.pid = pid_in_namespace(child, settings.namespace_ino);
	if (bpf_map_update_elem(&recorded, &to, &begun, BPF_ANY))
		__sync_fetch_and_add(&control.lost_events, 1);
	tell(EVENT_FORK, to, begun.since, begun.pid, bpf_ktime_get_boot_ns(), from, 0, 0);
	return 0;
}

#endif
