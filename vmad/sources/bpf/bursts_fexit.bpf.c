// SPDX-License-Identifier: GPL-2.0-only
/* The calls that make VMAs, where they return: kernels with fexit whose tracepoint is dear. */
#include "bursts.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define ENTRY "__x64_sys_"
#else
#define ENTRY "__arm64_sys_"
#endif

static __always_inline int call_returned(u32 program)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mm_struct *mm = task->mm;
	int map_count;

	if (!mm)
		return 0;
	map_count = mm->map_count;
	if (map_count < control.from)
		return 0;
	return seen_high(mm, map_count, program);
}

/* loaded where the kernel has the call */
#define WATCHED(name, number)                \
	SEC("fexit/" ENTRY #name)            \
	int vmad_up_##name(u64 *ctx)         \
	{                                    \
		return call_returned(number); \
	}

WATCHED(mmap, 0)
WATCHED(munmap, 1)
WATCHED(mprotect, 2)
WATCHED(pkey_mprotect, 3)
WATCHED(mremap, 4)
WATCHED(brk, 5)
WATCHED(madvise, 6)
WATCHED(mlock, 7)
WATCHED(mlock2, 8)
WATCHED(munlock, 9)
WATCHED(mbind, 10)
WATCHED(set_mempolicy_home_node, 11)
WATCHED(mseal, 12)
WATCHED(shmat, 13)
WATCHED(io_setup, 14)
WATCHED(prctl, 15)

char LICENSE[] SEC("license") = "GPL";
