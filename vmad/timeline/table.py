# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Rings by name: groups, processes, the host; who was heard of least lately makes room."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np

from vmad.timeline.rings import RESOLUTIONS, Fold, Integers, Resolution, Rings, Rows, Series

Key = TypeVar("Key", bound=Hashable)

#: rows that there is room for at first; it doubles
FIRST_ROOM = 16


class Table(Generic[Key]):
    """At most ``most`` things, each with one number per column and slot.

    Not safe for concurrent use.
    """

    def __init__(
        self,
        most: int,
        columns: Mapping[str, Fold],
        resolutions: Sequence[Resolution] = RESOLUTIONS,
    ) -> None:
        self.most = most
        room = min(FIRST_ROOM, most)
        self.columns = {name: Rings(room, fold, resolutions) for name, fold in columns.items()}
        self._rows: dict[Key, int] = {}
        self._heard = np.zeros(most, np.int64)  #: when each row was last asked for, in calls
        self._calls = 0
        self._last: tuple[Sequence[Key] | None, Rows] = None, np.empty(0, np.intp)

    @property
    def keys(self) -> tuple[Key, ...]:
        """Everything that is remembered."""
        return tuple(self._rows)

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return self._heard.nbytes + sum(rings.nbytes for rings in self.columns.values())

    def rows_of(self, keys: Sequence[Key]) -> Rows:
        """The rows of these different keys, which are not changed later; new ones take the rows
        of those that were heard of least lately. Where there are more keys than rows the first
        ones have them: -1 for the others.
        """
        before, rows = self._last
        if keys is not before:
            rows = self._rows_of(keys[: self.most])
            if len(keys) > self.most:
                rows = np.concatenate((rows, np.full(len(keys) - self.most, -1, np.intp)))
            self._last = keys, rows
        self._calls += 1
        self._heard[rows[: self.most]] = self._calls
        return rows

    def _rows_of(self, keys: Sequence[Key]) -> Rows:
        kept = {self._rows[key] for key in keys if key in self._rows}
        new = [key for key in keys if key not in self._rows]
        free = self.most - len(self._rows)
        if len(new) > free:
            self._forget(kept, len(new) - free)
        unused = iter(sorted(set(range(self.most)) - set(self._rows.values())) if new else ())
        for key in new:
            self._rows[key] = next(unused)
        rows = np.array([self._rows[key] for key in keys], np.intp)
        self._make_room(int(np.max(rows, initial=0)) + 1)
        return rows

    def _forget(self, kept: set[int], number: int) -> None:
        """So many rows that are not wanted, the least lately heard of."""
        old = sorted(
            (int(self._heard[row]), row, key) for key, row in self._rows.items() if row not in kept
        )
        for _, row, key in old[:number]:
            del self._rows[key]
            for rings in self.columns.values():
                rings.forget(row)

    def _make_room(self, rows: int) -> None:
        for rings in self.columns.values():
            if rows > rings.rows:
                rings.make_room(min(max(rows, 2 * rings.rows), self.most))

    def put(self, column: str, keys: Sequence[Key], values: Integers, *times: float) -> None:
        """A number for each key, at ``times`` (Unix seconds, rising); MISSING puts nothing."""
        rows = self.rows_of(keys)
        if len(rows) > self.most:
            rows, values = rows[: self.most], values[: self.most]
        self.columns[column].put(rows, values, *times)

    def read(self, column: str, key: Key, span: float, until: float) -> Series | None:
        """The last ``span`` seconds up to ``until``; None of what is not remembered."""
        row = self._rows.get(key)
        return None if row is None else self.columns[column].read(row, span, until)

    def restore(self, keys: Sequence[Key], columns: Mapping[str, Rings]) -> None:
        """Take over rows that another table left, in the order of ``keys``; the first ones where
        there is no room for all.
        """
        keys = keys[: self.most]
        self._rows = {key: row for row, key in enumerate(keys)}
        self._last = None, self._last[1]
        for name, rings in columns.items():
            own = self.columns[name]
            own.make_room(len(keys))
            own.newest = list(rings.newest)
            for table, left in zip(own.tables, rings.tables, strict=True):
                table[: len(keys)] = left[: len(keys)]
