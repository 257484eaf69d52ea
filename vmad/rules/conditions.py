# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The merge conditions that stock and patched kernels share, read off a pair's facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.flags import ACCESS, ACCOUNT
from vmad.rules.eras import Era


@dataclass(frozen=True, slots=True)
class AnonVmas:
    """The two anon_vmas of a pair, as far as they are known.

    ``exclusive`` says whether at least one side is exclusive; None when that was not seen and
    may be. An exclusive side is faulted, its chain singular. ``fixed``: an unfaulted side has a
    file, and so a page offset that nobody may change.
    """

    a: AnonVma
    b: AnonVma
    same: bool
    exclusive: bool | None
    fixed: bool

    @property
    def one_unfaulted(self) -> bool:
        """Whether exactly one side was never written to."""
        return (self.a is AnonVma.NONE) != (self.b is AnonVma.NONE)

    @property
    def differ(self) -> bool:
        """Whether both sides are faulted and not on the same anon_vma."""
        return AnonVma.NONE not in (self.a, self.b) and not self.same

    @property
    def beside_fork_child(self) -> bool:
        """Whether one side is unfaulted and the other came through a fork.

        list_is_singular(anon_vma_chain) in is_mergeable_anon_vma (mm/mmap.c, later mm/vma.c)
        refuses these since long before 5.10; 6.16 kept it (879bca0a2c4f).
        """
        return self.one_unfaulted and AnonVma.CHAIN in (self.a, self.b)

    @property
    def offset_free(self) -> bool:
        """Whether a side was never written to and the other is no fork child's: nothing has to be
        labelled anew for it to take the other's page offset.
        """
        unfaulted = AnonVma.NONE in (self.a, self.b)
        return unfaulted and not self.fixed and not self.beside_fork_child

    @property
    def apart(self) -> bool | None:
        """Whether neither side can be labelled as the other: none is exclusive, or, where they
        differ, one is a fork child's; nor is an offset free. None when that was not seen.
        """
        if self.offset_free:
            return False
        if self.differ and AnonVma.CHAIN in (self.a, self.b):
            return True
        return None if self.exclusive is None else not self.exclusive


def anon_vmas(facts: int) -> AnonVmas | None:
    """The anon_vmas of a pair, or None when they were not seen.

    A value that contradicts itself (the same anon_vma where a side has none; exclusive with a
    longer chain; a state that does not exist) comes from a reader that was overtaken by a
    change: it decides nothing, so it is None too.
    """
    a, b = facts >> f.A_AV_SHIFT & f.AV_MASK, facts >> f.B_AV_SHIFT & f.AV_MASK
    same = bool(facts & f.AV_SAME)
    marked = [state for bit, state in ((f.A_EXCLUSIVE, a), (f.B_EXCLUSIVE, b)) if facts & bit]
    if (
        facts & f.UNKNOWN_AV
        or max(a, b) > AnonVma.CHAIN
        or (same and AnonVma.NONE in (a, b))
        or AnonVma.CHAIN in marked
    ):
        return None
    exclusive = AnonVma.SINGULAR in marked
    hidden = facts & f.UNKNOWN_EXCLUSIVE and not exclusive and AnonVma.SINGULAR in (a, b)
    fixed = AnonVma.NONE in marked
    return AnonVmas(AnonVma(a), AnonVma(b), same, None if hidden else exclusive, fixed)


def flag_reasons(differing: int, codes: Mapping[int, str]) -> list[str]:
    """("vm_flags:access", …) for canonical flags that differ; "vm_flags:ac" last.

    ``codes`` is what flags.canonical_codes() gives for the kernel's machine.
    VM_ACCOUNT comes last because it follows from the others: mmap derives it from the access and
    from MAP_NORESERVE (mm/mmap.c, accountable_mapping).
    """
    names = ["vm_flags:access"] if differing & ACCESS else []
    names += [
        f"vm_flags:{code}"
        for bit, code in sorted(codes.items())
        if differing & ~(ACCESS | ACCOUNT) & 1 << bit
    ]
    if differing & ACCOUNT:
        names.append("vm_flags:ac")
    return names


def blockers(facts: int, era: Era, codes: Mapping[int, str]) -> list[str]:
    """Reasons that block on stock and patched kernels alike, without the anon_vma's and pgoff's.

    A condition that was seen to differ blocks, whatever else was not seen.
    """
    names = ["VM_SPECIAL"] if facts & f.SPECIAL else []
    names += flag_reasons(f.flags_differing(facts) & ~era.ignored_flags, codes)
    names += [
        name
        for bit, name in (
            (f.POLICY, "mempolicy"),
            (f.FILE, "vm_file"),
            (f.CLOSE, "vm_ops_close"),
            (f.UFFD, "vm_userfaultfd_ctx"),
        )
        if facts & bit
    ]
    if facts & f.NAME and era.anon_names:
        names.append("anon_vma_name")
    return names


def open_questions(facts: int, era: Era, pgoff_matters: bool) -> list[str]:
    """Reasons for "unknown": what was not seen and could block, without the anon_vma's."""
    names = ["vm_flags_unknown"] if facts & f.UNKNOWN_FLAGS else []
    if facts & f.UNKNOWN_PGOFF and pgoff_matters:
        names.append("vm_pgoff_unknown")
    if facts & f.UNKNOWN_UFFD:
        names.append("vm_userfaultfd_ctx_unknown")
    if facts & f.UNKNOWN_POLICY:
        names.append("mempolicy_unknown")
    if facts & f.UNKNOWN_NAME and era.anon_names:
        names.append("anon_vma_name_unknown")
    return names
