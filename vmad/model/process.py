# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who a process is, and what one scan says about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vmad.model.evidence import Evidence
from vmad.model.kinds import Kind
from vmad.model.verdict import Recoverable

__all__ = ["Evidence", "ProcessId", "ProcessSummary", "Unread", "Unreadable"]


class ProcessId(NamedTuple):
    """A process, safe against pid reuse.

    ``start_time`` is in clock ticks since boot: field 22 of /proc/PID/stat (proc(5)).
    """

    pid: int
    start_time: int

    def __str__(self) -> str:
        """For a person."""
        return f"process {self.pid}"


@dataclass(frozen=True, slots=True)
class ProcessSummary:
    """What one walk over one address space found, counted; no verdicts yet except the run counts.

    ``facts`` is the histogram of the pairs: (facts value, number of pairs), ascending by value;
    its counts add up to the number of pairs. ``kinds[k]`` is the number of VMAs of kind ``k``.
    ``recoverable`` are the VMAs that would vanish by the rules that merge (MERGE_RULES).
    ``map_count`` is the kernel's count; None when only a walk could tell and it did not end.
    ``mm`` identifies the address space (0 unknown): processes made by CLONE_VM without
    CLONE_THREAD show the same one and are counted once.
    """

    id: ProcessId
    comm: str
    map_count: int | None
    kinds: tuple[int, ...]
    facts: tuple[tuple[int, int], ...]
    recoverable: Recoverable
    mm: int = 0

    @property
    def vmas(self) -> int:
        """Number of VMAs walked."""
        return sum(self.kinds)

    @property
    def pairs(self) -> int:
        """Number of adjacent private anonymous pairs."""
        return sum(count for _, count in self.facts)

    def kind(self, kind: Kind) -> int:
        """Number of VMAs of one kind."""
        return self.kinds[kind]


class Unread(StrEnum):
    """Why a process was not read this time (a label value of a metric, so a closed set)."""

    GONE = "gone"  #: exited or exec'ed in the middle
    PERMISSION = "permission"
    BUSY = "busy"  #: its mmap_lock was contended until the deadline
    CHANGING = "changing"  #: its address space changed during every reading of it
    STUCK = "stuck"  #: a read of it has not come back
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A process that could not be read, and why (``detail`` is one line for a person)."""

    id: ProcessId
    comm: str
    why: Unread
    detail: str
