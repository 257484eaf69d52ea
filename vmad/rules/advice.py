# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What an operator or programmer can change: one piece of advice each, with its source.

Advice for particular allocators and language runtimes is in :mod:`vmad.rules.runtime_advice`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_REASONS_BEGIN = re.compile(r"[,:;.]( |$)| \(")
_NO_WORD = re.compile(r"[^a-z0-9]+")


class Runtime(StrEnum):
    """Whom a piece of advice is for; the value is what a person sees."""

    ANY = "any program"
    OPERATOR = "operator"
    GLIBC = "glibc malloc"
    JEMALLOC = "jemalloc"
    MIMALLOC = "mimalloc"
    JAVA = "Java"
    LUCENE = "Lucene (Elasticsearch, OpenSearch)"
    GO = "Go"
    DOTNET = ".NET"
    PYTORCH = "PyTorch"
    MONGODB = "MongoDB"


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to change, told in the first words of ``text`` and reasoned in the rest.

    ``source`` is a man page, a kernel file or commit, or an issue.
    """

    text: str
    applies_to: Runtime
    source: str

    @property
    def in_short(self) -> str:
        """Its first words, up to where the reasons begin."""
        return _REASONS_BEGIN.split(self.text, maxsplit=1)[0]

    @property
    def anchor(self) -> str:
        """Its place in the runbook, after the #."""
        words = _NO_WORD.sub(" ", self.in_short.lower()).split()
        return "-".join(["change", *words[:6]])


#: beginnings of the names of mapped files that give a runtime away; Go links statically
RUNTIME_FILES: tuple[tuple[str, Runtime], ...] = (
    ("libjemalloc", Runtime.JEMALLOC),
    ("libmimalloc", Runtime.MIMALLOC),
    ("libjvm.so", Runtime.JAVA),
    ("libcoreclr.so", Runtime.DOTNET),
    ("libtorch", Runtime.PYTORCH),
    ("mongod", Runtime.MONGODB),
    ("libc.so.6", Runtime.GLIBC),
    ("libc-2.", Runtime.GLIBC),
)


def runtime_of(path: str) -> Runtime | None:
    """The runtime that a mapped file belongs to, by its file name; None when it tells nothing."""
    name = path.rpartition("/")[2]
    for beginning, runtime in RUNTIME_FILES:
        if name.startswith(beginning):
            return runtime
    return None


def _any(text: str, source: str) -> Advice:
    return Advice(text, Runtime.ANY, source)


def _operator(text: str, source: str) -> Advice:
    return Advice(text, Runtime.OPERATOR, source)


RAISE_LIMIT = _operator(
    "Raise vm.max_map_count with head-room, to 1.5 times the highest count seen. Where the count "
    "stands at the limit the need is unknown: take 262,144, then 1,048,576. A VMA costs some 220 "
    "bytes of kernel memory, 390 when it is written to on its own, and some tools cannot read a "
    "core file of more than 65,535 segments.",
    "Documentation/admin-guide/sysctl/vm.rst; include/linux/mm.h, DEFAULT_MAX_MAP_COUNT",
)
REBUILD = _operator(
    "Join them without a restart, on Linux 6.8 and later: `vmad heal PID --rebuild` makes one VMA "
    "of each run of them and copies no page. They come back as fast as the program makes them.",
    "docs/rebuild.md; UFFDIO_MOVE, commit adef440691ba (6.8)",
)
PATCHED_KERNEL = _operator(
    "Run a kernel with the anon_vma series: it merges these VMAs when the memory of at least one "
    "side is not shared with another process.",
    "J. Matena, RFC v3, linux-mm 2022-05-16, message 20220516125405.1675-1",
)
KERNEL_6_16 = _operator(
    "Upgrade to kernel 6.16 or later: there an operation on either side merges the two.",
    "commit 879bca0a2c4f (6.16)",
)
KERNEL_EVIDENCE = _operator(
    "Let vmad see the kernel's own structures: CAP_BPF and CAP_PERFMON on a kernel with BTF. "
    "`vmad doctor` says what is missing here.",
    "capabilities(7)",
)
READ_ONE_PROCESS = _operator(
    "Read one process by `vmad explain PID`: without BPF it reads smaps and numa_maps, which show "
    "its flags and most of its memory policies.",
    "proc_pid_smaps(5), proc_pid_numa_maps(5)",
)
LOOK_AGAIN = _operator(
    "Look again: pairs that were just being changed are read whole the next time.",
    "Documentation/filesystems/proc.rst: maps is consistent only within one read",
)

NOTHING = _any(
    "Nothing needs to change: the kernel merges them the next time that mprotect, madvise, mlock "
    "or mremap is called on one of them.",
    "mm/vma.c, vma_modify_flags; before 6.12 mm/mmap.c, vma_merge",
)
TOGGLE_ADVICE = _any(
    "The program can make the kernel try at once: madvise(MADV_RANDOM), then "
    "madvise(MADV_NORMAL), over exactly the whole VMA.",
    "mm/madvise.c, madvise_update_vma; madvise(2)",
)
TOGGLE_UNWRITTEN = _any(
    "Make the kernel try on the side that was never written to.",
    "list_is_singular of an empty chain in is_mergeable_anon_vma, up to 6.15",
)
SAME_ORIGIN = _any(
    "Take both sides from mmap(MAP_ANONYMOUS), not one of them from brk or /dev/zero.",
    "arch/arm64/include/asm/page.h, VM_DATA_DEFAULT_FLAGS; mman.h, arch_calc_vm_flag_bits",
)
COARSER_MPROTECT = _any(
    "Change protections in larger pieces and keep memory of one protection together, a pool for "
    "each, instead of alternating within one area.",
    "mprotect(2); JuliaLang/julia PR #61418",
)
GUARD_INSTALL = _any(
    "Make guard pages with madvise(MADV_GUARD_INSTALL), kernel 6.13 and later: they need no VMA "
    "of their own. ClickHouse measured one VMA more for 300 stacks, against two more for each.",
    "madvise(2); ClickHouse PR #109734",
)
FEWER_THREADS = _any(
    "A thread or coroutine stack with a guard page is two VMAs: use fewer of them, or guards that "
    "need no VMA.",
    "pthread_attr_setguardsize(3); ClickHouse #43864, rethinkdb #5760",
)
PURGE_WITHOUT_MPROTECT = _any(
    "Give memory back with MADV_DONTNEED or MADV_FREE, which leave the VMA whole, not with "
    "mprotect(PROT_NONE) or munmap of pieces.",
    "madvise(2); jemalloc #1328",
)
WHOLE_AREAS = _any(
    "Give the same madvise to whole areas (an arena, at least 2 MiB), not to pieces, and before "
    "they are first written: pieces that differ at their first write stay apart even when the "
    "flags are equal again.",
    "madvise(2); mm/vma.c, anon_vma_compatible",
)
NO_WAY_BACK = _any(
    "MADV_NOHUGEPAGE does not undo MADV_HUGEPAGE, and no call gives back the neutral state: "
    "advise all of an area or none of it.",
    "madvise(2); golang/go #64332",
)
THP_PER_PROCESS = _any(
    "Keep a program from huge pages with prctl(PR_SET_THP_DISABLE) or the setting of the whole "
    "host, neither of which marks single VMAs.",
    "prctl(2); Documentation/admin-guide/mm/transhuge.rst",
)
SAME_NORESERVE = _any(
    "Use MAP_NORESERVE for all mappings of a pool or for none. Memory mapped with it is never "
    "accounted, so that the accounting flag cannot differ either (except under "
    "vm.overcommit_memory=2).",
    "mmap(2); mm/mmap.c, accountable_mapping",
)
ACCOUNT_6_12 = _operator(
    "Upgrade to kernel 6.12 or later: there memory that was never written loses its accounting "
    "flag again when it is made unwritable.",
    "mm/mprotect.c, mprotect_fixup, 6.12",
)
LOCK_WHOLE = _any(
    "Lock whole areas, or everything with mlockall(MCL_CURRENT | MCL_FUTURE).",
    "mlock(2)",
)
COREDUMP_FILTER = _any(
    "Choose what a core dump holds with /proc/PID/coredump_filter, or mark whole areas, rather "
    "than pieces with MADV_DONTDUMP.",
    "core(5); madvise(2)",
)
KSM_6_18 = _operator(
    "Use kernel 6.18 or later with prctl(PR_SET_MEMORY_MERGE): from 6.4 to 6.16 every new mapping "
    "gets its flag only after the attempt to merge.",
    "mm/mmap.c, ksm_add_vma; linux-kernel, May 2025",
)
NO_GROWSDOWN = _any(
    "Map stacks with MAP_STACK and a fixed size instead of MAP_GROWSDOWN.",
    "mmap(2)",
)
REGISTER_WHOLE = _any(
    "Register whole areas with one userfaultfd, and unregister them whole.",
    "userfaultfd(2), UFFDIO_REGISTER(2const)",
)
POOL_PER_PKEY = _any(
    "Keep memory of one protection key together, a pool for each key.",
    "pkeys(7)",
)
POLICY_OF_TASK = _any(
    "Set the memory policy for the task with set_mempolicy(2), which marks no VMA, or mbind(2) "
    "whole areas with equal arguments.",
    "set_mempolicy(2), mbind(2)",
)
MAP_ANONYMOUS = _any(
    "Use MAP_ANONYMOUS instead of a private mapping of /dev/zero: each open of /dev/zero is "
    "another file to the kernel.",
    "zero(4); drivers/char/mem.c, mmap_zero",
)
SAME_NAME = _any(
    "Give neighbouring areas one name or none: a named area also never takes in a fresh mapping.",
    "PR_SET_VMA(2const)",
)
WRITE_IN_ORDER = _any(
    "Write a reserved area from one end to the other, or write one byte to each piece in that "
    "order at the start, with its final flags: a VMA takes over the anon_vma of a neighbour at "
    "its first write, and only then.",
    "mm/vma.c, find_mergeable_anon_vma; before 6.12 in mm/mmap.c",
)
PROTECT_WHOLE_FIRST = _any(
    "Make the whole reserve writable at once: pieces made writable and written apart get an "
    "anon_vma each.",
    "dotnet/runtime #97316; mprotect(2)",
)
NO_MREMAP = _any(
    "Do not move memory with mremap() once it is written: move it before its first write, grow "
    "in place, or move neighbours together and in order, which keeps their offsets in line.",
    "mremap(2); mm/mremap.c, copy_vma",
)
SPAWN = _any(
    "Start programs with posix_spawn(3) or vfork instead of fork: sharing ends when the child "
    "has called exec or exited.",
    "posix_spawn(3); mm/rmap.c, anon_vma_fork",
)
DONTFORK = _any(
    "Mark whole pools that a child never needs with MADV_DONTFORK before they are written.",
    "madvise(2)",
)
FRESH_POOL = _any(
    "Allocate from a pool that a child which lives long has mapped itself, or call exec: a "
    "fresh mapping cannot join memory that came through fork.",
    "mm/vma.c, is_mergeable_anon_vma; fork(2)",
)
ONE_DRIVER_MAPPING = _any(
    "Ask the driver for one larger mapping instead of many.",
    "mmap(2); include/linux/mm.h, VM_SPECIAL",
)
UNSEAL = _any(
    "Seal whole areas: a sealed VMA joins only sealed neighbours, and nothing unseals it.",
    "Documentation/userspace-api/mseal.rst",
)
FEWER_FILE_MAPS = _any(
    "Map fewer and larger pieces: whole files instead of blocks, several segments or shards in "
    "one file, or read() where a mapping gains little.",
    "prometheus/prometheus #4392, m3db/m3 #960, blevesearch/bleve #1305",
)
UNMAP_DELETED = _any(
    "The program still maps files that were deleted; disk and VMAs come back when it unmaps "
    "them. Look at which files they are: a pile that only grows is a leak.",
    "proc_pid_maps(5); OpenSearch #18226",
)
SHARED_DIRECTION = _any(
    "Map a memfd so that neighbouring addresses have neighbouring offsets in one direction: "
    "then the mappings merge.",
    "google/gvisor PR #11360",
)
NO_ADVICE_PER_BUFFER = _any(
    "Do not call posix_madvise for each buffer: every piece with another advice is a VMA.",
    "apache/trafficserver PR #1050; posix_madvise(3)",
)
