# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a large number of VMAs of one kind means, and what to change: not everything is a pair."""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.kinds import Kind
from vmad.rules import advice as a
from vmad.rules import runtime_advice as r
from vmad.rules.advice import Advice


@dataclass(frozen=True, slots=True)
class Composition:
    """One kind of VMA: what many of them usually are, and what to change."""

    kind: Kind
    sentence: str
    advice: tuple[Advice, ...]


_COMPOSITIONS = (
    Composition(
        Kind.ANON_WRITABLE,
        "Memory of allocators and language runtimes; the reasons of its pairs say what splits it.",
        (a.PATCHED_KERNEL, a.WRITE_IN_ORDER, a.WHOLE_AREAS, r.GLIBC_MMAP_THRESHOLD,
         r.JEMALLOC_RETAIN, r.MIMALLOC_PURGE, r.ZGC_FORMULA, r.GO_HUGE_PAGES, r.DOTNET_GC,
         a.RAISE_LIMIT),
    ),
    Composition(
        Kind.ANON_NO_ACCESS,
        "Guard pages of stacks and slabs, reserved address space, or memory given back with "
        "mprotect(PROT_NONE).",
        (a.GUARD_INSTALL, a.FEWER_THREADS, r.MONGODB_CONNECTIONS, r.JEMALLOC_OVERCOMMIT,
         r.MIMALLOC_PURGE, r.GLIBC_ARENAS, a.PURGE_WITHOUT_MPROTECT, a.RAISE_LIMIT),
    ),
    Composition(
        Kind.ANON_OTHER,
        "Read-only or executable memory: generated code, memory behind write barriers, sealed "
        "tables.",
        (a.COARSER_MPROTECT, r.DOTNET_WX, a.RAISE_LIMIT),
    ),
    Composition(
        Kind.HEAP,
        "The brk heap is one VMA unless mprotect, madvise or mlock was applied to parts of it.",
        (a.COARSER_MPROTECT, a.WHOLE_AREAS, a.LOCK_WHOLE),
    ),
    Composition(
        Kind.STACK,
        "The main thread's stack is one VMA unless mprotect or mlock was applied to parts of it.",
        (a.COARSER_MPROTECT, a.LOCK_WHOLE),
    ),
    Composition(
        Kind.FILE,
        "A mapping for each file, block, shard or segment, or files split by advice or "
        "protection.",
        (a.FEWER_FILE_MAPS, a.NO_ADVICE_PER_BUFFER, r.LUCENE_LIMIT, r.LUCENE_PERMITS,
         a.RAISE_LIMIT),
    ),
    Composition(
        Kind.FILE_DELETED,
        "Files that were deleted while mapped: an upgrade still running the old libraries, or a "
        "leak of mappings.",
        (a.UNMAP_DELETED, r.LUCENE_PERMITS),
    ),
    Composition(
        Kind.SHARED_MEMORY,
        "Segments, memfds and shared anonymous memory: often one for each tensor, buffer or "
        "client.",
        (r.PYTORCH_STRATEGY, a.SHARED_DIRECTION, a.FEWER_FILE_MAPS, a.RAISE_LIMIT),
    ),
    Composition(
        Kind.SPECIAL,
        "Mappings that the kernel or a driver made: vdso, vvar, device memory.",
        (a.ONE_DRIVER_MAPPING, a.RAISE_LIMIT),
    ),
)  # fmt: skip

COMPOSITIONS: dict[Kind, Composition] = {each.kind: each for each in _COMPOSITIONS}


def composition_advice(kind: Kind) -> tuple[Advice, ...]:
    """What to change where one kind makes up most of a process's VMAs; total over kinds."""
    return COMPOSITIONS[kind].advice
