# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The catalogue of reasons: the kernel's word and a sentence (what to change: vmad.advice)."""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.kernel_flags import KERNEL_FLAGS, KernelFlag


@dataclass(frozen=True, slots=True)
class Reason:
    """Why two adjacent private anonymous VMAs are, or are not, one.

    ``kernel_term`` is the kernel's own word for the condition and ``source`` where it tests it
    (mm/vma.c since 6.12, mm/mmap.c before). ``lifted_by_series`` says whether the patched kernel
    no longer minds, given an exclusive side.
    """

    name: str
    kernel_term: str
    sentence: str
    source: str
    lifted_by_series: bool = False


_ANON_VMA_TEST = "mm/vma.c, is_mergeable_anon_vma"
_VMA_TEST = "mm/vma.c, is_mergeable_vma"
_PGOFF_TEST = "mm/vma.c, can_vma_merge_before and can_vma_merge_after"


def _flag_reason(flag: KernelFlag) -> Reason:
    return Reason(
        flag.reason, flag.term, f"Only one of the two VMAs {flag.sentence}.", _VMA_TEST
    )  # fmt: skip


def _unknown(name: str, term: str, what: str) -> Reason:
    return Reason(
        name,
        term,
        f"Whether the two VMAs merge hangs on {what}, which this evidence does not show.",
        "proc(5)",
    )


_REASONS = (
    Reason(
        "latent",
        "(mergeable)",
        "Nothing keeps the two VMAs apart: the kernel has not tried to merge them since.",
        "mm/vma.c, vma_modify_flags",
    ),
    Reason(
        "latent_one_sided",
        "list_is_singular(anon_vma_chain)",
        "Nothing keeps the two VMAs apart, but before kernel 6.16 only an operation on the one "
        "that was never written to merges them.",
        "mm/mmap.c, is_mergeable_anon_vma, up to 6.15",
    ),
    Reason(
        "not_adjacent",
        "vm_end != vm_start",
        "There is a hole between the two VMAs, or one of them is shared or not anonymous: they "
        "are not a pair.",
        "mm/vma.c, vma_merge_new_range",
    ),
    Reason(
        "VM_SPECIAL",
        "VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP",
        "One of the two VMAs is of a kind that the kernel never merges, mostly memory of a "
        "device.",
        "include/linux/mm.h, VM_SPECIAL",
    ),
    Reason(
        "vm_flags:access",
        "VM_READ | VM_WRITE | VM_EXEC",
        "The two VMAs have different access rights: guard pages, memory given back by taking its "
        "rights away, or code beside data.",
        _VMA_TEST,
    ),
    *(
        _flag_reason(flag)
        for flag in sorted(KERNEL_FLAGS, key=lambda flag: flag.code == "ac")
        if flag.sentence and flag.reason != "vm_flags:access"
    ),
    Reason(
        "mempolicy",
        "vma_policy, __mpol_equal",
        "The two VMAs have different memory policies (mbind, numactl).",
        "mm/mempolicy.c, __mpol_equal",
    ),
    Reason(
        "vm_file",
        "vm_file",
        "The two VMAs belong to different files, as private mappings of /dev/zero do.",
        _VMA_TEST,
    ),
    Reason(
        "vm_ops_close",
        "vm_ops->close",
        "A driver wants to be told when one of the two VMAs goes away; plain anonymous memory has "
        "no such driver.",
        "mm/vma.c, can_merge_remove_vma; before 714965ca8252 (6.4) also for the VMA that stays",
    ),
    Reason(
        "vm_userfaultfd_ctx",
        "vm_userfaultfd_ctx.ctx",
        "The two VMAs report to different userfaultfds, or only one of them does.",
        _VMA_TEST,
    ),
    Reason(
        "anon_vma_name",
        "anon_vma_name",
        "The two VMAs have different names (PR_SET_VMA_ANON_NAME, kernel 5.17).",
        "include/linux/mm_inline.h, anon_vma_name_eq; 9a10064f5625",
    ),
    Reason(
        "anon_vma_differs",
        "vma->anon_vma",
        "Each of the two VMAs was written to on its own and got an anon_vma of its own.",
        _ANON_VMA_TEST,
        lifted_by_series=True,
    ),
    Reason(
        "anon_vma_shared",
        "vma->anon_vma, anon_vma->root, num_children",
        "The two VMAs have different anon_vmas, and both are shared with another process through "
        "fork (or map /dev/zero, which counts as not exclusive), or one came through a fork.",
        _ANON_VMA_TEST,
    ),
    Reason(
        "anon_vma_chain_not_singular",
        "list_is_singular(anon_vma_chain)",
        "One of the two VMAs came through a fork, the other was never written to: the kernel does "
        "not join them.",
        _ANON_VMA_TEST,
    ),
    Reason(
        "vm_pgoff",
        "vm_pgoff",
        "One of the two VMAs was moved by mremap after it had been written to, so their page "
        "offsets no longer continue each other.",
        _PGOFF_TEST,
        lifted_by_series=True,
    ),
    Reason(
        "vm_pgoff_shared",
        "vm_pgoff",
        "The page offsets of the two VMAs do not continue each other, and neither VMA has its "
        "memory to itself (or they map /dev/zero, which counts as that), or one came through a "
        "fork.",
        _PGOFF_TEST,
    ),
    _unknown("anon_vma_unknown", "vma->anon_vma", "their anon_vmas"),
    _unknown("anon_vma_exclusive_unknown", "anon_vma->num_children",
             "whether another process shares their memory"),
    _unknown("vm_flags_unknown", "vm_flags", "their flags"),
    _unknown("vm_pgoff_unknown", "vm_pgoff", "their page offsets"),
    _unknown("vm_userfaultfd_ctx_unknown", "vm_userfaultfd_ctx.ctx",
             "which userfaultfd they report to"),
    _unknown("mempolicy_unknown", "vma_policy", "their memory policies"),
    _unknown("anon_vma_name_unknown", "anon_vma_name", "their names"),
)  # fmt: skip

#: every reason that any rules can give, by name, in the order in which they decide
CATALOGUE: dict[str, Reason] = {entry.name: entry for entry in _REASONS}


def reason(name: str) -> Reason:
    """The entry of one reason. Raises KeyError for a name that is not in the catalogue."""
    return CATALOGUE[name]
