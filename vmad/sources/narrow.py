# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whether a process runs a 32-bit program."""

from __future__ import annotations

import os
from typing import Final

_ELF32: Final = 1  #: ELFCLASS32, elf(5)


def is_32_bit(place: str) -> bool:
    """Of the process whose directory in /proc this is. Raises OSError."""
    fd = os.open(f"{place}/exe", os.O_RDONLY | os.O_CLOEXEC)
    try:
        head = os.read(fd, 5)
    finally:
        os.close(fd)
    return head[:4] == b"\x7fELF" and head[4] == _ELF32
