# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The patterns that many VMAs come in: what was done to memory, whoever did it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Pattern(StrEnum):
    """The value is the JSON's name of it."""

    THREAD_GUARDS = "thread_guards"
    COROUTINE_GUARDS = "coroutine_guards"
    ALLOCATOR_GUARDS = "allocator_guards"
    WASM_RESERVATIONS = "wasm_reservations"
    ARENA_HEAPS = "arena_heaps"
    OPENED_RESERVE = "opened_reserve"
    HOLES = "holes"
    BLOCKS_APART = "blocks_apart"
    ACCESS_SWITCHED = "access_switched"
    CODE = "code"
    OBJECT_SPLIT = "object_split"
    OBJECT_REVERSED = "object_reversed"
    OBJECT_IN_PIECES = "object_in_pieces"
    MANY_OBJECTS = "many_objects"
    MANY_SEGMENTS = "many_segments"
    KERNEL_RINGS = "kernel_rings"
    DELETED_FILES = "deleted_files"
    LIBRARIES = "libraries"
    MANY_LIBRARIES = "many_libraries"
    ADVISED = "advised"
    FORK_ADVISED = "fork_advised"
    LOCKED = "locked"
    ACCOUNTED = "accounted"
    OTHER_FLAGS = "other_flags"
    GROWING_STACKS = "growing_stacks"
    USERFAULTFD = "userfaultfd"
    POLICIES = "policies"
    NAMES = "names"
    DEVICE_ZERO = "device_zero"
    MOVED = "moved"
    WRITTEN_APART = "written_apart"
    FORKED = "forked"
    LATENT = "latent"
    UNDECIDED = "undecided"
    DRIVER = "driver"
    ORDINARY = "ordinary"


@dataclass(frozen=True, slots=True)
class PatternText:
    """``title`` follows a number of VMAs; ``sentence`` says how it comes about.

    ``reasons`` are those of the pairs in it (a name or, ending in ":", the beginning of one);
    empty where its VMAs are no pairs.
    """

    title: str
    sentence: str
    reasons: tuple[str, ...] = ()


_ACCESS = ("vm_flags:access",)

TEXTS: dict[Pattern, PatternText] = {
    Pattern.THREAD_GUARDS: PatternText(
        "thread stacks with guard pages",
        "Each thread's stack has a guard page below it that may not be accessed: two VMAs a "
        "thread.",
        _ACCESS,
    ),
    Pattern.COROUTINE_GUARDS: PatternText(
        "stacks of coroutines or fibers with guard pages",
        "There are more stacks with guard pages than threads: coroutines or fibers, two VMAs each.",
        _ACCESS,
    ),
    Pattern.ALLOCATOR_GUARDS: PatternText(
        "blocks between guard pages",
        "Small blocks alternate with guard pages, as hardened allocators lay them out.",
        _ACCESS,
    ),
    Pattern.WASM_RESERVATIONS: PatternText(
        "gigabytes reserved behind each small memory",
        "Each small memory has gigabytes without access behind it, so that no bounds need to be "
        "checked: WebAssembly memories, two VMAs each.",
        _ACCESS,
    ),
    Pattern.ARENA_HEAPS: PatternText(
        "64-MiB heaps of glibc's arenas",
        "glibc reserves 64 MiB for each heap of an arena that is not the main one and opens it "
        "piece by piece: two VMAs a heap, and a new heap whenever one is full.",
        _ACCESS,
    ),
    Pattern.OPENED_RESERVE: PatternText(
        "reserved areas opened or closed piece by piece",
        "Address space is reserved without access and made writable piece by piece, or given "
        "back by taking its rights away.",
        _ACCESS,
    ),
    Pattern.HOLES: PatternText(
        "pieces between holes",
        "They were one area once: pieces of it were unmapped one by one.",
        ("not_adjacent",),
    ),
    Pattern.BLOCKS_APART: PatternText(
        "blocks that were mapped one by one",
        "Anonymous memory that touches no other: blocks mapped one at a time. They are no pairs; "
        "no kernel merges them.",
        ("not_adjacent",),
    ),
    Pattern.ACCESS_SWITCHED: PatternText(
        "pieces whose access was switched",
        "Pieces of one area were made read-only, or writable again, one by one.",
        _ACCESS,
    ),
    Pattern.CODE: PatternText(
        "generated code",
        "Executable pieces alternate with others, as compilers at run time lay them out.",
        _ACCESS,
    ),
    Pattern.OBJECT_SPLIT: PatternText(
        "mappings of files split by advice or protection",
        "Neighbouring pieces of one file or memory object continue each other, but differ in "
        "protection or advice.",
    ),
    Pattern.OBJECT_REVERSED: PatternText(
        "one memory object, mapped against its direction",
        "Neighbouring pieces of one file or memory object have offsets that run down as the "
        "addresses go up, so that they do not continue each other.",
    ),
    Pattern.OBJECT_IN_PIECES: PatternText(
        "one file or memory object mapped in many pieces",
        "The same file or memory object is mapped piece by piece, and the pieces do not continue "
        "each other.",
    ),
    Pattern.MANY_OBJECTS: PatternText(
        "many files, mapped once each",
        "Each file, segment or shard has a mapping of its own. Mappings of different files "
        "never merge.",
    ),
    Pattern.MANY_SEGMENTS: PatternText(
        "many memory objects, mapped once each",
        "Each shared area, SysV segment, memfd or MAP_HUGETLB area is a file of its own to the "
        "kernel. Mappings of different ones never merge.",
    ),
    Pattern.KERNEL_RINGS: PatternText(
        "rings and buffers shared with the kernel",
        "Each ring of io_uring, aio, perf events or a packet socket is one to three mappings of "
        "its own, which never merge.",
    ),
    Pattern.DELETED_FILES: PatternText(
        "deleted files that are still mapped",
        "Files that were deleted while mapped: segments or caches that nobody has unmapped.",
    ),
    Pattern.LIBRARIES: PatternText(
        "the program and its libraries",
        "Code, constants and data of each: four or five VMAs, which need no change.",
    ),
    Pattern.MANY_LIBRARIES: PatternText(
        "hundreds of libraries",
        "More libraries than any program needs: plugins, or copies of one, unpacked for each user "
        "of it. Each is four or five VMAs.",
    ),
    Pattern.ADVISED: PatternText(
        "pieces that were given other advice than their neighbours",
        "madvise was called on pieces of an area: for huge pages, reading ahead, dumping or the "
        "merging of equal pages.",
        tuple(f"vm_flags:{code}" for code in ("hg", "nh", "sr", "rr", "dd", "mg")),
    ),
    Pattern.FORK_ADVISED: PatternText(
        "pieces that fork does not copy as it does their neighbours",
        "MADV_DONTFORK or MADV_WIPEONFORK was given to pieces of an area, as libraries for RDMA "
        "do when they register memory.",
        ("vm_flags:dc", "vm_flags:wf"),
    ),
    Pattern.LOCKED: PatternText(
        "pieces that were locked in memory",
        "mlock was called on pieces of an area.",
        ("vm_flags:lo", "vm_flags:lf"),
    ),
    Pattern.ACCOUNTED: PatternText(
        "pieces that count differently against the commit limit",
        "Some were mapped with MAP_NORESERVE or have never been writable, others not.",
        ("vm_flags:ac", "vm_flags:nr"),
    ),
    Pattern.OTHER_FLAGS: PatternText(
        "pieces with other flags than their neighbours",
        "Sealing, protection keys, stacks that grow, and what is rarer.",
        ("vm_flags:",),
    ),
    Pattern.GROWING_STACKS: PatternText(
        "stacks that grow (MAP_GROWSDOWN)",
        "The kernel keeps a gap of 1 MiB below memory mapped with MAP_GROWSDOWN, and joins it with "
        "no other: each stack is a VMA or two.",
        ("vm_flags:gd", "vm_flags:access"),
    ),
    Pattern.USERFAULTFD: PatternText(
        "pieces registered with a userfaultfd",
        "Pieces of an area are registered with a userfaultfd, or with different ones.",
        ("vm_userfaultfd_ctx", "vm_flags:um", "vm_flags:uw", "vm_flags:ui", "vm_flags:ur"),
    ),
    Pattern.POLICIES: PatternText(
        "pieces with memory policies of their own",
        "mbind was called on pieces of an area.",
        ("mempolicy",),
    ),
    Pattern.NAMES: PatternText(
        "pieces with names of their own",
        "Neighbours were given different names (PR_SET_VMA_ANON_NAME).",
        ("anon_vma_name",),
    ),
    Pattern.DEVICE_ZERO: PatternText(
        "private mappings of /dev/zero",
        "Each open of /dev/zero is another file to the kernel.",
        ("vm_file",),
    ),
    Pattern.MOVED: PatternText(
        "pieces that mremap moved after they were written",
        "They keep the page offset of the place where they were written first, so that it does "
        "not continue their neighbours', and they leave gaps behind. realloc of large blocks does "
        "this.",
        ("vm_pgoff", "anon_vma_differs", "anon_vma_shared", "vm_pgoff_shared"),
    ),
    Pattern.WRITTEN_APART: PatternText(
        "pieces that were written before they became neighbours",
        "Each was written to on its own, and got an anon_vma of its own: a reserve that is made "
        "writable or written out of order.",
        ("anon_vma_differs",),
    ),
    Pattern.FORKED: PatternText(
        "pieces that share pages with a parent or child process",
        "They came through a fork, or were forked since, and most were written apart as well: the "
        "kernel joins neither.",
        ("anon_vma_shared", "anon_vma_chain_not_singular", "vm_pgoff_shared"),
    ),
    Pattern.LATENT: PatternText(
        "pairs that would merge",
        "Nothing keeps them apart: the kernel has not tried since.",
        ("latent", "latent_one_sided"),
    ),
    Pattern.UNDECIDED: PatternText(
        "pairs that this evidence cannot decide",
        "vmad sees too little of them to tell what keeps them apart.",
        (
            "anon_vma_unknown", "anon_vma_exclusive_unknown", "vm_flags_unknown",
            "vm_pgoff_unknown", "vm_userfaultfd_ctx_unknown", "mempolicy_unknown",
            "anon_vma_name_unknown",
        ),
    ),
    Pattern.DRIVER: PatternText(
        "mappings of devices",
        "A driver made them; the kernel never merges them.",
        ("VM_SPECIAL", "vm_ops_close"),
    ),
    Pattern.ORDINARY: PatternText(
        "heap, stack and what the kernel maps itself",
        "Every process has these.",
    ),
}  # fmt: skip


def explains(pattern: Pattern, reason: str) -> bool:
    """Whether pairs of the pattern may have this reason."""
    return any(
        reason.startswith(beginning) if beginning.endswith(":") else reason == beginning
        for beginning in TEXTS[pattern].reasons
    )
