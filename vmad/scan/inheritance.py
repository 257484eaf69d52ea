# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What one daemon's history leaves to the next on the same boot: marks and anchors of growth.

The address of an mm tells an exec from the program before it. It is not written down as it is,
since kernel addresses belong in no file: 16 bits of a hash miss one exec in 65,536.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from vmad.sources.source import Census

#: anchors of growth per process, see vmad.scan.history
ANCHORS = 6

#: One row per process, ascending by pid; the columns of anchors as in vmad.scan.history, their
#: times in seconds of CLOCK_MONOTONIC.
INHERITED = np.dtype(
    [
        ("pid", "<i8"),
        ("start_time", "<i8"),
        ("space", "<u2"),
        ("high_water", "<i8"),
        ("anchor_count", "<i8", (ANCHORS,)),
        ("anchor_time", "<f8", (ANCHORS,)),
    ]
)

Inherited = npt.NDArray[np.void]

#: seconds beyond which an anchor says nothing of the growth of today
OLDEST_ANCHOR = 600.0

_COLUMNS = ("high_water", "anchor_count", "anchor_time")


def spaces(census: Census) -> npt.NDArray[np.uint16]:
    """A number for each address space that is the same as long as it is; shape (n,)."""
    digests = (
        hashlib.blake2b(int(start).to_bytes(8, "little") + int(mm).to_bytes(8, "little"),
                        digest_size=2).digest()
        for mm, start in zip(census["mm"].tolist(), census["start_time"].tolist(), strict=True)
    )  # fmt: skip
    return np.frombuffer(b"".join(digests), dtype="<u2")


def leave(census: Census, columns: npt.NDArray[np.void]) -> Inherited:
    """Rows of a history (its ``columns`` in the order of ``census``), to be written down."""
    left = np.zeros(len(census), dtype=INHERITED)
    left["pid"], left["start_time"] = census["pid"], census["start_time"]
    left["space"] = spaces(census)
    for name in _COLUMNS:
        left[name] = columns[name]
    return left


def inherit(
    columns: npt.NDArray[np.void], census: Census, left: Inherited, now: float
) -> npt.NDArray[np.intp]:
    """Take over what was left of processes that still run; returns their rows.

    ``columns`` are changed in place. Anchors are dropped that are too old, or of a time to come.
    """
    left = left[np.argsort(left["pid"], kind="stable")]
    at = np.searchsorted(left["pid"], census["pid"])
    at[at == len(left)] = 0
    if not len(left):
        return np.empty(0, dtype=np.intp)
    same = np.ones(len(census), np.bool_)
    for name, ours in (
        ("pid", census["pid"]),
        ("start_time", census["start_time"]),
        ("space", spaces(census)),
    ):
        same &= left[name][at] == ours
    rows = np.flatnonzero(same)
    for name in _COLUMNS:
        columns[name][rows] = left[name][at[rows]]
    age = now - columns["anchor_time"]
    usable = (age >= 0) & (age <= OLDEST_ANCHOR) & (columns["anchor_count"] >= 0)
    # anchors are newest first: behind the first that is of no use none is
    usable = np.logical_and.accumulate(usable, axis=1)
    columns["anchor_count"][~usable] = -1
    return rows
