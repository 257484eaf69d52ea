# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which kernel a fact comes from: its release, and what of it matters to the rules."""

from __future__ import annotations

import mmap
import os
import re
from dataclasses import dataclass, field


def parse_release(release: str) -> tuple[int, int, int]:
    """("6.1.0-56-cloud-amd64") -> (6, 1, 0); a missing patch level is 0.

    Raises ValueError on a text that does not begin with MAJOR.MINOR.
    """
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if match is None:
        raise ValueError(f"not a kernel release: {release!r}")
    return int(match[1]), int(match[2]), int(match[3] or 0)


@dataclass(frozen=True, slots=True)
class KernelInfo:
    """A kernel as the rules see it.

    ``patched`` is True when the kernel carries the anon_vma series (it has the sysctl
    vm.anon_vma_merge); ``merge_switch`` is that sysctl's bitmask (1 mremap offset, 2 different
    anon_vma, 4 heal at merge, 8 only count), None on a stock kernel. ``page_shift`` is log2 of its
    page size in bytes.
    """

    release: str
    machine: str = "x86_64"
    patched: bool = False
    merge_switch: int | None = None
    page_shift: int = field(kw_only=True)

    @property
    def page_size(self) -> int:
        """Bytes of a page."""
        return 1 << self.page_shift

    @property
    def version(self) -> tuple[int, int, int]:
        """(major, minor, patch level)."""
        return parse_release(self.release)


def running_kernel(proc: str = "/proc") -> KernelInfo:
    """The kernel that answers under ``proc``."""
    uname = os.uname()
    try:
        with open(f"{proc}/sys/vm/anon_vma_merge", encoding="ascii") as file:
            switch: int | None = int(file.read())
    except FileNotFoundError:
        switch = None
    shift = mmap.PAGESIZE.bit_length() - 1
    return KernelInfo(uname.release, uname.machine, switch is not None, switch, page_shift=shift)
