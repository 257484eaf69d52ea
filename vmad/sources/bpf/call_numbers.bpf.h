/* SPDX-License-Identifier: GPL-2.0-only */
/* Which of the includer's calls (enum call) a system call's number means. */
#ifndef VMAD_CALL_NUMBERS_BPF_H
#define VMAD_CALL_NUMBERS_BPF_H

/* the calls' numbers: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h */
#if defined(__TARGET_ARCH_x86)
enum {
	NR_MMAP = 9,
	NR_MPROTECT = 10,
	NR_MUNMAP = 11,
	NR_BRK = 12,
	NR_MREMAP = 25,
	NR_MADVISE = 28,
	NR_SHMAT = 30,
	NR_MLOCK = 149,
	NR_MUNLOCK = 150,
	NR_PRCTL = 157,
	NR_IO_SETUP = 206,
	NR_MBIND = 237,
	NR_MLOCK2 = 325,
	NR_PKEY_MPROTECT = 329,
};
#else
enum {
	NR_IO_SETUP = 0,
	NR_PRCTL = 167,
	NR_SHMAT = 196,
	NR_BRK = 214,
	NR_MUNMAP = 215,
	NR_MREMAP = 216,
	NR_MMAP = 222,
	NR_MPROTECT = 226,
	NR_MLOCK = 228,
	NR_MUNLOCK = 229,
	NR_MADVISE = 233,
	NR_MBIND = 235,
	NR_MLOCK2 = 284,
	NR_PKEY_MPROTECT = 288,
};
#endif
enum { NR_SET_MEMPOLICY_HOME_NODE = 450, NR_MSEAL = 462 };

static __always_inline u32 call_of(s64 number)
{
	switch (number) {
	case NR_MMAP:
		return CALL_MMAP;
	case NR_MUNMAP:
		return CALL_MUNMAP;
	case NR_MPROTECT:
		return CALL_MPROTECT;
	case NR_PKEY_MPROTECT:
		return CALL_PKEY_MPROTECT;
	case NR_MREMAP:
		return CALL_MREMAP;
	case NR_MADVISE:
		return CALL_MADVISE;
	case NR_MLOCK:
		return CALL_MLOCK;
	case NR_MLOCK2:
		return CALL_MLOCK2;
	case NR_MUNLOCK:
		return CALL_MUNLOCK;
	case NR_MBIND:
		return CALL_MBIND;
	case NR_SET_MEMPOLICY_HOME_NODE:
		return CALL_SET_MEMPOLICY_HOME_NODE;
	case NR_MSEAL:
		return CALL_MSEAL;
	case NR_SHMAT:
		return CALL_SHMAT;
	case NR_IO_SETUP:
		return CALL_IO_SETUP;
	case NR_PRCTL:
		return CALL_PRCTL;
	}
	return CALLS;
}

/* A program of 32 bits numbers its calls otherwise. */
static __always_inline int is_32_bit(void)
{
	struct task_struct___info *task = (void *)bpf_get_current_task();

	return !!IS_32_BIT(task);
}

#endif
