# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Workloads in a guest, in their short form: what is sampled, counted and judged."""

from __future__ import annotations

from typing import Any

import pytest

from vmad.lab.compare import compare
from vmad.lab.errors import LabError
from vmad.lab.workloads import WORKLOADS


@pytest.fixture(scope="module")
def compactor(kernel: str) -> dict[str, Any]:
    return compare([kernel], ["compactor"], seconds=4)


def test_same_work_is_counted_to_the_call(compactor: dict[str, Any]) -> None:
    (run,) = compactor["runs"]
    # Two rounds; survivors are kept by a random number with a fixed seed.
    assert (run["status"], run["end_is_exact"]) == (0, True)
    assert run["calls"]["mremap"] > 1000
    assert run["calls"]["mmap"] > 12_000 + run["calls"]["mremap"]


def test_peak_and_end_are_judged_and_add_up(compactor: dict[str, Any]) -> None:
    (run,) = compactor["runs"]
    highest = max(sample[1] for sample in run["samples"])
    assert highest > 2000
    assert run["peak"]["vmas"] > highest * 0.9
    for look in (run["peak"], run["end"]):
        stock = sum(count for rules, _, _, count in look["pairs"] if rules == "stock")
        relaxed = sum(count for rules, _, _, count in look["pairs"] if rules == "relaxed")
        assert 0 < stock == relaxed < look["vmas"]
        assert look["comm"] == "compactor"


def test_workload_that_fails_is_said_to_have_failed(kernel: str) -> None:
    with pytest.raises(LabError, match=r"sh on .* ended with status 3") as caught:
        compare([kernel], ["sh", "-c", "echo no luck >&2; exit 3"], seconds=1)
    assert "no luck" in caught.value.console


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_every_workload_runs_in_its_short_form(kernel: str, name: str) -> None:
    document = compare([kernel], [name], seconds=20)
    (run,) = document["runs"]
    assert run["status"] == 0
    assert run["end_is_exact"]
    assert max(sample[1] for sample in run["samples"]) > 20
    assert sum(run["calls"].values()) > 10
