# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The columns of one address space: a NumPy structured array, one row per VMA, ascending."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vmad.model.process import Evidence, ProcessId

#: One row per VMA. The layout equals ``struct vma_row`` of walk.bpf.c (a test compares them).
#:
#: - start, end: bytes; flags: raw vm_flags of that kernel (0 where the evidence cannot see them)
#: - facts: facts of the pair (row before, this row), 0 where ``pair`` is 0
#: - pgoff: vm_pgoff, pages; anon_vma, file: opaque ids, 0 = none (kernel addresses never leave
#:   the source: it replaces them by small numbers)
#: - chain: an AnonVma; exclusive: 1 when the anon_vma is exclusive to this VMA
#: - perms: bit 0 r, 1 w, 2 x, 3 shared; kind: a Kind; pair: 1 when (row before, this row) is one
VMA_ROW = np.dtype(
    [
        ("start", "<u8"),
        ("end", "<u8"),
        ("flags", "<u8"),
        ("facts", "<u8"),
        ("pgoff", "<u8"),
        ("anon_vma", "<u8"),
        ("file", "<u8"),
        ("chain", "u1"),
        ("exclusive", "u1"),
        ("perms", "u1"),
        ("kind", "u1"),
        ("pair", "u1"),
        ("spare", "u1", (3,)),
    ]
)

Rows = npt.NDArray[np.void]


@dataclass(frozen=True)
class VmaTable:
    """One address space as one source saw it.

    ``rows`` has dtype :data:`VMA_ROW`. ``paths`` maps a row's index to what maps prints in its
    last column (escapes resolved, undecodable bytes as surrogates); rows without a name are
    absent. ``has_flags`` says whether ``rows["flags"]`` was seen, ``has_anon_vma`` whether
    anon_vma, chain, exclusive and pgoff were. ``consistent`` is False when the address space
    changed under the reader.
    """

    id: ProcessId
    comm: str
    evidence: Evidence
    map_count: int | None
    rows: Rows
    paths: dict[int, str] = field(default_factory=dict)
    has_flags: bool = True
    has_anon_vma: bool = True
    consistent: bool = True
    mm: int = 0


def histogram_of(rows: Rows) -> tuple[tuple[int, int], ...]:
    """Pairs counted by facts: (facts value, number of pairs), ascending by value."""
    values, counts = np.unique(rows["facts"][rows["pair"] != 0], return_counts=True)
    return tuple(zip(values.tolist(), counts.tolist(), strict=True))


def opaque_ids(addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Kernel addresses as 1, 2, …; 0 stays 0. Equal stays equal, different different."""
    values, numbers = np.unique(addresses, return_inverse=True)
    shift = 0 if len(values) and values[0] == 0 else 1
    return (numbers + shift).astype(np.uint64)


def perms_text(perms: int) -> str:
    """(0b0011) -> "rw-p", as maps prints it."""
    return (
        ("r" if perms & 1 else "-")
        + ("w" if perms & 2 else "-")
        + ("x" if perms & 4 else "-")
        + ("s" if perms & 8 else "p")
    )
