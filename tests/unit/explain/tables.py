# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Address spaces for tests, written down VMA by VMA."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vmad.model import facts as f
from vmad.model.flags import VM_READ, VM_WRITE
from vmad.model.kinds import Kind
from vmad.model.process import Evidence, ProcessId
from vmad.model.table import VMA_ROW, VmaTable

KIB = 1024
BASE = 0x2000_0000_0000
#: facts of a pair whose rights differ, both never written to
ACCESS = (VM_READ | VM_WRITE) << f.FLAGS_SHIFT
#: both written to, each with an anon_vma of its own that nobody shares
DIFFERENT = 1 << f.A_AV_SHIFT | 1 << f.B_AV_SHIFT | f.A_EXCLUSIVE | f.B_EXCLUSIVE
#: both on one anon_vma, which is neither's alone, but the page offset breaks
MOVED = DIFFERENT | f.PGOFF
#: nothing stops the merge: both never written to
LATENT = 0

_PERMS = {"r": 1, "w": 2, "x": 4, "s": 8}


@dataclass(frozen=True)
class Area:
    """One VMA. ``facts`` None: no pair with the one before; ``gap`` bytes below it."""

    perms: str = "rw-p"
    size: int = 8 * KIB
    facts: int | None = None
    kind: Kind | None = None
    gap: int = 0
    path: str | None = None

    @property
    def perms_bits(self) -> int:
        """As the rows have them."""
        return sum(bit for letter, bit in _PERMS.items() if letter in self.perms)

    @property
    def row_kind(self) -> Kind:
        """The kind given, or the anonymous one of these permissions."""
        if self.kind is not None:
            return self.kind
        if "w" in self.perms:
            return Kind.ANON_WRITABLE
        return Kind.ANON_NO_ACCESS if self.perms == "---p" else Kind.ANON_OTHER


def table_of(
    areas: Iterable[Area],
    pid: int = 4711,
    comm: str = "redis-server",
    evidence: Evidence = Evidence.KERNEL,
    mm: int = 1,
    *,
    page_shift: int = 12,
) -> VmaTable:
    """The areas one above the other."""
    areas = list(areas)
    rows = np.zeros(len(areas), VMA_ROW)
    at = BASE
    paths = {}
    for number, area in enumerate(areas):
        at += area.gap
        row = rows[number]
        row["start"], row["end"] = at, at + area.size
        row["pgoff"] = at >> page_shift
        row["perms"], row["kind"] = area.perms_bits, area.row_kind
        row["flags"] = area.perms_bits & 7
        if area.facts is not None:
            row["pair"], row["facts"] = 1, area.facts
        if area.path is not None:
            paths[number] = area.path
        at += area.size
    return VmaTable(ProcessId(pid, 100 * pid), comm, evidence, len(rows), rows, paths, mm=mm)


def alternating(pairs: int, guard: int = 4 * KIB, piece: int = 4 * KIB) -> list[Area]:
    """``pairs`` + 1 VMAs that alternate rw-p and ---p."""
    areas = [Area("rw-p", piece, ACCESS), Area("---p", guard, ACCESS)] * (pairs // 2 + 1)
    return [Area("rw-p", piece), *areas[1 : pairs + 1]]
