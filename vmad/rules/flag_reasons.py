# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What each flag that can differ between two VMAs is, who sets it, and what to change."""

from __future__ import annotations

from typing import NamedTuple

from vmad.rules import advice as a
from vmad.rules.advice import Advice
from vmad.rules.runtime_advice import (
    GLIBC_ARENAS,
    GO_HUGE_PAGES,
    JEMALLOC_OVERCOMMIT,
    JEMALLOC_THP,
    MIMALLOC_PURGE,
)


class FlagReason(NamedTuple):
    """``sentence`` completes "Only one of the two VMAs …"."""

    kernel_term: str
    sentence: str
    advice: tuple[Advice, ...]


_UFFD = (a.REGISTER_WHOLE,)
_MADVISE = (a.WHOLE_AREAS,)
_NONE_KNOWN = (a.RAISE_LIMIT,)

#: by code of smaps VmFlags; the access flags rd, wr, ex are one reason, "vm_flags:access"
FLAG_REASONS: dict[str, FlagReason] = {
    "mw": FlagReason("VM_MAYWRITE", "may ever be made writable", _NONE_KNOWN),
    "me": FlagReason("VM_MAYEXEC", "may ever be made executable", _NONE_KNOWN),
    "sl": FlagReason("VM_SEALED", "is sealed against changes (mseal, kernel 6.10)", (a.UNSEAL,)),
    "dp": FlagReason(
        "VM_DROPPABLE",
        "may be dropped under memory pressure (MAP_DROPPABLE, kernel 6.11)",
        _NONE_KNOWN,
    ),
    "gd": FlagReason("VM_GROWSDOWN", "grows downwards like a stack", (a.NO_GROWSDOWN,)),
    "um": FlagReason("VM_UFFD_MISSING", "reports missing pages to a userfaultfd", _UFFD),
    "uw": FlagReason("VM_UFFD_WP", "reports writes to a userfaultfd", _UFFD),
    "ui": FlagReason("VM_UFFD_MINOR", "reports minor faults to a userfaultfd", _UFFD),
    "ur": FlagReason("VM_UFFD_RWP", "reports reads and writes to a userfaultfd", _UFFD),
    "ss": FlagReason(
        "VM_SHADOW_STACK", "is a shadow stack (x86 from 6.6, arm64 from 6.13)", _NONE_KNOWN
    ),
    "gu": FlagReason(
        "VM_MAYBE_GUARD",
        "may hold guard regions; kernels that have this flag merge all the same",
        _NONE_KNOWN,
    ),
    "lo": FlagReason("VM_LOCKED", "is locked in memory (mlock)", (a.LOCK_WHOLE,)),
    "lf": FlagReason("VM_LOCKONFAULT", "is locked page by page (mlock2)", (a.LOCK_WHOLE,)),
    "sr": FlagReason("VM_SEQ_READ", "has the advice MADV_SEQUENTIAL", _MADVISE),
    "rr": FlagReason("VM_RAND_READ", "has the advice MADV_RANDOM", _MADVISE),
    "dc": FlagReason("VM_DONTCOPY", "is not copied by fork (MADV_DONTFORK)", _MADVISE),
    "wf": FlagReason("VM_WIPEONFORK", "is wiped by fork (MADV_WIPEONFORK)", _MADVISE),
    "dd": FlagReason(
        "VM_DONTDUMP",
        "is left out of core dumps (MADV_DONTDUMP)",
        (a.COREDUMP_FILTER, a.WHOLE_AREAS),
    ),
    "ac": FlagReason(
        "VM_ACCOUNT",
        "counts against the commit limit: it was writable once, the other never was, or is "
        "MAP_NORESERVE",
        (a.SAME_NORESERVE, a.ACCOUNT_6_12, a.PURGE_WITHOUT_MPROTECT, GLIBC_ARENAS,
         JEMALLOC_OVERCOMMIT, MIMALLOC_PURGE),
    ),
    "nr": FlagReason("VM_NORESERVE", "is mapped with MAP_NORESERVE", (a.SAME_NORESERVE,)),
    "pkey": FlagReason("VM_PKEY_BIT0..3", "has that protection key", (a.POOL_PER_PKEY,)),
    "??": FlagReason("(a flag without a name)", "has a flag that smaps does not name", _NONE_KNOWN),
    "ar": FlagReason("VM_ARCH_1", "has a flag of this processor architecture", _NONE_KNOWN),
    "bt": FlagReason(
        "VM_ARM64_BTI", "is code that only marked instructions may jump to (arm64, PROT_BTI)",
        _NONE_KNOWN,
    ),
    "sd": FlagReason(
        "VM_SOFTDIRTY",
        "is soft-dirty as a whole; no kernel since 5.10 compares that",
        _NONE_KNOWN,
    ),
    "mt": FlagReason("VM_MTE", "uses memory tags (arm64, PROT_MTE)", _NONE_KNOWN),
    "mt_allowed": FlagReason(
        "VM_MTE_ALLOWED",
        "could use memory tags (arm64): the heap and the stack always could, what mmap gives only "
        "on a processor with tags, /dev/zero never",
        (a.SAME_ORIGIN,),
    ),
    "hg": FlagReason(
        "VM_HUGEPAGE",
        "has the advice MADV_HUGEPAGE",
        (a.WHOLE_AREAS, a.NO_WAY_BACK, JEMALLOC_THP, GO_HUGE_PAGES),
    ),
    "nh": FlagReason(
        "VM_NOHUGEPAGE",
        "has the advice MADV_NOHUGEPAGE, or is mapped with MAP_STACK on a recent kernel",
        (a.WHOLE_AREAS, a.NO_WAY_BACK, a.THP_PER_PROCESS, GO_HUGE_PAGES, JEMALLOC_THP),
    ),
    "mg": FlagReason(
        "VM_MERGEABLE",
        "is open to the merging of equal pages (KSM)",
        (a.WHOLE_AREAS, a.KSM_6_18),
    ),
}  # fmt: skip
