// SPDX-License-Identifier: GPL-2.0-only
/* The calls recorded one by one (fentry, fexit): no other system call pays anything. */
#include "blame.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define ENTRY "__x64_sys_"
#else
#define ENTRY "__arm64_sys_"
#endif

/* loaded where the kernel has the call */
#define RECORDED(name, call)                          \
	SEC("fentry/" ENTRY #name)                    \
	int vmad_to_##name(u64 *ctx)                  \
	{                                             \
		begins(call, (void *)ctx[0]);         \
		return 0;                             \
	}                                             \
	SEC("fexit/" ENTRY #name)                     \
	int vmad_of_##name(u64 *ctx)                  \
	{                                             \
		call_ends((s64)ctx[1]);               \
		return 0;                             \
	}

static __always_inline void begins(u32 call, struct pt_regs *regs)
{
	u64 arguments[5];

	read_arguments(arguments, regs);
	call_begins(call, arguments);
}

RECORDED(mmap, CALL_MMAP)
RECORDED(munmap, CALL_MUNMAP)
RECORDED(mprotect, CALL_MPROTECT)
RECORDED(pkey_mprotect, CALL_PKEY_MPROTECT)
RECORDED(mremap, CALL_MREMAP)
RECORDED(brk, CALL_BRK)
RECORDED(madvise, CALL_MADVISE)
RECORDED(mlock, CALL_MLOCK)
RECORDED(mlock2, CALL_MLOCK2)
RECORDED(munlock, CALL_MUNLOCK)
RECORDED(mbind, CALL_MBIND)
RECORDED(set_mempolicy_home_node, CALL_SET_MEMPOLICY_HOME_NODE)
RECORDED(mseal, CALL_MSEAL)
RECORDED(shmat, CALL_SHMAT)
RECORDED(io_setup, CALL_IO_SETUP)
RECORDED(prctl, CALL_PRCTL)

char LICENSE[] SEC("license") = "GPL";
