# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Counting kinds and facts per process out of parsed buffers, many processes at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vmad.model.kinds import KIND_COUNT
from vmad.sources.procfs.hints import AlikePairs
from vmad.sources.procfs.maps import parse_maps
from vmad.sources.procfs.pairs import HINT_SHIFT, alike, find_pairs
from vmad.sources.procfs.reader import Segment
from vmad.sources.procfs.text import U64, Bytes

_MAPS_KEYS = 1 << HINT_SHIFT
#: alike pairs remembered for pagemap, all processes together
_REMEMBERED = 1 << 16


@dataclass(slots=True)
class Tally:
    """What is counted of one process so far; ``keys``: pairs by key (see pairs.py)."""

    kinds: list[int] = field(default_factory=lambda: [0] * KIND_COUNT)
    keys: dict[int, int] = field(default_factory=dict)
    alike: int = 0
    malformed: int = 0


class Tallies:
    """The tallies of one scan, by process index."""

    def __init__(self, shared_devices: U64, names_exist: bool) -> None:
        self.of: dict[int, Tally] = {}
        self._shared_devices = shared_devices
        self._names_exist = names_exist
        self._alike: list[npt.NDArray[np.uint64]] = []  # (4, n): process, start, boundary, end
        self._remembered = 0

    def forget(self, process: int) -> None:
        """Drop what was counted of a process that turned out unreadable."""
        self.of.pop(process, None)

    def add(self, buffer: Bytes, segments: list[Segment]) -> None:
        """Count the lines of one filled buffer, whose segments lie end to end."""
        if not segments:
            return
        columns = parse_maps(buffer, segments[0].begin, segments[-1].end, self._shared_devices)
        begins = np.searchsorted(columns.line, [segment.begin for segment in segments])
        lengths = np.diff(np.append(begins, len(columns)))
        owner = np.repeat(np.arange(len(segments)), lengths)
        follows = np.ones(len(columns), np.bool_)
        follows[begins] = False
        counted = ~(columns.gate | columns.malformed)
        counted[begins[[segment.repeated for segment in segments]]] = False

        cells = np.bincount(
            owner[counted] * KIND_COUNT + columns.kind[counted],
            minlength=len(segments) * KIND_COUNT,
        )
        kinds = cells.reshape(-1, KIND_COUNT).tolist()
        b, keys = find_pairs(columns, follows, self._names_exist)
        cells = np.bincount(owner[b] * _MAPS_KEYS + keys)
        places = np.flatnonzero(cells)
        bad = np.bincount(owner[columns.malformed], minlength=len(segments)).tolist()
        like = np.flatnonzero(alike(keys) & ~columns.device_zero[b])
        likes = np.bincount(owner[b[like]], minlength=len(segments)).tolist()

        tallies = []
        for segment, row, like_count, bad_count in zip(segments, kinds, likes, bad, strict=True):
            tally = self.of.get(segment.process)
            if tally is None:
                tally = self.of[segment.process] = Tally(row)
            else:
                tally.kinds = [old + new for old, new in zip(tally.kinds, row, strict=True)]
            tally.alike += like_count
            tally.malformed += bad_count
            tallies.append(tally)
        for place, count in zip(places.tolist(), cells[places].tolist(), strict=True):
            histogram = tallies[place // _MAPS_KEYS].keys
            key = place % _MAPS_KEYS
            histogram[key] = histogram.get(key, 0) + count
        if len(like) and self._remembered < _REMEMBERED:
            rows = b[like[: _REMEMBERED - self._remembered]]
            process = np.array([segment.process for segment in segments], np.uint64)[owner[rows]]
            self._alike.append(
                np.stack([process, columns.start[rows - 1], columns.start[rows], columns.end[rows]])
            )
            self._remembered += len(rows)

    def alike_pairs(self, most: int) -> dict[int, AlikePairs]:
        """Remembered alike pairs of the ``most`` processes that have the most of them."""
        if not self._alike:
            return {}
        process, start, boundary, end = np.concatenate(self._alike, axis=1)
        ranked = sorted(
            ((tally.alike, index) for index, tally in self.of.items() if tally.alike), reverse=True
        )
        result = {}
        for _, index in ranked[:most]:
            mine = process == index
            if mine.any():
                result[index] = AlikePairs(start[mine], boundary[mine], end[mine])
        return result

    def add_hints(self, process: int, bits: npt.NDArray[np.int64]) -> None:
        """Move alike pairs to the keys that carry their hint bits."""
        keys = self.of[process].keys
        values, counts = np.unique(bits[bits != 0], return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            keys[0] -= count
            keys[value << HINT_SHIFT] = keys.get(value << HINT_SHIFT, 0) + count
        if not keys[0]:
            del keys[0]
