# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Unwind tables for code made at run time that keeps no frame pointer, from how it begins.

HotSpot's compiled methods and CPython's perf trampolines have frames of a fixed size that their
first instructions set up, but no tables. Where a perf map tells the functions, tables are written
for them as an ELF file that libdw reads beside the program's own. Pure.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: bytes of a function that are looked at: HotSpot checks the receiver's class before its frame
BEGINNING: Final = 128

_WORD: Final = 8
#: endbr64?; sub rsp, N: CPython's Python/asm_trampoline.S
_LOWERS: Final = re.compile(rb"(?:\xf3\x0f\x1e\xfa)?\x48(?:\x83\xec(.)|\x81\xec(....))", re.S)
#: push rbp; sub rsp, N: MacroAssembler::verified_entry, LIR_Assembler::build_frame of OpenJDK
_PUSHES: Final = re.compile(rb"\x55\x48(?:\x83\xec(.)|\x81\xec(....))", re.S)
#: sub rsp, N; mov [rsp + N - 8], rbp: the same where no stack is to be checked
_STORES: Final = re.compile(rb"\x48\x81\xec(....)\x48\x89(?:\x6c\x24(.)|\xac\x24(....))", re.S)
#: what HotSpot's perf map names in one line, but is many pieces of code
_MANY: Final = re.compile(r"Interpreter|StubRoutines|I2C/C2I|vtable|.* adapters|.* chunks")


@dataclass(frozen=True, slots=True)
class FixedFrame:
    """Between a function's first and last instructions: its caller's stack begins ``size`` bytes
    above the stack pointer, the return address right below. ``saves``: rbp is kept below that."""

    size: int
    saves: bool


def fixed_frame(name: str, code: bytes) -> FixedFrame | None:
    """From a function's first bytes (x86-64); None: it keeps rbp as its frame pointer, or it is not
    known how it begins."""
    if _MANY.match(name):
        return None
    stores = _STORES.search(code)
    if stores is not None:
        size = _number(stores[1])
        if _number(stores[2] or stores[3]) == size - _WORD:
            return FixedFrame(size + _WORD, True)
    pushes = _PUSHES.search(code)
    if pushes is not None:
        return FixedFrame(_number(pushes[1] or pushes[2]) + 2 * _WORD, True)
    lowers = _LOWERS.match(code)
    if lowers is not None:
        return FixedFrame(_number(lowers[1] or lowers[2]) + _WORD, False)
    return None


def _number(little_endian: bytes) -> int:
    return int.from_bytes(little_endian, "little")


def tables(start: int, end: int, frames: Iterable[tuple[int, int, FixedFrame]]) -> bytes:
    """An ELF file that covers [start, end) and unwinds ``frames``: (start, end, how) of functions.

    System V ABI, x86-64 supplement, figures 3.36 and 4.2; Linux Standard Base, .eh_frame.
    """
    # version, no augmentation, code by 1, data by -8, the return address is column 16; the caller's
    # stack begins 8 above rsp (7), the return address right below
    common = b"\x01\0\x01\x78\x10" + b"\x0c\x07\x08" + b"\x90\x01"
    eh_frame = bytearray(_padded(b"\0\0\0\0" + common))
    for first, last, frame in frames:
        body = struct.pack("<QQ", first, last - first) + b"\x0e" + _uleb(frame.size)
        if frame.saves:
            body += b"\x86\x02"  # rbp (6) is 16 below where the caller's stack begins
        # where the common part is: so many bytes before this field
        eh_frame += _padded(struct.pack("<I", len(eh_frame) + 4) + body)
    eh_frame += b"\0\0\0\0"
    names = b"\0.eh_frame\0.shstrtab\0"
    header, segment, section = 64, 56, 64
    place = header + segment
    sections = place + len(eh_frame) + len(names)
    sections += -sections % _WORD
    ident = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    elf = ident + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, 0, header, sections, 0, header, segment, 1, section, 3, 2
    )
    elf += struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, 0, end - start, 4096)
    elf += bytes(eh_frame) + names
    elf += b"\0" * (sections - len(elf)) + b"\0" * section
    elf += struct.pack("<IIQQQQIIQQ", 1, 1, 2, start, place, len(eh_frame), 0, 0, _WORD, 0)
    elf += struct.pack("<IIQQQQIIQQ", 11, 3, 0, 0, place + len(eh_frame), len(names), 0, 0, 1, 0)
    return elf


def _padded(entry: bytes) -> bytes:
    """With its length before it, and DW_CFA_nop behind it up to a whole word."""
    entry += b"\0" * (-(len(entry) + 4) % _WORD)
    return struct.pack("<I", len(entry)) + entry


def _uleb(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
