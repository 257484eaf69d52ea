# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The text of metric families, against what prometheus_client makes of the same samples."""

from __future__ import annotations

import math
from collections.abc import Iterable

import prometheus_client
import pytest
from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector

from tests.unit.export.test_metrics import SNAPSHOTS, complete_snapshot, complete_stats
from tests.unit.sample import self_stats
from vmad.export.metrics.collector import VmadCollector
from vmad.export.metrics.family import END, Family, text_of
from vmad.export.metrics.of_process import process_families


class Peer(Collector):
    """The same families, for prometheus_client."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for ours in self._families:
            theirs = Metric(ours.name, ours.documentation, ours.type, ours.unit)
            for sample in ours.samples:
                theirs.add_sample(*sample)
            yield theirs


def expected(collector: Collector, openmetrics: bool) -> bytes:
    """The text by prometheus_client, without the end of OpenMetrics."""
    if not openmetrics:
        return prometheus_client.generate_latest(collector)
    text: bytes = openmetrics_exposition.generate_latest(collector)  # type: ignore[no-untyped-call]
    return text.removesuffix(END)


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize("target", [None, "guest"])
@pytest.mark.parametrize("name", SNAPSHOTS)
def test_a_snapshot_reads_as_by_prometheus_client(
    name: str, target: str | None, openmetrics: bool
) -> None:
    families = list(VmadCollector(self_stats(), SNAPSHOTS[name](), target).families())

    assert text_of(families, openmetrics) == expected(Peer(families), openmetrics)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_every_metric_reads_as_by_prometheus_client(openmetrics: bool) -> None:
    families = list(VmadCollector(complete_stats(), complete_snapshot()).families())

    assert text_of(families, openmetrics) == expected(Peer(families), openmetrics)


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0.0"),
        (-0.0, "-0.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-7, "1e-07"),
        (65530, "65530.0"),
        (999_999, "999999.0"),
        (1_000_000, "1e+06"),
        (1_234_567.5, "1.2345675e+06"),
        (-1_234_567.5, "-1234567.5"),
        (123_000_000_000, "1.23e+11"),
        (2**53, "9.007199254740992e+15"),
        (1e22, "1e+22"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (True, "1.0"),
    ],
)
def test_numbers_are_written_as_go_writes_them(
    value: float, written: str, openmetrics: bool
) -> None:
    family = Family("a_b", "gauge", "A.")
    family.add({}, value)

    text = text_of([family], openmetrics)

    assert text == expected(Peer([family]), openmetrics)
    assert text.splitlines()[-1] == f"a_b {written}".encode()


@pytest.mark.parametrize("openmetrics", [False, True])
def test_text_and_labels_are_escaped(openmetrics: bool) -> None:
    family = Family("a_seconds_total", "counter", 'Say "so",\nor \\ not.', "seconds")
    family.add({"z": '\\\n"\x00\u2028é', "a": "{},="}, 1)

    text = text_of([family], openmetrics)

    assert text == expected(Peer([family]), openmetrics)
    assert b'a_seconds_total{a="{},=",z="\\\\\\n\\"\x00\xe2\x80\xa8\xc3\xa9"} 1.0\n' in text


@pytest.mark.parametrize("openmetrics", [False, True])
def test_of_the_process_the_same_is_told_as_by_prometheus_client(openmetrics: bool) -> None:
    def without_values(text: bytes) -> list[bytes]:
        return [line if line[:1] == b"#" else line.split()[0] for line in text.splitlines()]

    ours = text_of(process_families(), openmetrics)
    theirs = expected(ProcessCollector(registry=None), openmetrics)

    assert without_values(ours) == without_values(theirs)
    for name in (b"start_time_seconds", b"max_fds"):
        (line,) = (line for line in theirs.splitlines() if line.startswith(b"process_" + name))
        assert line in ours.splitlines()


def test_without_proc_nothing_is_told_of_the_process() -> None:
    assert process_families("/nowhere") == []
