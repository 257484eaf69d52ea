/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The stacks that calls are made with.
 *
 * A stack is known by a key: the call, where it was made from, what that returns to where a register
 * has it, and those words of the topmost 4 KiB that point into code. Only a stack with a key that is
 * new is copied, up to 64 KiB, for the reader to unwind.
 */
#ifndef VMAD_STACKS_BPF_H
#define VMAD_STACKS_BPF_H

#include "recording.bpf.h"
#include "registers.bpf.h"

enum { BPF_RB_AVAIL_DATA = 0 };

#define STACKS 65536
#define PEEK 4096 /* bytes of a stack that its key is made of */
#define COPY 65536 /* bytes of a stack that are copied at most */
#define PIECE 4096
#define CODE_WORDS (1 << 14) /* 64 pages each: addresses modulo 4 GiB */

/* One bit for each page of code, by its number modulo what the table holds. */
struct code {
	u64 words[CODE_WORDS];
};

struct code code SEC(".data.code") = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STACKS);
	__type(key, u64);
	__type(value, u32);
} stacks SEC(".maps");

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

/* What is thought of a page of code is thought of all that are a multiple of 4 GiB away. */
static __always_inline int is_code(u64 address)
{
	u64 page = address >> 12;

	if (!page)
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
	key = (key ^ code_address(link_register(regs))) * 0x100000001b3ULL;
	for (u32 i = 0; i < PEEK / 8; i++) {
		u64 address = code_address(peek->words[i]);

		if (i >= words)
			break;
		if (is_code(address)) {
			key = (key ^ address) * 0x100000001b3ULL;
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

#endif
