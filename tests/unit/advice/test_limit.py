# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recommended limit leaves room, is round, and keeps out of the trap below 65,536."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmad.advice.limit import LARGEST, sysctl_advice
from vmad.rules.vma_cost import TYPICAL, VmaCost

counts = st.integers(1, 2**31)
limits = st.one_of(st.just(65530), st.integers(1, LARGEST), st.integers(65500, 65600))


@pytest.mark.parametrize(
    ("map_count", "limit", "value"),
    [
        (65_530, 65_530, 100_000),  # 98,295 rounded up
        (43_000, 65_530, 70_000),
        (40_000, 65_530, 65_530),  # 60,000 is below the limit already
        (100, 65_530, 65_530),
        (246_000, 252_000, 370_000),
        (100, 65_533, 70_000),  # a limit within the trap is moved out of it
        (2_000_000_000, 65_530, LARGEST),
    ],
)
def test_one_and_a_half_times_rounded_up(map_count: int, limit: int, value: int) -> None:
    assert sysctl_advice(map_count, limit, TYPICAL).value == value


@given(counts, limits, st.floats(1, 4))
def test_advice_never_lowers_nor_ends_in_the_trap(
    map_count: int, limit: int, headroom: float
) -> None:
    advice = sysctl_advice(map_count, limit, TYPICAL, headroom)

    assert advice.value >= limit
    assert not 65_531 <= advice.value <= 65_535
    assert advice.value >= min(map_count * headroom, LARGEST)
    assert advice.raise_it == (advice.value > limit)
    assert advice.long_core_files == (advice.value > 65_535)
    assert advice.value in (limit, LARGEST) or advice.value % 10_000 == 0
    assert advice.need_known
    assert advice.kernel_bytes == advice.value * TYPICAL.each


def test_cost_and_caveat_are_stated() -> None:
    advice = sysctl_advice(65_000, 65_530, VmaCost(200, 32, 168))

    assert advice.kernel_bytes == 100_000 * 232
    assert "100,000" in advice.text
    assert "22 MiB" in advice.text
    assert "65,535 segments" in advice.text
    assert "65,535" not in sysctl_advice(100, 65_530, TYPICAL).text


def test_headroom_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"head-room 0\.9"):
        sysctl_advice(1, 65_530, TYPICAL, 0.9)


@pytest.mark.parametrize(
    ("limit", "steps"),
    [
        (65_530, (262_144, 1_048_576)),
        (262_144, (1_048_576, 4_194_304)),
        (1_048_576, (4_194_304, 16_777_216)),
        (LARGEST, ()),
    ],
)
def test_a_count_at_the_limit_tells_no_need_but_steps(limit: int, steps: tuple[int, ...]) -> None:
    advice = sysctl_advice(limit + 1, limit, TYPICAL, cut_off=True)

    assert advice.steps == steps
    assert not advice.need_known
    assert advice.value == (steps[0] if steps else limit)


def test_steps_are_told_with_the_reason() -> None:
    text = sysctl_advice(65_531, 65_530, TYPICAL, cut_off=True).text

    assert "how many it needs is unknown" in text
    assert "to 262,144 and look again; if it stands there too, to 1,048,576." in text
    assert "1.5 times" not in text
    assert "56 MiB" in text


def test_an_unknown_cost_is_said_and_not_made_up() -> None:
    advice = sysctl_advice(65_000, 65_530, None)

    assert advice.kernel_bytes is None
    assert advice.kernel_bytes_written is None
    assert "is not known" in advice.text
