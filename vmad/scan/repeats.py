# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Repeating runs of VMAs: an address space of 60,000 VMAs is mostly one or two short patterns.

A pattern is one to four VMAs (permissions, kind, why each does not merge with the one before)
that come again and again. Structure is found first, sizes are looked at inside it: pieces of many
sizes that alternate rw-p / ---p are one pattern, and equal pieces whose sizes alternate are too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.model.kinds import Kind
from vmad.model.table import VmaTable
from vmad.rules.judged_pairs import JudgedPairs

MAX_PERIOD = 4
#: a pattern must come this often in a row to be one
MIN_REPETITIONS = 4
#: share of the VMAs of a run that must follow a rule of sizes
MOSTLY = 0.9

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Step:
    """One VMA of a pattern; sizes in bytes over all its repetitions.

    ``reason`` is the decisive stock reason towards the VMA before; None when they are no pair,
    and then ``adjacent`` tells whether there is a gap.
    """

    perms: int
    kind: Kind
    adjacent: bool
    reason: str | None
    smallest: int
    median: int
    largest: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """A pattern and how much of the address space it makes up.

    ``pitch`` is the distance in bytes from one repetition to the next, None when it varies;
    ``rows`` are the table's rows that belong to it, ascending.
    """

    steps: tuple[Step, ...]
    vmas: int
    pairs: int
    runs: int
    pitch: int | None
    rows: Indices


def find_repeats(table: VmaTable, pairs: JudgedPairs) -> tuple[Repeat, ...]:
    """Every repeating pattern of ``table``, the one with most VMAs first.

    Each VMA belongs to one pattern at most; shorter periods go first.
    """
    symbols, reasons = _symbols(table, pairs)
    sizes = (table.rows["end"] - table.rows["start"]).astype(np.int64)
    free = np.ones(len(symbols), bool)
    groups: dict[tuple[int, ...], list[tuple[int, int, int]]] = {}
    for period in range(1, MAX_PERIOD + 1):
        for first, stop in _maximal_runs(symbols, free, period):
            free[first:stop] = False
            longer = _size_period(sizes[first:stop], period)
            pattern = symbols[first : first + longer].tolist()
            if longer > period:
                # pieces that differ in size only are told apart by their rank
                medians = [int(np.median(sizes[first + i : stop : longer])) for i in range(longer)]
                ranks = sorted(set(medians))
                pattern = [
                    symbol | ranks.index(median) << _RANK_SHIFT
                    for symbol, median in zip(pattern, medians, strict=True)
                ]
            turn = min(range(longer), key=lambda i: (*pattern[i:], *pattern[:i]))
            key = (*pattern[turn:], *pattern[:turn])
            groups.setdefault(key, []).append((first, stop, turn))
    repeats = [_repeat(key, runs, table, reasons) for key, runs in groups.items()]
    return tuple(sorted(repeats, key=lambda repeat: -repeat.vmas))


# a symbol: perms 0-3, kind 4-7, adjacent 8, reason + 1 from 9 (0: no pair), size rank from 56
_KIND_SHIFT, _ADJACENT_SHIFT, _REASON_SHIFT, _RANK_SHIFT = 4, 8, 9, 56
_REASON_MASK = (1 << _RANK_SHIFT - _REASON_SHIFT) - 1


def _symbols(table: VmaTable, pairs: JudgedPairs) -> tuple[Indices, list[str]]:
    rows = table.rows
    reasons = sorted({case.stock.decisive for case in pairs.cases})
    of_case = np.array([reasons.index(case.stock.decisive) for case in pairs.cases], np.int64)
    symbols: Indices = rows["perms"].astype(np.int64)
    symbols |= rows["kind"].astype(np.int64) << _KIND_SHIFT
    symbols[1:] |= (rows["start"][1:] == rows["end"][:-1]).astype(np.int64) << _ADJACENT_SHIFT
    if len(pairs):
        symbols[pairs.upper] |= (of_case[pairs.case] + 1) << _REASON_SHIFT
    return symbols, reasons


def _maximal_runs(
    symbols: Indices, free: npt.NDArray[np.bool_], period: int
) -> list[tuple[int, int]]:
    """[first, stop) of every long enough run of free rows that repeats with ``period``."""
    if len(symbols) <= period:
        return []
    same = (symbols[period:] == symbols[:-period]) & free[period:] & free[:-period]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False]))))
    firsts, ends = edges[::2], edges[1::2]
    long_enough = ends - firsts >= (MIN_REPETITIONS - 1) * period
    return list(
        zip(firsts[long_enough].tolist(), (ends[long_enough] + period).tolist(), strict=True)
    )


def _size_period(sizes: Indices, period: int) -> int:
    """The shortest multiple of ``period`` with which the sizes repeat too, else ``period``."""
    for longer in range(period, MAX_PERIOD + 1, period):
        if len(sizes) < MIN_REPETITIONS * longer:
            break
        if np.mean(sizes[longer:] == sizes[:-longer]) >= MOSTLY:
            return longer
    return period


def _repeat(
    key: tuple[int, ...],
    runs: list[tuple[int, int, int]],
    table: VmaTable,
    reasons: list[str],
) -> Repeat:
    period = len(key)
    starts = table.rows["start"]
    sizes = (table.rows["end"] - starts).astype(np.int64)
    steps = []
    for place, symbol in enumerate(key):
        at = [
            np.arange(first + (turn + place) % period, stop, period) for first, stop, turn in runs
        ]
        of_step = sizes[np.concatenate(at)]
        reason = symbol >> _REASON_SHIFT & _REASON_MASK
        steps.append(
            Step(
                symbol & 15,
                Kind(symbol >> _KIND_SHIFT & 15),
                bool(symbol >> _ADJACENT_SHIFT & 1),
                reasons[reason - 1] if reason else None,
                int(of_step.min()),
                # an order statistic, so that the median is a size that occurs
                int(np.sort(of_step)[len(of_step) // 2]),
                int(of_step.max()),
            )
        )
    distances = np.concatenate(
        [starts[first + period : stop] - starts[first : stop - period] for first, stop, _ in runs]
    )
    usual = int(np.sort(distances)[len(distances) // 2])
    rows = np.sort(np.concatenate([np.arange(first, stop) for first, stop, _ in runs]))
    return Repeat(
        tuple(steps),
        len(rows),
        int(np.count_nonzero(table.rows["pair"][rows])),
        len(runs),
        usual if np.mean(distances == usual) >= MOSTLY else None,
        rows,
    )
