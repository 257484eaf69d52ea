# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A program of memory system calls: records as the executor takes them, text for people."""

from __future__ import annotations

import mmap
import struct
from enum import IntEnum
from typing import NamedTuple

PAGE = mmap.PAGESIZE
#: where programs play: far from everything that the executor itself maps
ARENA = 0x1000_0000_0000
ARENA_PAGES = 48


class Kind(IntEnum):
    """enum op_kind of executor.c."""

    MMAP = 0
    ZERO_FILE = 1
    MUNMAP = 2
    MPROTECT = 3
    MREMAP = 4
    MADVISE = 5
    MLOCK = 6
    MBIND = 7
    HOME_NODE = 8
    NAME = 9
    MEMORY_MERGE = 10
    UFFD_REGISTER = 11
    UFFD_UNREGISTER = 12
    UFFD_CLOSE = 13
    FORK = 14
    WRITE = 15
    READ = 16
    MSEAL = 17
    PKEY = 18
    MLOCKALL = 19
    SWITCH = 20  #: vm.anon_vma_merge of a patched kernel, for the whole machine
    REBUILD = 21  #: of a run, by examples/rebuild/core.h
    COUNT = 22  #: VMAs of the arena; its result is minus their number


class Fork(IntEnum):
    """enum fork_kind of executor.c."""

    LIVING = 0
    DEAD = 1
    FOLLOW = 2  #: the program goes on in the child, the parent stays
    FOLLOW_ORPHAN = 3  #: the same, the parent exits


class Op(NamedTuple):
    """One call; addresses and lengths in bytes."""

    kind: int
    arg: int = 0
    addr: int = 0
    len: int = 0
    to: int = 0
    extra: int = 0

    def __str__(self) -> str:
        place = f"[{_page(self.addr)}, {_page(self.addr + self.len)})" if self.len else ""
        more = f" to {_page(self.to)}" if self.to else ""
        more += f" extra {self.extra:#x}" if self.extra else ""
        return f"{Kind(self.kind).name} {place} arg {self.arg:#x}{more}"


Program = tuple[Op, ...]

_OP = struct.Struct("<IIQQQQ")


def packed(program: Program) -> bytes:
    """struct op, one after the other."""
    return b"".join(_OP.pack(*op) for op in program)


def at(page: int) -> int:
    """Address of a page of the arena."""
    return ARENA + page * PAGE


def op(kind: Kind, page: int = 0, pages: int = 0, arg: int = 0, extra: int = 0) -> Op:
    """An operation on pages of the arena."""
    return Op(kind, arg, at(page) if pages else 0, pages * PAGE, 0, extra)


def _page(address: int) -> str:
    pages, rest = divmod(address - ARENA, PAGE)
    return str(pages) if not rest and 0 <= pages <= 4 * ARENA_PAGES else hex(address)


def listing(program: Program) -> str:
    """One call per line."""
    return "\n".join(f"{number:3} {each}" for number, each in enumerate(program))
