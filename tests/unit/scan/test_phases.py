# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What each phase of a scan costs, and that a failure is told where it happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from tests.unit.scan.hosts import Imagined, ImaginedHost
from vmad.config.schema import Config
from vmad.errors import CannotRead
from vmad.model.process import ProcessId, ProcessSummary, Unreadable
from vmad.scan.phases import Phase, PhaseCost, PhaseCosts
from vmad.scan.scanner import BATCH, Scanner


class Ticking:
    """A clock of which each look takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_a_phase_that_goes_on_costs_the_sum_of_its_parts() -> None:
    costs = PhaseCosts(Ticking())
    for more in (False, True, True):
        with costs.timed("kernel", Phase.WALK, more=more):
            pass

    assert costs.all() == {("kernel", Phase.WALK): PhaseCost(3.0, True)}
    with costs.timed("kernel", Phase.WALK):
        pass
    assert costs.seconds_of("kernel") == {Phase.WALK: 1.0}


@pytest.mark.parametrize("processes", [3, 2 * BATCH])
def test_every_phase_of_a_scan_is_told(processes: int) -> None:
    host = ImaginedHost([Imagined(pid) for pid in range(1, processes + 1)])
    snapshot = Scanner(host, Config(), "host").scan(True)

    assert [*snapshot.phases] == [Phase.CENSUS, Phase.WALK, Phase.JUDGE, Phase.ADD_UP]
    assert sum(snapshot.phases.values()) <= snapshot.took_seconds
    assert len(snapshot.processes) == processes


class HangingHost(ImaginedHost):
    """Whose walks fail."""

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        raise CannotRead("imagined")


def test_the_phase_that_failed_is_named() -> None:
    scanner = Scanner(HangingHost([Imagined(1)]), Config(), "host")
    with pytest.raises(CannotRead, match="imagined"):
        scanner.scan(True)

    costs = scanner.phases.all()
    assert costs["kernel", Phase.CENSUS].succeeded
    assert not costs["kernel", Phase.WALK].succeeded
    assert ("kernel", Phase.JUDGE) not in costs
