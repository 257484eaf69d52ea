# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table of what fails at the limit is whole and in order; tests/vm asks the kernels."""

from __future__ import annotations

import errno

import pytest

from vmad.rules.at_limit import CALLS, LIMIT_ERAS, calls_at_limit, limit_era_of, syscalls_at_limit


def test_every_era_has_every_call() -> None:
    for era in LIMIT_ERAS:
        assert set(era.fails) == set(CALLS)


def test_eras_ascend() -> None:
    since = [era.since for era in LIMIT_ERAS]
    assert since == sorted(set(since))


def test_errors_are_names_of_errno() -> None:
    for era in LIMIT_ERAS:
        errors = {fails.error for fails in era.fails.values() if fails is not None}
        assert all(hasattr(errno, error) for error in errors)


@pytest.mark.parametrize(
    ("version", "since"),
    [((4, 19), (5, 10)), ((5, 16, 9), (5, 10)), ((6, 18, 44), (5, 17)), ((7, 3, 4), (7, 1))],
)
def test_the_newest_era_that_has_begun_holds(
    version: tuple[int, ...], since: tuple[int, int]
) -> None:
    assert limit_era_of(version).since == since


def test_a_release_has_only_the_calls_that_it_knows() -> None:
    assert "mseal_middle" not in calls_at_limit((6, 9))
    assert "mseal_middle" in calls_at_limit((6, 10))


def test_a_system_call_may_fail_from_the_lowest_row_that_it_is_in() -> None:
    found = syscalls_at_limit((6, 12))
    assert (found["mremap"].offset, found["mremap"].error) == (-5, "ENOMEM")
    assert (found["mmap"].offset, found["munmap"].offset, found["brk"].offset) == (0, 0, 1)
    assert (found["madvise"].offset, found["madvise"].error) == (-1, "EAGAIN")


def test_a_new_thread_is_found_as_the_call_that_libc_makes() -> None:
    found = syscalls_at_limit((6, 12))
    assert (found["mprotect"].offset, found["mprotect"].error) == (-1, "ENOMEM")
    assert not {"clone", "clone3"} & set(found)
