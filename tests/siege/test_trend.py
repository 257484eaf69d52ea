# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is called level, and what is said to grow: series whose growth is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tests.siege.trend import BLOCKS, WARM, Verdict, trend

#: an hour, a look every five seconds
SECONDS = np.arange(0.0, 3600.0, 5.0)
MIB = float(2**20)


def verdict(values: npt.NDArray[np.float64]) -> Verdict:
    return trend(SECONDS.tolist(), values.tolist()).verdict


def noise(number: int, spread: float) -> npt.NDArray[np.float64]:
    return np.random.default_rng(number).normal(0.0, spread, len(SECONDS))


def test_what_does_not_move_is_level_without_any_error() -> None:
    found = trend(SECONDS.tolist(), [7.0] * len(SECONDS))

    assert (found.mean, found.growth, found.error) == (7.0, 0.0, 0.0)
    assert found.verdict is Verdict.LEVEL


def test_a_growth_is_measured_in_an_hour() -> None:
    found = trend(SECONDS.tolist(), (60 * MIB + SECONDS / 3600 * 12 * MIB).tolist())

    assert found.growth == pytest.approx(12 * MIB)
    assert found.verdict is Verdict.GROWS


@pytest.mark.parametrize("number", range(20))
def test_a_leak_stands_out_of_noise_and_noise_alone_does_not(number: int) -> None:
    level = 60 * MIB + noise(number, MIB / 2)

    assert verdict(level) is Verdict.LEVEL
    assert verdict(level + SECONDS / 3600 * 6 * MIB) is Verdict.GROWS


def test_a_walk_by_chance_is_rarely_taken_for_a_growth() -> None:
    walks = [60 * MIB + np.cumsum(noise(number, 0.02 * MIB)) for number in range(200)]

    assert sum(verdict(walk) is Verdict.GROWS for walk in walks) < 0.05 * len(walks)


def test_what_comes_while_it_warms_up_does_not_count() -> None:
    warm = WARM * SECONDS[-1] > SECONDS

    assert verdict(np.where(warm, SECONDS * MIB / 60, 30 * MIB)) is Verdict.LEVEL


def test_what_shrinks_is_level() -> None:
    assert verdict(80.0 - SECONDS / 3600 * 20) is Verdict.LEVEL


def test_noise_that_a_leak_could_hide_in_is_told() -> None:
    wild = 60 * MIB + np.repeat(noise(1, 40 * MIB)[:BLOCKS], len(SECONDS) // BLOCKS)

    assert verdict(wild) is Verdict.UNDECIDED


def test_of_a_few_looks_nothing_is_said() -> None:
    assert trend([1.0, 2.0, 3.0], [7.0, 7.0, 7.0]).verdict is Verdict.UNDECIDED
