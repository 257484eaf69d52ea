# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What fails at which count is what the kernels did (seen with vm.max_map_count = 200)."""

from __future__ import annotations

import pytest

from vmad.model.kernel import KernelInfo
from vmad.scan.growth import Growth
from vmad.scan.headroom import thresholds


def fails_from(release: str, beginning: str) -> tuple[int, str]:
    steps = thresholds(KernelInfo(release), 200)
    (step,) = [step for step in steps if step.operation.startswith(beginning)]
    return step.fails_from, step.error


@pytest.mark.parametrize("release", ["5.10.0-32", "6.1.0", "6.12.9", "7.3.4"])
def test_a_split_stops_at_the_limit_and_mmap_one_above(release: str) -> None:
    assert fails_from(release, "mprotect") == (200, "ENOMEM")
    assert fails_from(release, "mmap") == (201, "ENOMEM")


@pytest.mark.parametrize("release", ["5.10.0", "6.1.0", "6.12.0"])
def test_mremap_to_a_fixed_address_works_again_from_194(release: str) -> None:
    assert fails_from(release, "mremap to a fixed") == (195, "ENOMEM")


def test_any_mremap_works_again_from_196_on_7_3() -> None:
    assert fails_from("7.3.4", "any other mremap") == (197, "ENOMEM")


def test_a_split_by_madvise_is_eagain_except_on_5_10() -> None:
    assert fails_from("5.10.0", "madvise") == (200, "ENOMEM")
    assert fails_from("6.1.0", "madvise") == (200, "EAGAIN")


def test_soonest_comes_first() -> None:
    for release in ("5.10.0", "7.3.0"):
        counts = [step.fails_from for step in thresholds(KernelInfo(release), 65530)]
        assert counts == sorted(counts)


def test_growth_tells_when_the_limit_is_reached() -> None:
    assert Growth(2.0, 100, 300).rate == 100
    assert Growth(2.0, 100, 300).seconds_to(1300) == 10
    assert Growth(2.0, 100, 300).seconds_to(200) == 0
    assert Growth(2.0, 300, 100).seconds_to(1300) is None
