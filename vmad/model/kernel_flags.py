# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The flags of a VMA, a record each: where kernels keep it, what it is called, what it says.

A new flag takes a record here and nothing else: the numbering of facts (vmad/model/flags.py), what
the BPF programs are told, the letters of smaps, reasons, legends, advice by madvise and the
self-check follow from it; ``make docs`` then renews the page of reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vmad.architecture.aarch64 import AARCH64
from vmad.architecture.architecture import Architecture
from vmad.architecture.x86_64 import X86_64


class Place(NamedTuple):
    """Where kernels from a release (major, minor) on keep a flag in vm_flags.

    ``on``: the architecture that has it there; None for all, those that are not known here too.
    """

    bit: int  #: the lowest, of ``width``
    since: tuple[int, int] = (0, 0)
    on: Architecture | None = None
    width: int = 1

    @property
    def mask(self) -> int:
        """Raw."""
        return ((1 << self.width) - 1) << self.bit


class Madvise(NamedTuple):
    """The advice that sets a flag (include/uapi/asm-generic/mman-common.h)."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class KernelFlag:
    """One flag of vm_flags (include/linux/mm.h).

    ``code`` names it in reasons ("vm_flags:hg") and texts: the letters of smaps, or a word of ours
    where smaps has none. ``sentence`` completes "Only one of the two VMAs …"; it is empty for a
    flag in which two private anonymous VMAs cannot differ, or that the fact SPECIAL covers.
    ``places`` ascend by release. ``canonical`` is the bit in the numbering of facts of a flag that
    kernels keep above bit 31: that of a flag without a sentence, and of no other flag of the same
    architecture; a flag below has its own. ``letters``: under which smaps lists it
    (fs/proc/task_mmu.c, show_smap_vma_flags). ``unbuilt``: why the self-check has no pair that
    differs in it, where it has none.
    """

    code: str
    term: str  #: the kernel's word
    places: tuple[Place, ...]
    sentence: str = ""
    canonical: int | None = None
    letters: tuple[str, ...] | None = None  #: None: the code
    madvise: Madvise | None = None
    unbuilt: str = ""

    @property
    def in_smaps(self) -> tuple[str, ...]:
        """The letters that stand for it there."""
        return (self.code,) if self.letters is None else self.letters

    @property
    def reason(self) -> str:
        """The name of the reason that it is; access is one reason, whichever right differs."""
        return "vm_flags:access" if self.code in ("rd", "wr", "ex") else f"vm_flags:{self.code}"

    def place(self, release: tuple[int, int], architecture: Architecture | None) -> Place | None:
        """Where a kernel keeps it; None where it has none."""
        places = [
            place
            for place in self.places
            if release >= place.since and place.on in (None, architecture)
        ]
        return places[-1] if places else None


_WITH_UFFD = "behind vm_userfaultfd_ctx, which decides first"
_NO_KERNEL_MINDS = "no kernel minds it"
_WANTS_TAGS = "wants a processor with memory tags"


def _advised(number: int, name: str) -> Madvise:
    return Madvise(f"MADV_{name}", number)


#: in the order of their bits in facts, for those without a sentence in that of the kernel's bits
KERNEL_FLAGS: tuple[KernelFlag, ...] = (
    KernelFlag("rd", "VM_READ", (Place(0),), "may be read"),
    KernelFlag("wr", "VM_WRITE", (Place(1),), "may be written to"),
    KernelFlag("ex", "VM_EXEC", (Place(2),), "may be executed"),
    KernelFlag("sh", "VM_SHARED", (Place(3),)),
    KernelFlag(
        "sl", "VM_SEALED", (Place(63, (6, 10)), Place(42, (6, 16))),
        "is sealed against changes (mseal, kernel 6.10)",
        canonical=3,
    ),
    # a private mapping without it cannot be made (mm/mmap.c, do_mmap: FMODE_READ)
    KernelFlag("mr", "VM_MAYREAD", (Place(4),)),
    # 5.10, "arm64: mte: Add PROT_MTE support to mmap() and mprotect()"; 6.12 moved both, for the
    # permission keys to have the first bits as on x86 ("arm64: re-order MTE VM_ flags")
    KernelFlag(
        "mt_allowed", "VM_MTE_ALLOWED", (Place(33, on=AARCH64), Place(37, (6, 12), AARCH64)),
        "could use memory tags (arm64): the heap and the stack always could, what mmap gives only "
        "on a processor with tags, /dev/zero never",
        canonical=4, letters=(), unbuilt=_WANTS_TAGS,
    ),
    KernelFlag(
        "mw", "VM_MAYWRITE", (Place(5),), "may ever be made writable",
        unbuilt="a file opened for reading, mapped shared: not anonymous",
    ),
    KernelFlag(
        "me", "VM_MAYEXEC", (Place(6),), "may ever be made executable",
        unbuilt="a file on a mount without exec: not anonymous",
    ),
    KernelFlag("ms", "VM_MAYSHARE", (Place(7),)),
    KernelFlag(
        "dp", "VM_DROPPABLE", (Place(40, (6, 11)),),
        "may be dropped under memory pressure (MAP_DROPPABLE, kernel 6.11)",
        canonical=7,
    ),
    KernelFlag("gd", "VM_GROWSDOWN", (Place(8),), "grows downwards like a stack"),
    KernelFlag(
        "um", "VM_UFFD_MISSING", (Place(9),), "reports missing pages to a userfaultfd",
        unbuilt=_WITH_UFFD,
    ),
    KernelFlag("pf", "VM_PFNMAP", (Place(10),)),
    # 6.6 (2928e8b7a1e9's series); of arm64 guarded control stacks, 6.13: VM_HIGH_ARCH_6
    KernelFlag(
        "ss", "VM_SHADOW_STACK", (Place(37, (6, 6), X86_64), Place(38, (6, 13), AARCH64)),
        "is a shadow stack (x86 from 6.6, arm64 from 6.13)",
        canonical=10, unbuilt="wants a processor with shadow stacks",
    ),
    # 6.19 (5dba5cc2e0ff; stable 6.18.37); until 5.14 bit 11 was VM_DENYWRITE, "dw"
    KernelFlag(
        "gu", "VM_MAYBE_GUARD", (Place(11),),
        "may hold guard regions; kernels that have this flag merge all the same",
        letters=("gu", "dw"), unbuilt=_NO_KERNEL_MINDS,
    ),
    KernelFlag(
        "uw", "VM_UFFD_WP", (Place(12),), "reports writes to a userfaultfd", unbuilt=_WITH_UFFD,
    ),
    KernelFlag("lo", "VM_LOCKED", (Place(13),), "is locked in memory (mlock)"),
    KernelFlag("io", "VM_IO", (Place(14),)),
    # 6.6 made room for x86's shadow stacks, 6.13 for arm64's
    KernelFlag(
        "ui", "VM_UFFD_MINOR", (Place(37, (5, 13)), Place(38, (6, 6)), Place(41, (6, 13))),
        "reports minor faults to a userfaultfd",
        canonical=14, unbuilt=_WITH_UFFD,
    ),
    KernelFlag(
        "sr", "VM_SEQ_READ", (Place(15),), "has the advice MADV_SEQUENTIAL",
        madvise=_advised(2, "SEQUENTIAL"),
    ),
    KernelFlag(
        "rr", "VM_RAND_READ", (Place(16),), "has the advice MADV_RANDOM",
        madvise=_advised(1, "RANDOM"),
    ),
    KernelFlag(
        "dc", "VM_DONTCOPY", (Place(17),), "is not copied by fork (MADV_DONTFORK)",
        madvise=_advised(10, "DONTFORK"),
    ),
    KernelFlag("de", "VM_DONTEXPAND", (Place(18),)),
    KernelFlag(
        "ur", "VM_UFFD_RWP", (Place(43, (7, 0)),), "reports reads and writes to a userfaultfd",
        canonical=18, unbuilt=_WITH_UFFD,
    ),
    KernelFlag(
        "lf", "VM_LOCKONFAULT", (Place(19),), "is locked page by page (mlock2)",
        unbuilt="comes with vm_flags:lo, which decides first",
    ),
    KernelFlag(
        "ac", "VM_ACCOUNT", (Place(20),),
        "counts against the commit limit: it was writable once, the other never was, or is "
        "MAP_NORESERVE",
    ),
    KernelFlag("nr", "VM_NORESERVE", (Place(21),), "is mapped with MAP_NORESERVE"),
    KernelFlag("ht", "VM_HUGETLB", (Place(22),)),
    # VM_HIGH_ARCH_0 and up: sixteen keys; arm64's permission overlays (FEAT_S1POE) have eight
    KernelFlag(
        "pkey", "VM_PKEY_BIT0..3",
        (Place(32, on=X86_64, width=4), Place(32, (6, 12), AARCH64, width=3)),
        "has that protection key",
        canonical=22, letters=(),
    ),
    KernelFlag("sf", "VM_SYNC", (Place(23),)),
    # what canonical() finds at no flag's place
    KernelFlag(
        "??", "(a flag without a name)", (), "has a flag that smaps does not name",
        canonical=23, letters=(), unbuilt="of a flag that nobody knows yet",
    ),
    KernelFlag(
        "ar", "VM_ARCH_1", (Place(24),), "has a flag of this processor architecture",
        unbuilt="wants a processor that has it",
    ),
    KernelFlag(
        "bt", "VM_ARM64_BTI", (Place(24, on=AARCH64),),
        "is code that only marked instructions may jump to (arm64, PROT_BTI)",
        unbuilt="wants a processor that has it",
    ),
    KernelFlag(
        "wf", "VM_WIPEONFORK", (Place(25),), "is wiped by fork (MADV_WIPEONFORK)",
        madvise=_advised(18, "WIPEONFORK"),
    ),
    KernelFlag(
        "dd", "VM_DONTDUMP", (Place(26),), "is left out of core dumps (MADV_DONTDUMP)",
        madvise=_advised(16, "DONTDUMP"),
    ),
    KernelFlag(
        "sd", "VM_SOFTDIRTY", (Place(27),),
        "is soft-dirty as a whole; no kernel since 5.10 compares that",
        unbuilt=_NO_KERNEL_MINDS,
    ),
    KernelFlag("mm", "VM_MIXEDMAP", (Place(28),)),
    KernelFlag(
        "mt", "VM_MTE", (Place(32, on=AARCH64), Place(36, (6, 12), AARCH64)),
        "uses memory tags (arm64, PROT_MTE)",
        canonical=28, unbuilt=_WANTS_TAGS,
    ),
    KernelFlag(
        "hg", "VM_HUGEPAGE", (Place(29),), "has the advice MADV_HUGEPAGE",
        madvise=_advised(14, "HUGEPAGE"),
    ),
    KernelFlag(
        "nh", "VM_NOHUGEPAGE", (Place(30),),
        "has the advice MADV_NOHUGEPAGE, or is mapped with MAP_STACK on a recent kernel",
        madvise=_advised(15, "NOHUGEPAGE"),
    ),
    KernelFlag(
        "mg", "VM_MERGEABLE", (Place(31),), "is open to the merging of equal pages (KSM)",
        madvise=_advised(12, "MERGEABLE"),
    ),
)  # fmt: skip
