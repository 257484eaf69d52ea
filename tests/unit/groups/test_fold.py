# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The cap on groups: the heaviest stay, and stay the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmad.scan.fold import fold


def test_below_the_cap_all_are_kept() -> None:
    assert fold({"a": 1, "b": None, "c": 0}, 4) == {"a", "b", "c"}


def test_one_place_is_left_to_other() -> None:
    assert fold({"a": 3, "b": 2, "c": 1}, 3) == {"a", "b"}
    assert fold({"a": 3, "other": 9}, 2) == {"a"}


def test_unknown_weight_goes_first() -> None:
    assert fold({"a": None, "b": 0}, 2) == {"b"}


def test_exported_group_stays_until_another_is_clearly_heavier() -> None:
    kept = fold({"a": 100, "b": 99}, 2)
    assert kept == {"a"}
    kept = fold({"a": 100, "b": 120}, 2, kept)
    assert kept == {"a"}
    kept = fold({"a": 100, "b": 130}, 2, kept)
    assert kept == {"b"}
    assert fold({"a": 140, "b": 130}, 2, kept) == {"b"}


def test_exported_group_that_went_leaves_its_place() -> None:
    assert fold({"b": 1}, 2, {"a"}) == {"b"}


def test_equal_weights_do_not_swap() -> None:
    assert fold({"a": 0, "b": 0, "c": None, "d": None}, 2, {"b"}) == {"b"}
    assert fold({"c": None, "d": None}, 2, {"d"}) == {"d"}


WEIGHTS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2) | st.just("other"),
    st.none() | st.integers(0, 1000),
    max_size=20,
)


@given(WEIGHTS, st.integers(2, 12), st.frozensets(st.text("abcdefgh", min_size=1, max_size=2)))
def test_fold_keeps_the_cap_and_settles(
    weights: dict[str, float | None], cap: int, before: frozenset[str]
) -> None:
    kept = fold(weights, cap, before)
    assert kept <= weights.keys() - {"other"}
    assert len(kept) == min(cap - 1, len(weights.keys() - {"other"}))
    assert fold(weights, cap, kept) == kept
