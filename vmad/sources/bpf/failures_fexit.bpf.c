// SPDX-License-Identifier: GPL-2.0-only
/* The calls watched one by one, where they return (fexit): kernels with CONFIG_FUNCTION_TRACER. */
#include "failures.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define ENTRY "__x64_sys_"
#else
#define ENTRY "__arm64_sys_"
#endif

/* loaded where the kernel has the call */
#define WATCHED(name, call)                                              \
	SEC("fexit/" ENTRY #name)                                        \
	int vmad_##name(u64 *ctx)                                        \
	{                                                                \
		return call_returned(call, (void *)ctx[0], (s64)ctx[1]); \
	}

WATCHED(mmap, CALL_MMAP)
WATCHED(munmap, CALL_MUNMAP)
WATCHED(mprotect, CALL_MPROTECT)
WATCHED(pkey_mprotect, CALL_PKEY_MPROTECT)
WATCHED(mremap, CALL_MREMAP)
WATCHED(madvise, CALL_MADVISE)
WATCHED(mlock, CALL_MLOCK)
WATCHED(mlock2, CALL_MLOCK2)
WATCHED(munlock, CALL_MUNLOCK)
WATCHED(mbind, CALL_MBIND)
WATCHED(set_mempolicy_home_node, CALL_SET_MEMPOLICY_HOME_NODE)
WATCHED(mseal, CALL_MSEAL)
WATCHED(shmat, CALL_SHMAT)
WATCHED(io_setup, CALL_IO_SETUP)
WATCHED(prctl, CALL_PRCTL)

SEC("fexit/" ENTRY "brk")
int vmad_brk(u64 *ctx)
{
	return brk_returned((void *)ctx[0], (s64)ctx[1]);
}

char LICENSE[] SEC("license") = "GPL";
