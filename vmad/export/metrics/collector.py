# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The samples of every metric of the catalogue, as prometheus_client knows families.

It computes nothing: each metric of the catalogue says where its values come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from vmad.export.kept_text import KeptTexts
from vmad.export.metrics.catalogue import CATALOGUE
from vmad.export.metrics.failures import FAILURES
from vmad.export.metrics.groups import GROUPS
from vmad.export.metrics.host import HOST
from vmad.export.metrics.itself import SELF
from vmad.export.metrics.metric import Metric, Section, Subject
from vmad.export.metrics.scan import SCAN
from vmad.export.metrics.top import TOP
from vmad.export.printable import printable, utf8
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import SelfStats

_Labels = tuple[str, ...]
_Samples = dict[str, dict[_Labels, float]]


class VmadCollector(Collector):
    """The metrics of one snapshot, and of vmad itself where ``stats`` are given.

    ``target`` names a machine that is watched beside this one: a label of all its series. This
    machine's own have no such label.

    ``describe()`` is there for prometheus_client: a collector without it is invisible to a
    scrape restricted by ``name[]`` (measured with 0.26).
    """

    def __init__(
        self,
        stats: SelfStats | None,
        snapshot: HostSnapshot | None = None,
        target: str | None = None,
    ) -> None:
        self._stats = stats
        self._snapshot = snapshot
        self._target = target
        self._of_host: _Samples = {}  #: but for what is of this scan alone

    def describe(self) -> Iterable[Family]:
        """Every family that may ever be collected, without samples."""
        return [_family(metric, target=self._target) for metric in CATALOGUE]

    def collect(self) -> Iterable[Family]:
        """The families that have samples, in the catalogue's order."""
        samples = self.samples()
        return [
            _family(metric, samples[metric.name], self._target)
            for metric in CATALOGUE
            if metric.name in samples
        ]

    def samples(self, before: VmadCollector | None = None) -> _Samples:
        """By family. What ``before`` has of the same host is taken from there."""
        samples: _Samples = {}
        snapshot, stats = self._snapshot, self._stats
        if snapshot is not None:
            if before is not None and _says_the_same(before._snapshot, snapshot):
                samples.update(before._of_host)
            else:
                _add(samples, GROUPS, (((group.name,), group) for group in snapshot.groups))
                _add(samples, HOST, [((), snapshot)])
                _add(
                    samples,
                    TOP,
                    (
                        ((str(process.id.pid), printable(process.comm), process.group), process)
                        for process in snapshot.top
                    ),
                )
            self._of_host = dict(samples)
            _add(samples, SCAN, [((), snapshot)])
        if stats is not None:
            _add(samples, FAILURES, [((), stats)])
            _add(samples, SELF, [((), stats)])
        return samples

    def text(
        self, kept: KeptTexts, openmetrics: bool, before: VmadCollector | None = None
    ) -> bytes:
        """All of it, but for the end of an OpenMetrics text."""
        samples = self.samples(before)
        return b"".join(
            kept.text(
                metric.name,
                of_metric,
                openmetrics,
                partial(_family, metric, of_metric, self._target),
            )
            for metric in CATALOGUE
            if (of_metric := samples.get(metric.name)) is not None
        )


def _add(
    samples: _Samples, section: Section[Subject], subjects: Iterable[tuple[_Labels, Subject]]
) -> None:
    """The values of every subject. What is None is absent."""
    named = [(tuple(map(utf8, labels)), subject) for labels, subject in subjects]
    for metric in section.metrics:
        family: dict[_Labels, float] = {}
        for labels, subject in named:
            value = metric.value(subject)
            if value is None:
                continue
            several = [((), value)] if isinstance(value, int | float) else value
            for more, number in several:
                # The first of two samples under the same labels wins: Prometheus would refuse the
                # second, and a name that a hostile process chose must not cost the whole scrape.
                if number is not None:
                    family.setdefault((*labels, *map(utf8, more)), number)
        if family:
            samples[metric.name] = family


def _family(
    metric: Metric[Any],
    samples: Mapping[tuple[str, ...], float] | None = None,
    target: str | None = None,
) -> Family:
    """A catalogue entry as prometheus_client knows it. OpenMetrics wants units as suffixes."""
    names = metric.labels
    if target is not None and "target" not in names:
        names = (*names, "target")
        samples = {(*labels, target): value for labels, value in (samples or {}).items()}
    unit = metric.unit if metric.name.removesuffix("_total").endswith(f"_{metric.unit}") else ""
    family: CounterMetricFamily | GaugeMetricFamily | InfoMetricFamily
    if metric.type == "info":
        family = InfoMetricFamily(metric.name.removesuffix("_info"), metric.help, labels=())
        for labels in samples or ():
            family.add_metric((), dict(zip(names, labels, strict=True)))
        return family
    if metric.type == "counter":
        family = CounterMetricFamily(metric.name, metric.help, labels=names, unit=unit)
    else:
        family = GaugeMetricFamily(metric.name, metric.help, labels=names, unit=unit)
    for labels, value in (samples or {}).items():
        family.add_metric(labels, value)
    return family


def _says_the_same(before: HostSnapshot | None, now: HostSnapshot) -> bool:
    """Whether two scans found the same; of what is large only the same objects count as that."""
    return (
        before is not None
        and before.groups is now.groups
        and before.processes is now.processes
        and len(before.top) == len(now.top)
        and before.unreadable == now.unreadable
        and before.max_map_count == now.max_map_count
        and before.thresholds == now.thresholds
        and before.merge_attempts == now.merge_attempts
    )
