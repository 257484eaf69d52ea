# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The samples of every metric of the catalogue, by family.

It computes nothing: each metric of the catalogue says where its values come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from vmad.export.kept_text import KeptTexts
from vmad.export.metrics.catalogue import CATALOGUE
from vmad.export.metrics.failures import FAILURES
from vmad.export.metrics.family import Family
from vmad.export.metrics.groups import GROUPS
from vmad.export.metrics.host import HOST
from vmad.export.metrics.itself import SELF
from vmad.export.metrics.metric import Metric, Section, Subject
from vmad.export.metrics.scan import SCAN
from vmad.export.metrics.top import TOP
from vmad.export.printable import utf8
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import SelfStats

_Labels = tuple[str, ...]
_Samples = dict[str, dict[_Labels, float]]


class VmadCollector:
    """The metrics of one snapshot, and of vmad itself where ``stats`` are given.

    ``target`` names a machine that is watched beside this one: a label of all its series. This
    machine's own have no such label.
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

    def families(self) -> Iterable[Family]:
        """Those that have samples, in the catalogue's order."""
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
                        ((str(process.id.pid), process.comm, process.group), process)
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


def _family(metric: Metric[Any], samples: Mapping[_Labels, float], target: str | None) -> Family:
    """A catalogue entry with these samples. OpenMetrics wants units as suffixes."""
    names = metric.labels
    if target is not None and "target" not in names:
        names = (*names, "target")
        samples = {(*labels, target): value for labels, value in samples.items()}
    unit = metric.unit if metric.name.removesuffix("_total").endswith(f"_{metric.unit}") else ""
    family = Family(metric.name, metric.type, metric.help, unit)
    for labels, value in samples.items():
        family.add(dict(zip(names, labels, strict=True)), value)
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
