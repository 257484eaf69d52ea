# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Maps lines written as the kernel writes them, for tests of what reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vmad.sources.procfs.maps import MapsColumns, parse_maps
from vmad.sources.procfs.text import PAD

SHM_DEVICE = (0, 1)


@dataclass(frozen=True)
class Line:
    """One line; ``name`` as the kernel holds it, before the newline escape."""

    start: int
    end: int
    perms: str = "rw-p"
    offset: int = 0
    device: tuple[int, int] = (0, 0)
    inode: int = 0
    name: bytes = b""

    def render(self) -> bytes:
        """As show_map_vma (fs/proc/task_mmu.c) prints it on a 64-bit kernel."""
        head = (
            f"{self.start:08x}-{self.end:08x} {self.perms} {self.offset:08x} "
            f"{self.device[0]:02x}:{self.device[1]:02x} {self.inode} "
        ).encode()
        if self.name:
            head = head.ljust(72) + b" " + self.name.replace(b"\n", b"\\012")
        return head + b"\n"


def text_of(*lines: Line) -> bytes:
    return b"".join(line.render() for line in lines)


def columns_of(text: bytes, devices: tuple[tuple[int, int], ...] = (SHM_DEVICE,)) -> MapsColumns:
    """Parse a text that stands alone."""
    buffer = np.full(len(text) + 2 * PAD, 0xA5, np.uint8)
    buffer[PAD : PAD + len(text)] = np.frombuffer(text, np.uint8)
    numbers = np.array([major << 20 | minor for major, minor in devices], np.uint64)
    return parse_maps(buffer, PAD, PAD + len(text), numbers)
