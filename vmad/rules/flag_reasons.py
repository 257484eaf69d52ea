# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What each flag that can differ between two VMAs is, and who sets it."""

from __future__ import annotations

from typing import NamedTuple


class FlagReason(NamedTuple):
    """``sentence`` completes "Only one of the two VMAs …"."""

    kernel_term: str
    sentence: str


#: the access flags, which are one reason: code -> (kernel's word, what such a VMA is)
ACCESS_FLAGS = {
    "rd": ("VM_READ", "may be read"),
    "wr": ("VM_WRITE", "may be written to"),
    "ex": ("VM_EXEC", "may be executed"),
}
#: by code of smaps VmFlags; the access flags rd, wr, ex are one reason, "vm_flags:access"
FLAG_REASONS: dict[str, FlagReason] = {
    "mw": FlagReason("VM_MAYWRITE", "may ever be made writable"),
    "me": FlagReason("VM_MAYEXEC", "may ever be made executable"),
    "sl": FlagReason("VM_SEALED", "is sealed against changes (mseal, kernel 6.10)"),
    "dp": FlagReason(
        "VM_DROPPABLE",
        "may be dropped under memory pressure (MAP_DROPPABLE, kernel 6.11)"
    ),
    "gd": FlagReason("VM_GROWSDOWN", "grows downwards like a stack"),
    "um": FlagReason("VM_UFFD_MISSING", "reports missing pages to a userfaultfd"),
    "uw": FlagReason("VM_UFFD_WP", "reports writes to a userfaultfd"),
    "ui": FlagReason("VM_UFFD_MINOR", "reports minor faults to a userfaultfd"),
    "ur": FlagReason("VM_UFFD_RWP", "reports reads and writes to a userfaultfd"),
    "ss": FlagReason(
        "VM_SHADOW_STACK", "is a shadow stack (x86 from 6.6, arm64 from 6.13)"
    ),
    "gu": FlagReason(
        "VM_MAYBE_GUARD",
        "may hold guard regions; kernels that have this flag merge all the same"
    ),
    "lo": FlagReason("VM_LOCKED", "is locked in memory (mlock)"),
    "lf": FlagReason("VM_LOCKONFAULT", "is locked page by page (mlock2)"),
    "sr": FlagReason("VM_SEQ_READ", "has the advice MADV_SEQUENTIAL"),
    "rr": FlagReason("VM_RAND_READ", "has the advice MADV_RANDOM"),
    "dc": FlagReason("VM_DONTCOPY", "is not copied by fork (MADV_DONTFORK)"),
    "wf": FlagReason("VM_WIPEONFORK", "is wiped by fork (MADV_WIPEONFORK)"),
    "dd": FlagReason(
        "VM_DONTDUMP",
        "is left out of core dumps (MADV_DONTDUMP)"
    ),
    "ac": FlagReason(
        "VM_ACCOUNT",
        "counts against the commit limit: it was writable once, the other never was, or is "
        "MAP_NORESERVE"
    ),
    "nr": FlagReason("VM_NORESERVE", "is mapped with MAP_NORESERVE"),
    "pkey": FlagReason("VM_PKEY_BIT0..3", "has that protection key"),
    "??": FlagReason("(a flag without a name)", "has a flag that smaps does not name"),
    "ar": FlagReason("VM_ARCH_1", "has a flag of this processor architecture"),
    "bt": FlagReason(
        "VM_ARM64_BTI", "is code that only marked instructions may jump to (arm64, PROT_BTI)"
    ),
    "sd": FlagReason(
        "VM_SOFTDIRTY",
        "is soft-dirty as a whole; no kernel since 5.10 compares that"
    ),
    "mt": FlagReason("VM_MTE", "uses memory tags (arm64, PROT_MTE)"),
    "mt_allowed": FlagReason(
        "VM_MTE_ALLOWED",
        "could use memory tags (arm64): the heap and the stack always could, what mmap gives only "
        "on a processor with tags, /dev/zero never"
    ),
    "hg": FlagReason(
        "VM_HUGEPAGE",
        "has the advice MADV_HUGEPAGE"
    ),
    "nh": FlagReason(
        "VM_NOHUGEPAGE",
        "has the advice MADV_NOHUGEPAGE, or is mapped with MAP_STACK on a recent kernel"
    ),
    "mg": FlagReason(
        "VM_MERGEABLE",
        "is open to the merging of equal pages (KSM)"
    ),
}  # fmt: skip
