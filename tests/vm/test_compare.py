# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Workloads in a guest, in their short form: what is sampled, counted and judged."""

from __future__ import annotations

import pytest

from vmad.lab.compare.comparison import Comparison, compare
from vmad.lab.errors import LabError
from vmad.lab.workloads.shipped import WORKLOADS


@pytest.fixture(scope="module")
def compactor(kernel: str) -> Comparison:
    return compare([kernel], ["compactor"], seconds=4)


def test_same_work_is_counted_to_the_call(compactor: Comparison) -> None:
    record = compactor.runs[0].record
    # Two rounds; survivors are kept by a random number with a fixed seed.
    assert (record.status, record.end_is_exact) == (0, True)
    assert record.calls["mremap"] > 1000
    assert record.calls["mmap"] > 12_000 + record.calls["mremap"]


def test_peak_and_end_are_judged_and_add_up(compactor: Comparison) -> None:
    record = compactor.runs[0].record
    assert record.highest > 2000
    assert record.peak is not None
    assert record.end is not None
    assert record.peak.vmas > record.highest * 0.9
    for look in (record.peak, record.end):
        stock = sum(pair.number for pair in look.pairs if pair.rules == "stock")
        patched = sum(pair.number for pair in look.pairs if pair.rules == "relaxed")
        assert 0 < stock == patched < look.vmas
        assert look.comm == "compactor"


def test_workload_that_fails_is_said_to_have_failed(kernel: str) -> None:
    with pytest.raises(LabError, match=r"sh on .* ended with status 3") as caught:
        compare([kernel], ["sh", "-c", "echo no luck >&2; exit 3"], seconds=1)
    assert "no luck" in caught.value.console


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_every_workload_runs_in_its_short_form(kernel: str, name: str) -> None:
    record = compare([kernel], [name], seconds=20).runs[0].record
    assert record.status == 0
    assert record.end_is_exact
    assert record.highest > 20
    assert sum(record.calls.values()) > 10
