# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The system calls that can make, cut or join VMAs: those that BPF watches."""

from __future__ import annotations

from typing import Final

#: enum call of calls.bpf.h, in its order; a number of BPF is an index
CALLS: Final = (
    "mmap", "munmap", "mprotect", "pkey_mprotect", "mremap", "brk", "madvise", "mlock", "mlock2",
    "munlock", "mbind", "set_mempolicy_home_node", "mseal", "shmat", "io_setup", "prctl",
)  # fmt: skip
