# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The counts of one second by group, from a census and who belonged to which at the last scan.

Who came since then belongs to none yet; whoever is large is walked at once (vmad.scan.planner).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vmad.scan.grouping import Whole
from vmad.scan.snapshot import GroupStats
from vmad.sources.source import Census
from vmad.timeline.rings import MISSING
from vmad.timeline.timeline import Remembered

Counts = npt.NDArray[np.int32]


class Counted(NamedTuple):
    """VMAs at ``at`` (Unix seconds), MISSING where unknown, in the order of the names beside them,
    which is the same object while they are the same.
    """

    at: float
    groups: Sequence[str]
    of_groups: Counts  #: of the worst process of each
    processes: Sequence[Remembered]
    of_processes: Counts
    most: int | None  #: of any process
    limit: int | None


class _Rows(NamedTuple):
    """Rows of a census in the order of their groups."""

    identities: bytes
    row: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]  #: in ``row``, where each group that has one begins
    group: npt.NDArray[np.intp]  #: which groups these are
    top: npt.NDArray[np.intp]  #: of the processes; -1: it is gone


class Belonging:
    """Who belonged to which group when ``whole`` was added up, and which processes are followed."""

    def __init__(self, whole: Whole, groups: Sequence[GroupStats], followed: int) -> None:
        self.groups = tuple(group.name for group in groups)
        self.processes = tuple(
            Remembered(*process.id, process.comm, process.group)
            for process in whole.processes[:followed]
        )
        number = self._number_of = {name: n for n, name in enumerate(self.groups)}
        members = [member.process for member in whole.members]
        self._pids = np.array([process.id.pid for process in members], np.int64)
        self._starts = np.array([process.id.start_time for process in members], np.int64)
        self._number = np.array(
            [number.get(whole.exported_as(process.group), -1) for process in members], np.int64
        )
        self._rows: _Rows | None = None

    def strangers(self, census: Census, least: int) -> npt.NDArray[np.intp]:
        """Rows of those who came since and have ``least`` VMAs or more."""
        high = np.flatnonzero(census["map_count"] >= least)
        if not len(high):
            return high
        at = _rows_of(self._pids, self._starts, census["pid"][high], census["start_time"][high])
        return high[at < 0]

    def counted(
        self,
        census: Census,
        at: float,
        limit: int | None,
        strangers: Mapping[Remembered, int] = MappingProxyType({}),
    ) -> Counted:
        """What that census says, and the counts of ``strangers``."""
        counts = census["map_count"]
        rows = self._aligned(census)
        of_groups = np.full(len(self.groups), MISSING, np.int32)
        if len(rows.row):
            most = np.maximum.reduceat(counts[rows.row], rows.starts)
            of_groups[rows.group] = np.maximum(most, MISSING)
        of_processes = np.full(len(self.processes), MISSING, np.int32)
        there = rows.top >= 0
        of_processes[there] = np.maximum(counts[rows.top[there]], MISSING)
        groups, processes = self.groups, self.processes
        number_of = self._number_of
        for stranger, count in strangers.items():
            if stranger.group not in number_of:
                number_of = {**number_of, stranger.group: len(groups)}
                groups = (*groups, stranger.group)
                of_groups = np.append(of_groups, np.int32(MISSING))
            number = number_of[stranger.group]
            of_groups[number] = max(of_groups[number], count)
        if strangers:
            processes = (*processes, *strangers)
            of_processes = np.append(of_processes, np.array([*strangers.values()], np.int32))
        highest = int(counts.max(initial=MISSING))
        return Counted(
            at,
            groups,
            of_groups,
            processes,
            of_processes,
            highest if highest >= 0 else None,
            limit,
        )

    def _aligned(self, census: Census) -> _Rows:
        """Mostly nobody came or went, and this runs every second."""
        pids, starts = census["pid"], census["start_time"]
        identities = pids.tobytes() + starts.tobytes()
        if self._rows is None or self._rows.identities != identities:
            row = _rows_of(pids, starts, self._pids, self._starts)
            there = (row >= 0) & (self._number >= 0)
            order = np.argsort(self._number[there], kind="stable")
            group, begins = np.unique(self._number[there][order], return_index=True)
            top = _rows_of(
                pids,
                starts,
                np.array([process.pid for process in self.processes], np.int64),
                np.array([process.start_time for process in self.processes], np.int64),
            )
            self._rows = _Rows(identities, row[there][order], begins, group, top)
        return self._rows


def _rows_of(
    pids: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    pids_sought: npt.NDArray[np.int64],
    began: npt.NDArray[np.int64],
) -> npt.NDArray[np.intp]:
    """Where processes (pid and start time) stand in a census, -1: they are gone."""
    if not len(pids) or not len(pids_sought):
        return np.full(len(pids_sought), -1, np.intp)
    at = np.searchsorted(pids, pids_sought)
    at[at == len(pids)] = 0
    result: npt.NDArray[np.intp] = np.where(
        (pids[at] == pids_sought) & (starts[at] == began), at, -1
    )
    return result
