# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Patterns of pairs, by all of their reasons."""

from __future__ import annotations

from vmad.advice.finding.layout import Layout
from vmad.advice.pattern import Pattern, explains
from vmad.model.verdict import Judgement, Verdict
from vmad.rules.judged_pairs import JudgedPairs

#: (decisive reason, or its beginning) -> pattern, first match; access and anon_vma are told apart
_BY_REASON: tuple[tuple[str, Pattern], ...] = (
    ("latent", Pattern.LATENT),
    ("vm_userfaultfd_ctx", Pattern.USERFAULTFD),
    ("mempolicy", Pattern.POLICIES),
    ("anon_vma_name", Pattern.NAMES),
    ("vm_file", Pattern.DEVICE_ZERO),
    ("VM_SPECIAL", Pattern.DRIVER),
    ("vm_ops_close", Pattern.DRIVER),
    ("anon_vma_shared", Pattern.FORKED),
    ("anon_vma_chain_not_singular", Pattern.FORKED),
    ("vm_pgoff_shared", Pattern.FORKED),
    ("vm_pgoff", Pattern.MOVED),
    ("anon_vma_differs", Pattern.WRITTEN_APART),
)
#: whoever shares the pages: what mremap moved stays apart when nobody does
_DIFFER = ("anon_vma_differs", "anon_vma_shared")
_MOVED = {"vm_pgoff", "vm_pgoff_shared"}
_FLAGS = (
    Pattern.ADVISED, Pattern.FORK_ADVISED, Pattern.LOCKED, Pattern.ACCOUNTED, Pattern.USERFAULTFD,
)  # fmt: skip


def give_pairs(layout: Layout, pairs: JudgedPairs) -> None:
    """The upper row of each pair."""
    for number, case in enumerate(pairs.cases):
        upper = pairs.upper[pairs.case == number]
        pattern = _of_judgement(case.stock)
        if pattern is not None:
            layout.give(upper, pattern)
            continue
        lower = layout.access[upper - 1]
        code = ((layout.access[upper] | lower) & 4) != 0
        layout.give(upper[code], Pattern.CODE)
        layout.give(upper[~code], Pattern.ACCESS_SWITCHED)


def _of_judgement(judgement: Judgement) -> Pattern | None:
    """The pattern that reasons tell; None where the access rights must be looked at."""
    decisive = judgement.decisive
    if judgement.verdict is Verdict.UNKNOWN:
        return Pattern.UNDECIDED
    if decisive == "vm_flags:access":
        return None
    if decisive in _DIFFER and _MOVED & set(judgement.reasons):
        return Pattern.MOVED
    if decisive.startswith("vm_flags:"):
        return next((flag for flag in _FLAGS if explains(flag, decisive)), Pattern.OTHER_FLAGS)
    return next(
        (pattern for start, pattern in _BY_REASON if decisive.startswith(start)),
        Pattern.OTHER_FLAGS,
    )
