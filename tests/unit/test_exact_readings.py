# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which readings of an address space are told as exact, and which walk is tried after which."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from vmad.errors import EvidenceUnavailable
from vmad.model.table import VMA_ROW, Rows
from vmad.sources.bpf import waiting
from vmad.sources.bpf.layout import HEADER, Status, Steady
from vmad.sources.bpf.waiting import Reading, Walk, is_exact, settle


def header(
    walked: int = 7,
    counts: tuple[int, int] = (7, 7),
    *,
    steady: Steady = Steady.NO,
    digest: int = 1,
    resumed: int = 0,
    status: Status = Status.OK,
) -> np.void:
    made = np.zeros(1, HEADER)
    made["walked"], made["digest"], made["resumed"] = walked, digest, resumed
    made["count_low"], made["count_high"] = counts
    made["steady"], made["status"] = steady, status
    header: np.void = made[0]
    return header


class Script:
    """A walk that reads what it is told to, and then the last of it for ever."""

    name = "script"

    def __init__(self, *headers: np.void | Exception) -> None:
        self.left = list(headers)
        self.reads = 0

    def count(
        self, wanted: npt.NDArray[np.void], *, digest: bool = False
    ) -> Iterator[tuple[npt.NDArray[np.void], npt.NDArray[np.void]]]:
        raise NotImplementedError

    def rows(self, wanted: npt.NDArray[np.void], *, digest: bool = False) -> tuple[Rows, np.void]:
        self.reads += 1
        now = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(now, Exception):
            raise now
        return np.zeros(0, VMA_ROW), now

    def close(self) -> None:
        pass


def told(*walks: Script, patience: float = 60.0) -> np.void | None:
    """The header of what these walks come to."""

    def read(walk: Walk) -> Reading:
        rows, seen = walk.rows(np.zeros(1, HEADER))
        return Reading(seen, rows)

    reading = settle(walks, read, patience)
    return None if reading is None else reading.header


def test_what_stood_still_and_is_whole_is_exact() -> None:
    assert is_exact(header(steady=Steady.YES))
    assert not is_exact(header(steady=Steady.NO))
    assert not is_exact(header(steady=Steady.UNKNOWN))


@pytest.mark.parametrize(("walked", "counts"), [(6, (7, 7)), (7, (7, 8)), (7, (6, 7)), (8, (7, 7))])
def test_short_or_long_is_not_exact(walked: int, counts: tuple[int, int]) -> None:
    assert not is_exact(header(walked, counts, steady=Steady.YES))


def test_one_that_stood_still_is_told_at_once() -> None:
    walk = Script(header(steady=Steady.YES))
    assert told(walk) is not None
    assert walk.reads == 1


def test_two_alike_are_told() -> None:
    walk = Script(header(digest=1), header(digest=2), header(digest=1))
    found = told(walk)
    assert found is not None
    assert found["digest"] == 1
    assert walk.reads == 3


def test_out_of_patience_three_readings_are_made_all_the_same() -> None:
    walk = Script(header(digest=1), header(digest=2), header(digest=1))
    assert told(walk, patience=0.0) is not None
    endless = Script(*(header(digest=number) for number in range(9)))
    assert told(endless, patience=0.0) is None
    assert endless.reads == waiting.LEAST


def test_one_alone_is_not_told() -> None:
    walk = Script(*(header(digest=number) for number in range(2 * waiting.TRIES)))
    assert told(walk) is None
    assert walk.reads == waiting.TRIES


@pytest.mark.parametrize(
    "torn",
    [
        header(walked=6),
        header(walked=9, counts=(7, 8)),
        header(resumed=1),
    ],
)
def test_torn_ones_are_not_told_however_alike(torn: np.void) -> None:
    assert told(Script(torn)) is None


def test_a_count_that_the_kernel_had_meanwhile_is_enough_for_two_alike() -> None:
    assert told(Script(header(walked=7, counts=(6, 8)))) is not None


@pytest.mark.parametrize(
    "failing", [header(status=Status.BUSY), EvidenceUnavailable("refused by now"), header(walked=6)]
)
def test_the_next_walk_is_tried(failing: np.void | Exception) -> None:
    last = Script(header(steady=Steady.YES))
    assert told(Script(failing), last) is not None
    assert last.reads == 1


@pytest.mark.parametrize("status", [Status.GONE, Status.NO_MM])
def test_who_has_gone_is_not_asked_again(status: Status) -> None:
    walk, other = Script(header(status=status)), Script(header(steady=Steady.YES))
    found = told(walk, other)
    assert found is not None
    assert found["status"] == status
    assert (walk.reads, other.reads) == (1, 0)
