# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kernel evidence by a named walk, as the live tests open it."""

from __future__ import annotations

from vmad.model.kernel import running_kernel
from vmad.sources.bpf.source import BpfSource

KERNEL = running_kernel()

#: what loads by release: the open-coded iterator is 6.7, but only from 6.10 in syscall programs, as
#: is what the lockless walk wants
WALKS = ("lockless", "open-coded", "task_vma") if KERNEL.version >= (6, 10) else ("task_vma",)


def open_kernel_source(walk: str | None = None) -> BpfSource:
    """As ``open_source("kernel", None)``, by a named walk."""
    return BpfSource(KERNEL, walk=walk)
