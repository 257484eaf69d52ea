# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A 32-bit program of this architecture, made without a compiler for it."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import NamedTuple

PAGE = mmap.PAGESIZE
#: anonymous pages of which every other one is made read-only; and where, far from code and break
PIECES, AREA, CODE = 20, 0x2000_0000, 0x1000_0000


class Processor(NamedTuple):
    """Number of the machine and flags of the ABI (elf.h), and a program: mprotect(2), pause(2)."""

    machine: int
    flags: int
    code: bytes


def of_x86() -> Processor:
    """A loop over %ebx, then one of pause."""
    protect = b"\xb8" + struct.pack("<I", 125)  # mov, %eax
    protect += b"\xb9" + struct.pack("<I", PAGE) + b"\xba" + struct.pack("<I", 1)  # %ecx, %edx
    protect += b"\xcd\x80\x81\xc3" + struct.pack("<I", 2 * PAGE)  # int $0x80; add, %ebx
    protect += b"\x81\xfb" + struct.pack("<I", AREA + PIECES * PAGE)  # cmp, %ebx
    protect += b"\x72" + struct.pack("b", -len(protect) - 2)  # jb
    pause = b"\xb8" + struct.pack("<I", 29) + b"\xcd\x80\xeb\xf7"
    return Processor(3, 0, b"\xbb" + struct.pack("<I", AREA) + protect + pause)


def of_arm() -> Processor:
    """The same with r4, counted by r5."""
    assert AREA == 0x2000_0000
    shift = PAGE.bit_length() - 1
    words = [0xE3A04202, 0xE3A05000 | PIECES // 2]  # mov r4, #AREA; mov r5, #
    words += [0xE1A00004, 0xE3A01001, 0xE1A01001 | shift << 7]  # r0: at; r1: 1; r1: 1 << shift
    words += [0xE3A02001, 0xE3A0707D, 0xEF000000]  # mov r2, #1; mov r7, #125; svc 0
    words += [0xE0844081, 0xE2555001, 0x1AFFFFF6]  # add r4, r4, r1, lsl #1; subs r5, r5, #1; bne
    words += [0xE3A0701D, 0xEF000000, 0xEAFFFFFC]  # mov r7, #29; svc 0; b
    return Processor(40, 0x0500_0000, struct.pack(f"<{len(words)}I", *words))


_HEADER, _SEGMENT = struct.Struct("<4s4B8x2H5I6H"), struct.Struct("<8I")
_LOAD, _STACK = 1, 0x6474_E551
_RW, _RX = 6, 5


def program() -> bytes:
    """An ELF of the smallest kind: code, and an area without a file."""
    processor = {"x86_64": of_x86, "aarch64": of_arm}[os.uname().machine]()
    segments = [
        (_LOAD, 0, CODE, CODE, PAGE, PAGE, _RX, PAGE),
        (_LOAD, 0, AREA, AREA, 0, PIECES * PAGE, _RW, PAGE),
        (_STACK, 0, 0, 0, 0, 0, _RW, 0),
    ]
    size = _HEADER.size + _SEGMENT.size * len(segments)
    header = _HEADER.pack(
        b"\x7fELF", 1, 1, 1, 0, 2, processor.machine, 1, CODE + size, _HEADER.size, 0,
        processor.flags, _HEADER.size, _SEGMENT.size, len(segments), 0, 0, 0,
    )  # fmt: skip
    content = header + b"".join(_SEGMENT.pack(*segment) for segment in segments)
    return (content + processor.code).ljust(PAGE, b"\0")


def written(to: Path) -> Path:
    """The program as a file that can be run."""
    to.write_bytes(program())
    to.chmod(0o755)
    return to
