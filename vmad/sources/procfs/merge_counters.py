# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the patched kernel counts of its merge attempts: /proc/vmstat, absent on a stock kernel."""

from __future__ import annotations

from collections.abc import Iterable

from vmad.model.merge_attempts import OUTCOMES, MergeAttempts

#: how the names of the attempts' counters begin; the rest is OUTCOME_REASON
PREFIX = "anon_vma_merge_"


def read_merge_attempts(proc: str = "/proc") -> MergeAttempts | None:
    """Merge attempts since boot; None on a kernel that does not count them, or where /proc has no
    vmstat (in some containers).

    The kernel counts while vm.anon_vma_merge is not 0 (bit 8 counts and changes nothing).
    """
    try:
        with open(f"{proc}/vmstat", encoding="ascii") as file:
            return merge_attempts(file)
    except OSError:
        return None


def merge_attempts(lines: Iterable[str]) -> MergeAttempts | None:
    """The attempts among the lines of a vmstat; None when there are none of these counters."""
    counters: dict[tuple[str, str], int] = {}
    for line in lines:
        if not line.startswith(PREFIX):
            continue
        name, _, value = line.removeprefix(PREFIX).partition(" ")
        outcome, _, reason = name.partition("_")
        if outcome in OUTCOMES and reason:
            counters[outcome, reason] = int(value)
    return counters or None
