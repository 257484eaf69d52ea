# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a large number of VMAs of one kind means: not everything is a pair."""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.kinds import Kind


@dataclass(frozen=True, slots=True)
class Composition:
    """One kind of VMA, and what many of them usually are."""

    kind: Kind
    sentence: str


_COMPOSITIONS = (
    Composition(
        Kind.ANON_WRITABLE,
        "Memory of allocators and language runtimes; the reasons of its pairs say what splits it.",
    ),
    Composition(
        Kind.ANON_NO_ACCESS,
        "Guard pages of stacks and slabs, reserved address space, or memory given back with "
        "mprotect(PROT_NONE).",
    ),
    Composition(
        Kind.ANON_OTHER,
        "Read-only or executable memory: generated code, memory behind write barriers, sealed "
        "tables.",
    ),
    Composition(
        Kind.HEAP,
        "The brk heap is one VMA unless mprotect, madvise or mlock was applied to parts of it.",
    ),
    Composition(
        Kind.STACK,
        "The main thread's stack is one VMA unless mprotect or mlock was applied to parts of it.",
    ),
    Composition(
        Kind.FILE,
        "A mapping for each file, block, shard or segment, or files split by advice or "
        "protection.",
    ),
    Composition(
        Kind.FILE_DELETED,
        "Files that were deleted while mapped: an upgrade still running the old libraries, or a "
        "leak of mappings.",
    ),
    Composition(
        Kind.SHARED_MEMORY,
        "Segments, memfds and shared anonymous memory: often one for each tensor, buffer or "
        "client.",
    ),
    Composition(
        Kind.SPECIAL,
        "Mappings that the kernel or a driver made: vdso, vvar, device memory.",
    ),
)  # fmt: skip

COMPOSITIONS: dict[Kind, Composition] = {
    composition.kind: composition for composition in _COMPOSITIONS
}
