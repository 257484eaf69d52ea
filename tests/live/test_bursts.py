# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The highest map_count of a process is kept exactly, however short it was, after its end too."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.failing_calls import BURST_WAYS, LIMIT, calling, compiled
from vmad.errors import EvidenceUnavailable
from vmad.sources.bpf.bursts import KernelBursts, Peak

pytestmark = pytest.mark.bpf
sees_bursts = pytest.mark.sees_bursts


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("failing"))


@pytest.fixture(scope="module", params=BURST_WAYS)
def bursts(request: pytest.FixtureRequest) -> Iterator[KernelBursts]:
    watching = KernelBursts(LIMIT, (request.param,))
    assert watching.way == request.param
    yield watching
    watching.close()


@pytest.mark.sees_no_bursts
def test_kernel_that_lets_nobody_see_bursts_is_told_of() -> None:
    with pytest.raises(EvidenceUnavailable, match=r"^bursts: lock: .*, fexit: "):
        KernelBursts(LIMIT)


def of(pid: int, bursts: KernelBursts) -> list[Peak]:
    return [peak for peak in bursts.read() if peak.who.process.pid == pid]


@sees_bursts
@pytest.mark.parametrize("vmas", [LIMIT + 1, LIMIT - 17, LIMIT // 2 + 40])
def test_highest_count_is_exact_after_the_end(
    bursts: KernelBursts, program: Path, vmas: int
) -> None:
    with calling(program, "up and down", vmas) as made:
        assert made.number == 0
        with open(f"/proc/{made.pid}/maps", encoding="ascii") as file:
            assert sum(1 for _ in file) < 100
    assert not os.path.exists(f"/proc/{made.pid}")
    (peak,) = of(made.pid, bursts)
    assert (peak.map_count, peak.who.comm) == (vmas, "failing_calls")


@sees_bursts
def test_process_below_half_of_the_limit_has_no_row(bursts: KernelBursts, program: Path) -> None:
    with calling(program, "up and down", LIMIT // 2 - 1) as made:
        assert of(made.pid, bursts) == []


@sees_bursts
def test_what_stays_the_same_is_told_once(bursts: KernelBursts, program: Path) -> None:
    with calling(program, "mmap", LIMIT + 1) as made:
        assert made.number == errno.ENOMEM
        assert [peak.map_count for peak in of(made.pid, bursts)] == [LIMIT + 1]
        assert of(made.pid, bursts) == []


@sees_bursts
def test_nothing_is_looked_at_without_a_limit(bursts: KernelBursts, program: Path) -> None:
    bursts.limit_is(None)
    with calling(program, "up and down", LIMIT) as made:
        assert of(made.pid, bursts) == []
    bursts.limit_is(LIMIT)


@sees_bursts
@pytest.mark.parametrize("way", BURST_WAYS)
def test_on_demand_nothing_is_paid_until_a_process_is_near(program: Path, way: str) -> None:
    watching = KernelBursts(LIMIT, (way,), on_demand=True)
    watching.most_is(LIMIT // 2 - 1)
    assert not watching.attached
    watching.most_is(LIMIT // 2 + 1)
    assert watching.attached
    with calling(program, "up and down", LIMIT) as made:
        assert [peak.map_count for peak in of(made.pid, watching)] == [LIMIT]
    watching.close()
