# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Renders a snapshot as Prometheus metrics: what a scan found at most once per scan and format.

The collector is driven by :mod:`vmad.export.metric_catalogue`: a sample under a name that is not
listed there is a KeyError, and families come in the catalogue's order. It computes nothing but
the presentation. A format that nobody asks for is never rendered; of one that is asked for each
family's text is kept while its samples are the same, and the rest is made anew with each scan by
the thread that scans.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from vmad import __version__
from vmad.export.gzip_beginning import GzipBeginning
from vmad.export.kept_text import END, KeptTexts, text_of
from vmad.export.metric_catalogue import BY_NAME, CATALOGUE, Metric
from vmad.export.printable import utf8
from vmad.model.kinds import KIND_NAMES, Kind
from vmad.model.process import Unread
from vmad.scan.snapshot import GroupStats, HostSnapshot, JudgedProcess
from vmad.scan.statistics import DaemonStats, MachineStats, SelfStats

#: seconds that a format is made ready for after it was last asked for: scrapes a minute apart
KEEP_READY = 90.0

_Samples = dict[str, dict[tuple[str, ...], float]]


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
        self._found: _Samples = {}  #: of the host, but for what is of this scan alone

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
        self._samples: _Samples = {}
        if self._snapshot is not None:
            if before is not None and _says_the_same(before._snapshot, self._snapshot):
                self._samples.update(before._found)
            else:
                for group in self._snapshot.groups:
                    self._put_group(group)
                self._put_host(self._snapshot)
                for process in self._snapshot.top:
                    self._put_top(process)
            self._found = dict(self._samples)
            self._put_scan(self._snapshot)
        if self._stats is not None:
            self._put_machine(self._stats.machine)
            if self._stats.daemon is not None:
                self._put_daemon(self._stats.daemon)
        return self._samples

    def text(
        self, kept: KeptTexts, openmetrics: bool, before: VmadCollector | None = None
    ) -> bytes:
        """All of it, but for the end of an OpenMetrics text."""
        samples = self.samples(before)
        return b"".join(
            kept.text(
                metric.name, those, openmetrics, partial(_family, metric, those, self._target)
            )
            for metric in CATALOGUE
            if (those := samples.get(metric.name)) is not None
        )

    def _put(self, name: str, value: float | None, *labels: str) -> None:
        """Add a sample unless ``value`` is None.

        The first of two samples under the same labels wins: Prometheus would refuse the second,
        and a name that a hostile process chose must not cost the whole scrape.
        """
        if value is not None:
            family = self._samples.setdefault(BY_NAME[name].name, {})
            family.setdefault(tuple(map(utf8, labels)), value)

    def _put_by_rules(
        self, name: str, values: Mapping[str, int | None] | None, *labels: str
    ) -> None:
        for rules, value in (values or {}).items():
            self._put(name, value, *labels, rules)

    def _put_group(self, group: GroupStats) -> None:
        put, name = self._put, group.name
        put("vmad_group_processes", group.processes, name)
        put("vmad_group_memory_map_areas", group.map_count_sum, name)
        put("vmad_group_memory_map_areas_max", group.map_count_max, name)
        put("vmad_group_memory_map_areas_highwater", group.high_water, name)
        put("vmad_group_memory_map_areas_highwater_timestamp_seconds", group.high_water_at, name)
        put("vmad_group_limit_ratio", group.ratio, name)
        put("vmad_group_memory_map_areas_growth_per_second", group.rate, name)
        put("vmad_group_seconds_to_limit", group.seconds_to_limit, name)
        put("vmad_group_address_space_bytes", group.size_sum, name)
        put("vmad_group_vma_kernel_bytes", group.kernel_bytes, name)
        if group.kinds is not None:
            for kind in Kind:
                put("vmad_group_areas", group.kinds[kind], name, KIND_NAMES[kind])
        for key, count in (group.pairs or {}).items():
            put("vmad_group_pairs", count or None, name, *key)
        self._put_by_rules("vmad_group_recoverable_areas", group.recoverable, name)

    def _put_host(self, host: HostSnapshot) -> None:
        put = self._put
        # one whose newest read failed is in both: what is known of it is older
        unread = {one.id for one in host.unreadable if one.why is not Unread.GONE}
        met = len(unread.union(one.id for one in host.processes))
        put("vmad_memory_map_areas_limit", host.max_map_count)
        too_much = host.thresholds
        put("vmad_threshold_memory_map_areas", too_much.areas or None)
        put("vmad_threshold_memory_map_areas_per_day", too_much.areas_per_day or None)
        put("vmad_threshold_vma_kernel_bytes", too_much.kernel_memory or None)
        put("vmad_host_worst_limit_ratio", host.worst_ratio)
        put("vmad_host_processes", met)
        for kind in Kind:
            put("vmad_host_areas", host.kinds[kind], KIND_NAMES[kind])
        for key, count in host.pairs.items():
            put("vmad_host_pairs", count or None, *key)
        self._put_by_rules("vmad_host_recoverable_areas", host.recoverable)
        for attempt, count in (host.merge_attempts or {}).items():
            put("vmad_kernel_merge_attempts_total", count, *attempt)

    def _put_top(self, process: JudgedProcess) -> None:
        put, labels = self._put, (str(process.id.pid), process.comm, process.group)
        put("vmad_top_process_memory_map_areas", process.map_count, *labels)
        put("vmad_top_process_memory_map_areas_highwater", process.high_water, *labels)
        put("vmad_top_process_memory_map_areas_growth_per_second", process.rate, *labels)
        put("vmad_top_process_seconds_to_limit", process.seconds_to_limit, *labels)
        self._put_by_rules("vmad_top_process_recoverable_areas", process.recoverable, *labels)

    def _put_scan(self, host: HostSnapshot) -> None:
        put = self._put
        put("vmad_scan_duration_seconds", host.took_seconds)
        put("vmad_groups_folded", host.groups_folded)
        put("vmad_scan_last_success_timestamp_seconds", host.taken_at)
        put("vmad_counts_last_success_timestamp_seconds", host.counted_at)
        put("vmad_processes_read", sum(one.walked_at is not None for one in host.processes))
        for reason in Unread:
            count = sum(one.why is reason for one in host.unreadable)
            put("vmad_processes_unreadable", count, reason.value)
        put("vmad_evidence_info", 1, host.evidence.value, host.walk)
        patched = str(host.kernel.patched).lower()
        put("vmad_kernel_info", 1, host.kernel.release, patched)

    def _put_machine(self, stats: MachineStats) -> None:
        put, counts = self._put, stats.counts
        put("vmad_scans_total", counts.full_scans, "full")
        put("vmad_scans_total", counts.scans - counts.full_scans, "incremental")
        put("vmad_samples_total", counts.samples)
        put("vmad_scan_interval_seconds", stats.interval_seconds, "configured")
        put("vmad_scan_interval_seconds", stats.effective_interval_seconds, "effective")
        for (source, phase), cost in stats.phases.items():
            put("vmad_scan_phase_duration_seconds", cost.seconds, source, phase.value)
            put("vmad_scan_phase_success", cost.succeeded, source, phase.value)
        put("vmad_cpu_seconds_total", stats.cpu_seconds_total)
        put("vmad_cpu_budget_ratio", stats.budget_ratio)
        put("vmad_walks_total", counts.walks)
        put("vmad_areas_walked_total", counts.vmas_walked)
        put("vmad_areas_skipped_total", counts.vmas_skipped)
        for reason in Unread:
            put("vmad_reads_failed_total", counts.reads_failed.get(reason, 0), reason.value)
        if stats.stops is not None:
            put("vmad_guest_stops_total", stats.stops.count)
            put("vmad_guest_stopped_seconds_total", stats.stops.seconds)
            put("vmad_guest_longest_stop_seconds", stats.stops.longest)
        if stats.limit_failures is not None:
            for key, count in stats.limit_failures.totals.items():
                put("vmad_limit_failures_total", count, *key)
            put("vmad_limit_failures_lost_total", stats.limit_failures.lost)
        for source, why_not in stats.sources.items():
            put("vmad_source_up", why_not is None, source)
        put("vmad_start_time_seconds", stats.started_at)
        put("vmad_build_info", 1, __version__, platform.python_version())

    def _put_daemon(self, stats: DaemonStats) -> None:
        put = self._put
        put("vmad_events_total", stats.events_total)
        put("vmad_event_overruns_total", stats.event_overruns_total)
        put("vmad_event_source_up", stats.event_source_up)
        put("vmad_event_source_resting", stats.event_source_resting)
        put("vmad_web_cpu_seconds_total", stats.web_cpu_seconds_total)
        for reason, number in stats.web_refused_total.items():
            put("vmad_web_requests_refused_total", number, reason)
        for target, why_not in stats.targets.items():
            put("vmad_target_up", why_not is None, target)
        put("vmad_config_last_reload_successful", stats.config_reload_success)
        put("vmad_config_last_reload_success_timestamp_seconds", stats.config_reload_time)
        if stats.states:
            written = all(why_not is None for why_not in stats.states.values())
            put("vmad_state_last_write_successful", written)


def _family(
    metric: Metric,
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


class Exposition:
    """The bytes that ``/metrics`` serves. Safe to use from several threads.

    What a scan found is rendered (and compressed) once; what vmad says of itself at each call,
    so that a refused reload or lost events show at the next scrape: about a millisecond.
    ``stats`` gives the newest; plain stats stand for a moment that does not move on.
    """

    def __init__(
        self,
        stats: SelfStats | Callable[[], SelfStats],
        snapshot: HostSnapshot | None = None,
        target: str | None = None,
    ) -> None:
        self._stats = stats
        self._snapshot = snapshot
        self._target = target
        self._lock = threading.RLock()
        self._texts = KeptTexts()
        self._host_before: VmadCollector | None = None
        self._host_now: VmadCollector | None = None
        self._hosts: dict[bool, GzipBeginning] = {}
        self._asked: dict[tuple[bool, bool], float] = {}  #: monotonic seconds, by format
        self._kept: dict[tuple[bool, bool], bytes] = {}

    def follow(self, before: Exposition) -> None:
        """Go on with the texts of the exposition before; what is asked for is rendered then."""
        self._texts = before._texts
        self._host_before = before._host_now or before._host_before
        self._asked |= before._asked

    def prepare(self, before: Exposition) -> None:
        """Make ready what was asked for of the exposition before, so that a scrape waits for no
        rendering. What nobody has asked for in KEEP_READY seconds is left.
        """
        self.follow(before)
        recently = time.monotonic() - KEEP_READY
        for (openmetrics, compressed), when in tuple(self._asked.items()):
            if when >= recently:
                host = self._host(openmetrics)
                if compressed:
                    host.compressed()
            else:
                del self._asked[openmetrics, compressed]

    def render(self, openmetrics: bool = False, compressed: bool = False) -> bytes:
        """Text format 0.0.4, or OpenMetrics 1.0; gzip when ``compressed``."""
        self._asked[openmetrics, compressed] = time.monotonic()
        if callable(self._stats):
            return self._rendered(self._stats(), openmetrics, compressed)
        with self._lock:
            key = openmetrics, compressed
            if key not in self._kept:
                self._kept[key] = self._rendered(self._stats, openmetrics, compressed)
            return self._kept[key]

    def _rendered(self, stats: SelfStats, openmetrics: bool, compressed: bool) -> bytes:
        itself = VmadCollector(stats, target=self._target).text(self._texts, openmetrics)
        if self._target is None:
            itself += text_of(_process(), openmetrics)
        # the end of an OpenMetrics text stands behind what vmad says of itself
        itself += END if openmetrics else b""
        with self._lock:
            host = self._host(openmetrics)
            return host.gzip_with(itself) if compressed else host.text + itself

    def _host(self, openmetrics: bool) -> GzipBeginning:
        with self._lock:
            host = self._hosts.get(openmetrics)
            if host is None:
                host = self._hosts[openmetrics] = GzipBeginning(self._host_text(openmetrics))
            return host

    def _host_text(self, openmetrics: bool) -> bytes:
        if self._snapshot is None:
            return b""
        now = VmadCollector(None, self._snapshot, self._target)
        text = now.text(self._texts, openmetrics, self._host_now or self._host_before)
        self._host_now, self._host_before = now, None
        return text


@cache
def _process() -> Collector:
    """What prometheus_client tells of every program (process_*)."""
    return ProcessCollector(registry=None)
