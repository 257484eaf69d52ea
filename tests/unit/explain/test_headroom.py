# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What fails at which count, as a person is told it (tests/vm asks the kernels themselves)."""

from __future__ import annotations

import pytest

from vmad.model.kernel import KernelInfo
from vmad.scan.growth import Growth
from vmad.scan.headroom import thresholds


def fails_from(release: str, operation: str) -> tuple[int, str]:
    (step,) = [
        step
        for step in thresholds(KernelInfo(release, page_shift=12), 200)
        if step.operation == operation
    ]
    return step.fails_from, step.error


@pytest.mark.parametrize("release", ["5.10.0-32", "6.1.0", "6.12.9", "7.3.4"])
def test_a_thread_fails_two_before_mmap_and_with_another_error(release: str) -> None:
    assert fails_from(release, "new threads") == (199, "EAGAIN")
    assert fails_from(release, "mmap, brk and shmat") == (201, "ENOMEM")


def test_two_cuts_fail_one_before_one_cut() -> None:
    assert fails_from("6.12.0", "mprotect, mlock and mseal of a middle piece") == (199, "ENOMEM")
    assert fails_from("6.12.0", "mprotect, mlock and mseal of an end") == (200, "ENOMEM")


@pytest.mark.parametrize("release", ["5.10.0", "6.1.0", "6.18.44"])
def test_mremap_to_a_fixed_address_works_again_from_194(release: str) -> None:
    assert fails_from(release, "mremap to a fixed address") == (195, "ENOMEM")


def test_any_mremap_works_again_from_196_since_7_1() -> None:
    assert fails_from("7.2.13", "mremap to a fixed address") == (197, "ENOMEM")
    assert fails_from("7.3.4", "mremap that shrinks") == (197, "ENOMEM")


def test_a_cut_by_madvise_is_eagain_except_on_5_10() -> None:
    assert fails_from("5.10.0", "mprotect, mlock and madvise of an end") == (200, "ENOMEM")
    assert fails_from("6.1.0", "madvise of an end") == (200, "EAGAIN")


def test_calls_that_a_release_lacks_are_not_told() -> None:
    for step in thresholds(KernelInfo("6.1.0", page_shift=12), 200):
        assert "mseal" not in step.operation


def test_soonest_comes_first() -> None:
    for release in ("5.10.0", "7.3.0"):
        counts = [step.fails_from for step in thresholds(KernelInfo(release, page_shift=12), 65530)]
        assert counts == sorted(counts)


def test_growth_tells_when_the_limit_is_reached() -> None:
    assert Growth(2.0, 100, 300).rate == 100
    assert Growth(2.0, 100, 300).seconds_to(1300) == 10
    assert Growth(2.0, 100, 300).seconds_to(200) == 0
    assert Growth(2.0, 300, 100).seconds_to(1300) is None
