# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is remembered of every process between samples: high-water marks, growth, the last walk.

Columns, one row per process of the newest census. A sample of a host on which nobody came or went
is a handful of vector operations.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vmad.scan.forecast import Moves, seconds_to_limit
from vmad.scan.inheritance import ANCHORS, Inherited, inherit, leave
from vmad.sources.source import Census

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

#: growth is measured over this many seconds, from the oldest of ANCHORS counts kept of them
GROWTH_WINDOW = 60.0
#: a rate over less is noise: every program maps its libraries in its first tenth of a second
SHORTEST_WINDOW = 2.0

#: a group is told at least so often (seconds) of a process that stays high, and of no more than so
#: many in one sample
TELL_AGAIN = 15.0
MOST_TOLD = 64

#: in the columns of the last walk and of what was shown: none yet; -1 is a census's "unknown"
NEVER = -2

_COLUMNS = np.dtype(
    [
        ("high_water", "<i8"),  # -1 unknown
        ("rate", "<f8"),  # VMAs per second, NaN unknown
        ("latest", "<f8"),  # of those who grow, the same of the last 20 seconds or less
        ("watched", "<f8"),  # seconds over which the rate was measured
        ("walked_count", "<i8"),
        ("walked_seq", "<i8"),
        ("walked_size", "<i8"),
        ("shown_count", "<i8"),
        ("shown_high_water", "<i8"),
        ("shown_rate", "<f8"),
        ("shown_left", "<f8"),
        ("told_count", "<i8"),  # -1 none
        ("told_at", "<f8"),
        ("anchor_count", "<i8", (ANCHORS,)),  # newest first, -1 none
        ("anchor_time", "<f8", (ANCHORS,)),
    ]
)


#: a process of which nothing is known yet
_BLANK = np.zeros((), dtype=_COLUMNS)
for _name in ("high_water", "told_count", "anchor_count"):
    _BLANK[_name] = -1
for _name in ("walked_count", "walked_seq", "walked_size", "shown_count"):
    _BLANK[_name] = NEVER
for _name in ("rate", "latest", "shown_rate", "shown_left"):
    _BLANK[_name] = np.nan
_BLANK["told_at"] = -np.inf


class Current(NamedTuple):
    """What is known without a walk; arrays have a number for each row of the census.

    ``moved`` are the rows whose count, high-water mark, rate or time is not what it was last time.
    """

    moved: list[int]
    counts: Integers  #: -1 unknown
    high_water: Integers  #: -1 unknown
    rates: Floats  #: VMAs per second, NaN unknown
    left: Floats  #: seconds to the limit, NaN unknown
    sizes: Integers  #: bytes, negative unknown
    mm: npt.NDArray[np.uint64]
    comms: npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class Change:
    """What a sample changed: who is new (rows of the census), how many are gone."""

    arrived: Integers
    gone: int


_NOBODY = Change(np.empty(0, dtype=np.int64), 0)


class History:
    """Remembers; not safe for concurrent use."""

    def __init__(self, inherited: Inherited | None = None) -> None:
        self.census: Census | None = None
        self._inherited = inherited
        self._columns = np.empty(0, dtype=_COLUMNS)
        self._next_anchor = 0.0
        self.counted = False  #: whether the census knows a count
        self._who = b""  #: the identities of the census
        self._told = b""  #: who was high and how high, when all were told
        self._tell_again = 0.0
        self._quiet: Census | None = None  #: one of which there is nothing to tell until then
        self._least = 0
        self._rate_due: float | None = None  #: monotonic seconds of the sample to look at
        self._torn = False  #: whether a sample was taken in by half: growth begins anew

    @property
    def high_water(self) -> Integers:
        """Highest map_count seen since the process was first seen, -1 unknown."""
        return self._columns["high_water"]

    @property
    def rate(self) -> Floats:
        """Growth in VMAs per second over the last GROWTH_WINDOW seconds; NaN unknown, as over the
        first SHORTEST_WINDOW of a process.
        """
        self._work_out_rates()
        return self._columns["rate"]

    def _work_out_rates(self) -> None:
        """When somebody looks: scans do, the samples between them mostly do not."""
        if self._rate_due is None:
            return
        assert self.census is not None
        columns, counts = self._columns, self.census["map_count"]
        columns["rate"], columns["latest"], columns["watched"] = _rates(
            columns, counts, self._rate_due
        )
        self._rate_due = None

    def left(self, limit: int | None) -> Floats:
        """Seconds to the limit, see vmad.scan.forecast."""
        assert self.census is not None
        self._work_out_rates()
        columns = self._columns
        moves = Moves(columns["rate"], columns["latest"], columns["watched"])
        return seconds_to_limit(limit, self.census["map_count"], columns["high_water"], moves)

    def sample(self, census: Census, now: float) -> Change:
        """Take in a census made at ``now`` (monotonic seconds)."""
        if census is self.census and now < self._next_anchor and not self._torn:
            # nothing has moved: mostly so, and this runs every second
            self._rate_due = now if self.counted else None
            return _NOBODY
        change = self._align(census)
        counts = census["map_count"]
        columns = self._columns
        if self._torn:
            columns["anchor_count"] = -1
            self._next_anchor = 0.0
        self._torn = True
        if self._inherited is not None:
            inherit(columns, census, self._inherited, now)
            self._inherited = None
        self._rate_due = None
        np.maximum(columns["high_water"], counts, out=columns["high_water"])
        known = counts >= 0
        self.counted = bool(known.any())
        if self.counted:
            if now >= self._next_anchor:
                self._next_anchor = now + GROWTH_WINDOW / ANCHORS
                first_seen = known
                _make_room(columns, known)
            else:
                first_seen = known & (columns["anchor_count"][:, 0] < 0)
            if first_seen.any():
                columns["anchor_count"][first_seen, 0] = counts[first_seen]
                columns["anchor_time"][first_seen, 0] = now
            self._rate_due = now
        self._torn = False
        return change

    def high(self, least: int, now: float) -> Integers:
        """Rows with ``least`` VMAs or more of whose count their group is to be told.

        At most MOST_TOLD, the highest first; the others are among the next ones. ``now`` is that
        of the last sample.
        """
        assert self.census is not None
        # mostly nothing has moved since they were told, and this runs every second
        if self.census is self._quiet and least == self._least and now < self._tell_again:
            return _NOBODY.arrived
        counts = self.census["map_count"]
        rows: Integers = (counts >= least).nonzero()[0]
        if not len(rows):
            self._quiet, self._least, self._tell_again = self.census, least, np.inf
            return rows
        self._quiet = None
        seen = self.census["pid"][rows].tobytes() + counts[rows].tobytes()
        if seen == self._told and now < self._tell_again:
            self._quiet, self._least = self.census, least
            return rows[:0]
        told = self._columns[rows]
        rows = rows[(counts[rows] > told["told_count"]) | (now - told["told_at"] >= TELL_AGAIN)]
        self._told = seen if len(rows) <= MOST_TOLD else b""
        rows = rows[np.argsort(-counts[rows], kind="stable")[:MOST_TOLD]]
        self._columns["told_count"][rows] = counts[rows]
        self._columns["told_at"][rows] = now
        self._tell_again = float(self._columns["told_at"][counts >= least].min()) + TELL_AGAIN
        return rows

    def raise_mark(self, pid: int, start_time: int, count: int) -> None:
        """Somebody else has seen the process with so many VMAs; no matter if it is not known."""
        if self.census is None:
            return
        row = int(np.searchsorted(self.census["pid"], pid))
        seen = self.census[row : row + 1]
        if len(seen) and (seen["pid"][0], seen["start_time"][0]) == (pid, start_time):
            mark = self._columns["high_water"]
            mark[row] = max(mark[row], count)

    def leave(self) -> Inherited | None:
        """What the next daemon on this boot may go on with; None before the first sample."""
        return None if self.census is None else leave(self.census, self._columns)

    def _align(self, census: Census) -> Change:
        """Bring the columns into the order of a new census; an exec starts a row anew."""
        before = self.census
        # mostly nobody came or went, and this runs every second: one comparison of it all
        who = _identities(census).tobytes()
        if before is not None and who == self._who:
            self.census = census
            return _NOBODY
        if before is None or not len(before):
            columns = np.full(len(census), _BLANK)
            change = Change(np.arange(len(census)), 0)
        else:
            at = np.searchsorted(before["pid"], census["pid"])
            at[at == len(before)] = 0
            arrived = np.flatnonzero((_identities(before)[at] != _identities(census)).any(axis=1))
            # one gather of whole rows, then the few new ones: this runs every second
            columns = self._columns[at]
            columns[arrived] = _BLANK
            change = Change(arrived, len(before) - len(census) + len(arrived))
        # together, when nothing can fail any more: memory may have been short until here
        self.census, self._who, self._columns = census, who, columns
        return change

    def changed(self) -> Booleans:
        """Which processes may look otherwise than at their last walk; never walked ones do.

        mm_lock_seq moves with every write lock of mmap_lock (6.4 and later); without it the count
        and the size have to do. A page fault can set an anon_vma without moving any of them:
        that is what the full scan is for.
        """
        assert self.census is not None
        columns, census = self._columns, self.census
        result: Booleans = (
            (columns["walked_count"] != census["map_count"])
            | (columns["walked_seq"] != census["lock_seq"])
            | (columns["walked_size"] != census["total_vm"])
        )
        return result

    def urgent(self, near: float, many: int) -> Booleans:
        """Which processes had better be walked at once: those that have ``near`` VMAs or more and
        changed since their last walk, and those that have ``many`` and were never walked.
        """
        assert self.census is not None
        counts = self.census["map_count"]
        result: Booleans = (counts >= near) & self.changed()
        result |= (counts >= many) & (self._columns["walked_count"] == NEVER)
        return result

    def walked(self, rows: Integers) -> None:
        """These rows were walked, as the census shows them."""
        assert self.census is not None
        for name, source in (
            ("walked_count", "map_count"),
            ("walked_seq", "lock_seq"),
            ("walked_size", "total_vm"),
        ):
            self._columns[name][rows] = self.census[source][rows]

    def not_walked(self, pids: Collection[int]) -> None:
        """The walks of these processes failed: they are due again."""
        assert self.census is not None
        rows = np.isin(self.census["pid"], list(pids))
        for name in ("walked_count", "walked_seq", "walked_size"):
            self._columns[name][rows] = NEVER

    def current(self, page_shift: int, limit: int | None) -> Current:
        """As of the newest sample; later ones do not change it."""
        assert self.census is not None
        columns, left = self._columns, self.left(limit)
        now = {
            "shown_count": self.census["map_count"],
            "shown_high_water": columns["high_water"],
            "shown_rate": columns["rate"],
            "shown_left": left,
        }
        moved = np.zeros(len(columns), np.bool_)
        for name, values in now.items():
            shown = columns[name]
            # NaN, the unknown rate, is not equal to itself
            moved |= (shown != values) & ~(np.isnan(shown) & np.isnan(values))
            shown[:] = values
        return Current(
            np.flatnonzero(moved).tolist(),
            self.census["map_count"],
            columns["high_water"],
            columns["rate"],
            left,
            self.census["total_vm"] << page_shift,
            self.census["mm"],
            self.census["comm"],
        )


def _identities(census: Census) -> Integers:
    """pid, start_time and mm, which say whether a row is the same program; shape (n, 3)."""
    words = census.dtype.itemsize // 8
    return census.view("<i8").reshape(len(census), words)[:, :3]


def _make_room(columns: npt.NDArray[np.void], rows: Booleans) -> None:
    """Move the anchors of these rows one place on; the oldest drops out."""
    for name in ("anchor_count", "anchor_time"):
        anchors = columns[name]
        anchors[rows, 1:] = anchors[rows, :-1]


def _rates(
    columns: npt.NDArray[np.void], counts: Integers, now: float
) -> tuple[Floats, Floats, Floats]:
    """From the oldest anchor that is there to now, and of who has grown since from the second
    newest; NaN without one or with too little between. And the seconds of the first.
    """
    have = columns["anchor_count"] >= 0
    oldest = have.sum(axis=1) - 1
    rate, seconds = _since(columns, counts, oldest, now)
    latest = np.full(len(columns), np.nan)
    if len(grown := np.flatnonzero(rate > 0)):
        latest[grown], _ = _since(columns[grown], counts[grown], np.minimum(oldest[grown], 1), now)
    return rate, latest, seconds


def _since(
    columns: npt.NDArray[np.void], counts: Integers, anchor: npt.NDArray[np.intp], now: float
) -> tuple[Floats, Floats]:
    """The rate since that anchor (-1: there is none), and the seconds since it, 0 without it."""
    rows = np.arange(len(columns))
    there = anchor >= 0
    at = np.where(there, anchor, 0)
    elapsed = np.where(there, now - columns["anchor_time"][rows, at], 0.0)
    usable = there & (elapsed >= SHORTEST_WINDOW) & (counts >= 0)
    result = np.full(len(columns), np.nan)
    np.divide(counts - columns["anchor_count"][rows, at], elapsed, out=result, where=usable)
    return result, elapsed
