/* SPDX-License-Identifier: GPL-2.0-only */
/* The registers of a thread in a system call, by architecture. */
#ifndef VMAD_REGISTERS_BPF_H
#define VMAD_REGISTERS_BPF_H

#include "kernel.bpf.h"

/*
 * In the order of DWARF, the last one is where it is: x86-64 psABI, figure 3.36; AADWARF64 (x0 to x30,
 * sp; it has a number of its own for the pc).
 */
#if defined(__TARGET_ARCH_x86)
#define REGISTERS 17
#else
#define REGISTERS 33
#endif

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

#if defined(__TARGET_ARCH_x86)
static __always_inline u64 stack_pointer(struct pt_regs *regs)
{
	return BPF_CORE_READ((struct pt_regs___all *)regs, sp);
}

static __always_inline u64 instruction_pointer(struct pt_regs *regs)
{
	return BPF_CORE_READ((struct pt_regs___all *)regs, ip);
}

/* What a call leaves to return to in a register: nothing, it is on the stack. */
static __always_inline u64 link_register(struct pt_regs *regs)
{
	return 0;
}

/* A word as the address of code that a program may have; 0 where it is none. */
static __always_inline u64 code_address(u64 word)
{
	return word >> 47 ? 0 : word;
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

/* Where the C library's wrapper of a system call returns to: it lays nothing on the stack. */
static __always_inline u64 link_register(struct pt_regs *regs)
{
	u64 link = 0;

	BPF_CORE_READ_INTO(&link, (struct pt_regs___all *)regs, regs[30]);
	return link;
}

/*
 * A word as the address of code that a program may have; 0 where it is none. All 48 bits are the
 * program's; bits 48 to 54 may be a signature (pointer authentication; beyond them is no address).
 */
static __always_inline u64 code_address(u64 word)
{
	return word >> 55 ? 0 : word & ((1ULL << 48) - 1);
}

static __always_inline void keep_registers(u64 *to, struct pt_regs *regs)
{
	struct pt_regs___all *all = (void *)regs;

	bpf_core_read(to, sizeof(all->regs), &all->regs);
	to[31] = BPF_CORE_READ(all, sp);
	to[32] = BPF_CORE_READ(all, pc);
}
#endif

#endif
