# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What vmad has to know of a processor architecture, and nothing that Linux has alike on all."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmad.architecture.page_table import PageTableFormat
from vmad.architecture.system_calls import SystemCalls

if TYPE_CHECKING:
    from vmad.architecture.borrowing import Borrowing


@dataclass(frozen=True, slots=True)
class Emulator:
    """How QEMU plays a machine of this kind.

    ``machine`` and ``processor`` (emulated, not KVM) are values of its options; ``console`` is the
    guest's name of the first serial port; ``parameters``: of the guest's kernel, for speed.
    """

    program: str
    package: str  #: Debian's
    machine: str
    processor: str
    console: str
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One processor architecture, 64 bits. Its flags of VMAs: vmad/model/kernel_flags.py."""

    machine: str  #: as ``uname -m`` has it
    title: str  #: for a person
    page_shifts: tuple[int, ...]  #: log2 of the page sizes that a kernel of it may have
    calls: SystemCalls
    call_prefix: str  #: of the kernel functions that are the system calls
    page_tables: tuple[PageTableFormat, ...]  #: those that its kernels use
    debian: str
    bpf: str  #: as the kernel's arch/ has it, and __TARGET_ARCH_ of libbpf's headers
    kernel_flavours: tuple[str, ...]  #: of Debian's, the small one first
    kernel_image: str  #: below arch/*/boot of a kernel tree
    unwound_registers: int  #: that a stack begins with, in DWARF's order; the last is the pc
    pc_apart: bool  #: the pc is none of the numbers that libdw takes together
    borrowed_by: str | None  #: module with its BORROWING; None: threads are not (vmad/probe)
    emulator: Emulator

    @property
    def borrowing(self) -> Borrowing | None:
        """How its threads are borrowed: imported here, since only `vmad probe` and its like do."""
        if self.borrowed_by is None:
            return None
        borrowing: Borrowing = importlib.import_module(self.borrowed_by).BORROWING
        return borrowing
