# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a program does to its own memory: rights, advice, order of writing, holes."""

from __future__ import annotations

from vmad.advice.conditions import shared_and_apart, unmapped
from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose

PIECES = (
    Advice(
        name="coarser-mprotect",
        text="Change protections in larger pieces and keep memory of one protection together, a "
        "pool for each, instead of alternating within one area.",
        whose=Whose.PROGRAMMER,
        patterns=(P.ACCESS_SWITCHED, P.CODE, P.ORDINARY),
        proof=Measured(
            4021,
            23,
            "2,000 pages made read-only in one half in place of every second",
            ("access-alternating", "access-two-pools"),
        ),
        cost="Memory of one kind has to be laid out beforehand.",
        check="Pairs with `vm_flags:access` become fewer.",
        source="mprotect(2); JuliaLang/julia PR #61418",
    ),
    Advice(
        name="purge-with-madvise",
        text="Give memory back with MADV_DONTNEED or MADV_FREE in place of munmap or "
        "mprotect(PROT_NONE) of pieces: both leave the VMA whole. Of an allocator it is an option "
        "mostly (retain of jemalloc; GC_UNMAP_THRESHOLD=0 of bdwgc).",
        whose=Whose.PROGRAMMER,
        patterns=(P.HOLES, P.OPENED_RESERVE),
        proof=Measured(
            30022,
            22,
            "30,000 pages of one heap given back by MADV_DONTNEED in place of munmap",
            ("holes-munmap", "holes-dontneed"),
        ),
        cost="Address space stays reserved; under vm.overcommit_memory=2 it stays accounted.",
        check="The count no longer grows as memory is freed.",
        source="madvise(2); jemalloc #1328; bdwgc #324 and misc.c, GC_init",
        tests=(unmapped,),
    ),
    Advice(
        name="larger-blocks",
        text="Map fewer and larger blocks: take areas of many MiB from the kernel and cut them up "
        "in the program. What is mapped side by side with equal rights, and written after that, "
        "is one VMA.",
        whose=Whose.PROGRAMMER,
        patterns=(P.BLOCKS_APART, P.OPENED_RESERVE),
        proof=Documented(0.25),
        cost="A whole area is given back only when nothing in it is used.",
        check="VMAs with no pair below become fewer.",
        source="mmap(2); mm/vma.c, vma_merge_new_range",
    ),
    Advice(
        name="advise-whole-areas",
        text="Give the same madvise to whole areas (an arena, at least 2 MiB), not to pieces, and "
        "before they are first written: pieces that differ at their first write stay apart even "
        "when the flags are equal again.",
        whose=Whose.PROGRAMMER,
        patterns=(P.ADVISED, P.FORK_ADVISED),
        proof=Measured(
            4021,
            23,
            "2,000 pages advised as one area in place of every second one",
            ("advice-alternating", "advice-whole"),
        ),
        cost="The advice holds for more memory than was meant.",
        check="Pairs with that flag become fewer.",
        source="madvise(2); mm/vma.c, anon_vma_compatible",
    ),
    Advice(
        name="no-way-back-from-hugepage",
        text="Do not answer MADV_HUGEPAGE with MADV_NOHUGEPAGE: no call gives back the neutral "
        "state. Advise all of an area or none of it.",
        whose=Whose.PROGRAMMER,
        patterns=(P.ADVISED,),
        reasons=("vm_flags:hg", "vm_flags:nh"),
        proof=Documented(0.2),
        cost="Nothing.",
        check="Pairs with `vm_flags:hg` or `vm_flags:nh` become fewer.",
        source="madvise(2); golang/go #64332",
    ),
    Advice(
        name="thp-per-process",
        text="Where the program's own madvise calls can be taken out, keep it from huge pages with "
        "prctl(PR_SET_THP_DISABLE) or the setting of the whole host, neither of which marks "
        "single VMAs. Beside the program's own madvise neither takes a VMA away.",
        whose=Whose.PROGRAMMER,
        patterns=(P.ADVISED,),
        reasons=("vm_flags:nh",),
        proof=Documented(0.15, "measured: without effect where the program still calls madvise"),
        cost="No huge pages at all in that process.",
        check="Pairs with `vm_flags:nh` become fewer.",
        source="prctl(2); Documentation/admin-guide/mm/transhuge.rst",
    ),
    Advice(
        name="coredump-filter",
        text="Choose what a core dump holds with /proc/PID/coredump_filter, or mark whole areas, "
        "rather than pieces with MADV_DONTDUMP.",
        whose=Whose.PROGRAMMER,
        patterns=(P.ADVISED,),
        reasons=("vm_flags:dd",),
        proof=Documented(0.9),
        cost="A dump holds more or less than now.",
        check="Pairs with `vm_flags:dd` become fewer.",
        source="core(5); madvise(2)",
    ),
    Advice(
        name="lock-whole",
        text="Lock whole areas, or everything with mlockall(MCL_CURRENT | MCL_FUTURE).",
        whose=Whose.PROGRAMMER,
        patterns=(P.LOCKED,),
        proof=Measured(
            4021,
            23,
            "2,000 pages locked as one area in place of every second one",
            ("lock-alternating", "lock-whole"),
        ),
        cost="More memory is locked.",
        check="Pairs with `vm_flags:lo` become fewer.",
        source="mlock(2)",
    ),
    Advice(
        name="same-noreserve",
        text="Use MAP_NORESERVE for all mappings of a pool or for none. Memory mapped with it is "
        "never accounted, so that the accounting flag cannot differ either (except under "
        "vm.overcommit_memory=2).",
        whose=Whose.PROGRAMMER,
        patterns=(P.ACCOUNTED,),
        proof=Documented(0.8),
        cost="Overcommitted memory is refused later, or earlier, than now.",
        check="Pairs with `vm_flags:nr` or `vm_flags:ac` become fewer.",
        source="mmap(2); mm/mmap.c, accountable_mapping",
    ),
    Advice(
        name="write-in-order",
        text="Write a reserved area from one end to the other, or write one byte to each piece in "
        "that order at the start, with its final flags: a VMA takes over the anon_vma of a "
        "neighbour at its first write, and only then.",
        whose=Whose.PROGRAMMER,
        patterns=(P.WRITTEN_APART, P.FORKED),
        proof=Measured(
            692,
            24,
            "a reserve of 2,000 pieces, written ascending in place of at random",
            ("reserve-random", "reserve-ascending"),
        ),
        cost="Some page of each piece is in memory from the start.",
        check="Pairs with `anon_vma_differs` become fewer.",
        source="mm/vma.c, find_mergeable_anon_vma; before 6.12 in mm/mmap.c",
        tests=(shared_and_apart,),
    ),
    Advice(
        name="protect-whole-first",
        text="Make the whole reserve writable at once: pieces made writable and written apart get "
        "an anon_vma each.",
        whose=Whose.PROGRAMMER,
        patterns=(P.WRITTEN_APART, P.OPENED_RESERVE, P.FORKED),
        proof=Measured(
            692,
            23,
            "a reserve of 2,000 pieces made writable as a whole in place of piece by piece",
            ("reserve-random", "reserve-whole"),
        ),
        cost="All of it counts against the commit limit under vm.overcommit_memory=2.",
        check="Pairs with `anon_vma_differs` become fewer.",
        source="dotnet/runtime #97316; mprotect(2)",
        tests=(shared_and_apart,),
    ),
    Advice(
        name="no-mremap",
        text="Do not move memory with mremap() once it is written: move it before its first "
        "write, grow in place, or move neighbours together and in order, which keeps their "
        "offsets in line.",
        whose=Whose.PROGRAMMER,
        patterns=(P.MOVED,),
        proof=Measured(
            1771,
            23,
            "2,000 buffers grown from 128 to 640 KiB in room of their own in place of mremap",
            ("buffers-moved", "buffers-reserved"),
        ),
        cost="Growing copies, or reserves room beforehand.",
        check="Pairs with `vm_pgoff` become fewer.",
        source="mremap(2); mm/mremap.c, copy_vma",
    ),
    Advice(
        name="pool-per-key",
        text="Keep memory of one protection key together, a pool for each key.",
        whose=Whose.PROGRAMMER,
        patterns=(P.OTHER_FLAGS,),
        reasons=("vm_flags:pkey",),
        proof=Documented(0.6),
        cost="Memory has to be laid out beforehand.",
        check="Pairs with `vm_flags:pkey` become fewer.",
        source="pkeys(7)",
    ),
    Advice(
        name="same-origin",
        text="Take both sides from mmap(MAP_ANONYMOUS), not one of them from brk or /dev/zero.",
        whose=Whose.PROGRAMMER,
        patterns=(P.OTHER_FLAGS,),
        reasons=("vm_flags:mt_allowed",),
        proof=Documented(0.6),
        cost="Nothing.",
        check="Pairs with `vm_flags:mt_allowed` become fewer.",
        source="arch/arm64/include/asm/page.h, VM_DATA_DEFAULT_FLAGS; mman.h, "
        "arch_calc_vm_flag_bits",
    ),
    Advice(
        name="seal-whole",
        text="Seal whole areas: a sealed VMA joins only sealed neighbours, and nothing unseals it.",
        whose=Whose.PROGRAMMER,
        patterns=(P.OTHER_FLAGS,),
        reasons=("vm_flags:sl",),
        proof=Documented(0.6),
        cost="More memory is sealed.",
        check="Pairs with `vm_flags:sl` become fewer.",
        source="Documentation/userspace-api/mseal.rst",
    ),
    Advice(
        name="no-growsdown",
        text="Map stacks with MAP_STACK and a fixed size instead of MAP_GROWSDOWN, side by side: "
        "then they merge, and pages come into being as they are touched all the same.",
        whose=Whose.PROGRAMMER,
        patterns=(P.GROWING_STACKS,),
        proof=Measured(
            3023,
            23,
            "3,000 stacks of 64 KiB without MAP_GROWSDOWN",
            ("stacks-grow", "stacks-fixed"),
        ),
        cost="Address space for the whole stack from the start.",
        check="smaps shows gd for [stack] alone.",
        source="mmap(2)",
    ),
    Advice(
        name="register-whole",
        text="Register whole areas with one userfaultfd, and unregister them whole.",
        whose=Whose.PROGRAMMER,
        patterns=(P.USERFAULTFD,),
        proof=Documented(0.6),
        cost="Faults of more memory are reported.",
        check="Pairs with `vm_userfaultfd_ctx` become fewer.",
        source="userfaultfd(2), UFFDIO_REGISTER(2const)",
    ),
    Advice(
        name="policy-of-task",
        text="Set the memory policy for the task with set_mempolicy(2), which marks no VMA, or "
        "mbind(2) whole areas with equal arguments.",
        whose=Whose.PROGRAMMER,
        patterns=(P.POLICIES,),
        proof=Documented(0.6),
        cost="The policy holds for all that the task allocates.",
        check="Pairs with `mempolicy` become fewer.",
        source="set_mempolicy(2), mbind(2)",
    ),
    Advice(
        name="map-anonymous",
        text="Use MAP_ANONYMOUS instead of a private mapping of /dev/zero: each open of "
        "/dev/zero is another file to the kernel.",
        whose=Whose.PROGRAMMER,
        patterns=(P.DEVICE_ZERO,),
        proof=Documented(0.8),
        cost="Nothing.",
        check="Pairs with `vm_file` become fewer.",
        source="zero(4); drivers/char/mem.c, mmap_zero",
    ),
    Advice(
        name="same-name",
        text="Give neighbouring areas one name or none: a named area also never takes in a fresh "
        "mapping.",
        whose=Whose.PROGRAMMER,
        patterns=(P.NAMES,),
        proof=Documented(0.6),
        cost="maps tells less.",
        check="Pairs with `anon_vma_name` become fewer.",
        source="PR_SET_VMA(2const)",
    ),
    Advice(
        name="spawn",
        text="Start programs with posix_spawn(3) or vfork instead of fork: sharing ends when the "
        "child has called exec or exited.",
        whose=Whose.PROGRAMMER,
        patterns=(P.FORKED,),
        proof=Documented(0.4),
        cost="The child may do less before it calls exec.",
        check="Pairs with `anon_vma_shared` become fewer once no child is left.",
        source="posix_spawn(3); mm/rmap.c, anon_vma_fork",
    ),
    Advice(
        name="dontfork",
        text="Mark whole pools that a child never needs with MADV_DONTFORK before they are "
        "written.",
        whose=Whose.PROGRAMMER,
        patterns=(P.FORKED,),
        reasons=("anon_vma_chain_not_singular",),
        proof=Documented(0.3),
        cost="A child that touches them is killed.",
        check="Pairs with `anon_vma_chain_not_singular` become fewer.",
        source="madvise(2)",
    ),
    Advice(
        name="fresh-pool",
        text="Allocate from a pool that a child which lives long has mapped itself, or call exec: "
        "a fresh mapping cannot join memory that came through fork.",
        whose=Whose.PROGRAMMER,
        patterns=(P.FORKED,),
        reasons=("anon_vma_chain_not_singular",),
        proof=Documented(0.3),
        cost="Memory of the parent is not used again.",
        check="Pairs with `anon_vma_chain_not_singular` become fewer.",
        source="mm/vma.c, is_mergeable_anon_vma; fork(2)",
    ),
    Advice(
        name="one-driver-mapping",
        text="Ask the driver for one larger mapping instead of many.",
        whose=Whose.PROGRAMMER,
        patterns=(P.DRIVER,),
        proof=Documented(0.5),
        cost="Memory of the device is mapped that may not be needed.",
        check="VMAs of kind special become fewer.",
        source="mmap(2); include/linux/mm.h, VM_SPECIAL",
    ),
)
