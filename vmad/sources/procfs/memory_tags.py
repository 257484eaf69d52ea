# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whether heap and stack have a flag here that smaps does not show: VM_MTE_ALLOWED of 64-bit Arm.

Since 5.10 the heap and the stack have it always (VM_DATA_DEFAULT_FLAGS,
arch/arm64/include/asm/page.h), what mmap gives only where the processor has memory tags
(arch_calc_vm_flag_bits, mman.h). So without tags they differ from other anonymous memory.
"""

from __future__ import annotations

import ctypes

from vmad.architecture.aarch64 import AARCH64
from vmad.architecture.known import architecture_of

_AT_HWCAP2, _HWCAP2_MTE = 26, 1 << 18  # arch/arm64/include/uapi/asm/hwcap.h


def heap_differs_unseen(machine: str) -> bool:
    """Whether they do on this machine, whose name uname(2) gives as ``machine``."""
    if architecture_of(machine) is not AARCH64:
        return False
    libc = ctypes.CDLL(None)
    libc.getauxval.argtypes, libc.getauxval.restype = [ctypes.c_ulong], ctypes.c_ulong
    return not libc.getauxval(_AT_HWCAP2) & _HWCAP2_MTE
