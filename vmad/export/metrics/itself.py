# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Metrics of vmad itself: its work on a machine, and as a daemon."""

from __future__ import annotations

import platform
from collections.abc import Callable

from vmad import __version__
from vmad.export.metrics.metric import Labelled, Metric, Section, Value, by_label, up
from vmad.model.process import Unread
from vmad.model.stops import Stops
from vmad.scan.statistics import DaemonStats, SelfStats


def _of_daemon(value: Callable[[DaemonStats], Value]) -> Callable[[SelfStats], Value]:
    """Of what there is one of; a guest's metrics do not have it."""
    return lambda stats: None if stats.daemon is None else value(stats.daemon)


def _of_stops(value: Callable[[Stops], Value]) -> Callable[[SelfStats], Value]:
    return lambda stats: None if stats.machine.stops is None else value(stats.machine.stops)


def _scans(stats: SelfStats) -> Labelled:
    counts = stats.machine.counts
    yield ("full",), counts.full_scans
    yield ("incremental",), counts.scans - counts.full_scans


def _intervals(stats: SelfStats) -> Labelled:
    yield ("configured",), stats.machine.interval_seconds
    yield ("effective",), stats.machine.effective_interval_seconds


def _phase_seconds(stats: SelfStats) -> Labelled:
    for (source, phase), cost in stats.machine.phases.items():
        yield (source, phase.value), cost.seconds


def _phase_success(stats: SelfStats) -> Labelled:
    for (source, phase), cost in stats.machine.phases.items():
        yield (source, phase.value), cost.succeeded


def _reads_failed(stats: SelfStats) -> Labelled:
    for reason in Unread:
        yield (reason.value,), stats.machine.counts.reads_failed.get(reason, 0)


def _written(daemon: DaemonStats) -> bool | None:
    if not daemon.states:
        return None
    return all(why_not is None for why_not in daemon.states.values())


def _build(_: SelfStats) -> Labelled:
    yield (__version__, platform.python_version()), 1


SELF: Section[SelfStats] = Section(
    "vmad itself",
    "Served from the start, before the first scan is complete.",
    (),
    (
        Metric("vmad_scans_total", "counter", ("kind",), "scans",
               _scans,
               "Complete scans; full looks at everything, incremental at what changed.",
               "A rate of 0: scanning is stuck."),
        Metric("vmad_samples_total", "counter", (), "samples",
               lambda stats: stats.machine.counts.samples,
               "Times that the VMA counts of all processes were read.",
               "The high-water marks are as fine as its rate."),
        Metric("vmad_scan_interval_seconds", "gauge", ("kind",), "seconds",
               _intervals,
               "Time between scans: as configured, and effective, stretched (tenfold at most) to "
               "keep the budget.",
               "effective above configured: the budget is too small for this host."),
        Metric("vmad_scan_phase_duration_seconds", "gauge", ("source", "phase"), "seconds",
               _phase_seconds,
               "Wall time of each phase of the last scan with each source: census (who is there), "
               "walk (reading address spaces), judge (verdicts and groups), add_up, render (making "
               "ready what is scraped); after a failure, up to it.",
               "Says where the time of vmad_scan_duration_seconds goes."),
        Metric("vmad_scan_phase_success", "gauge", ("source", "phase"), "boolean",
               _phase_success,
               "1 when the phase succeeded in the last scan with that source, 0 when it failed.",
               "walk of kernel at 0: it hung or was refused, and procfs serves meanwhile; the log "
               "names the cause."),
        Metric("vmad_guest_stops_total", "counter", (), "stops",
               _of_stops(lambda stops: stops.count),
               "Times that a guest was stopped to be read (consistent: true); absent where it is "
               "read while it runs.",
               "Its rate is how often the guest's clients may have waited."),
        Metric("vmad_guest_stopped_seconds_total", "counter", (), "seconds",
               _of_stops(lambda stops: stops.seconds),
               "Time that the guest stood still to be read, by QEMU's own clock.",
               "Its rate is the share of time that the guest loses."),
        Metric("vmad_guest_longest_stop_seconds", "gauge", (), "seconds",
               _of_stops(lambda stops: stops.longest),
               "The longest stop of the guest since vmad started.",
               "What a client of the guest waited for at most."),
        Metric("vmad_cpu_seconds_total", "counter", (), "seconds",
               lambda stats: stats.machine.cpu_seconds_total,
               "CPU time that vmad spent, all threads, in user and kernel mode.",
               "Its rate is vmad's share of one core."),
        Metric("vmad_web_cpu_seconds_total", "counter", (), "seconds",
               _of_daemon(lambda daemon: daemon.web_cpu_seconds_total),
               "The part of vmad_cpu_seconds_total that work for HTTP clients took.",
               "It has a budget of its own (web.budget): the difference is what scans, samples "
               "and events take."),
        Metric("vmad_web_requests_refused_total", "counter", ("reason",), "requests",
               _of_daemon(lambda daemon: by_label(daemon.web_refused_total)),
               "Requests that were not answered, by why: budget (put off, 503), login (a wrong "
               "password or too many of them), site (an unknown Host, or a page of another site); "
               "every reason always has a sample.",
               "budget: somebody asks for more than web.budget allows. site: add the name to "
               "web.hosts if it is right."),
        Metric("vmad_cpu_budget_ratio", "gauge", (), "ratio",
               lambda stats: stats.machine.budget_ratio,
               "Share of one core that scans, samples and events may use on average.",
               "Compare with the rates of vmad_cpu_seconds_total less "
               "vmad_web_cpu_seconds_total."),
        Metric("vmad_walks_total", "counter", (), "walks",
               lambda stats: stats.machine.counts.walks,
               "Address spaces walked.",
               "Per scan: how many processes changed."),
        Metric("vmad_areas_walked_total", "counter", (), "VMAs",
               lambda stats: stats.machine.counts.vmas_walked,
               "VMAs looked at.",
               "CPU time divided by it is the price of a VMA."),
        Metric("vmad_areas_skipped_total", "counter", (), "VMAs",
               lambda stats: stats.machine.counts.vmas_skipped,
               "VMAs not looked at again since their address space had not changed.",
               "High beside walked: the incremental scan pays."),
        Metric("vmad_reads_failed_total", "counter", ("reason",), "processes",
               _reads_failed,
               "Processes that could not be read, by why, over all scans; every reason always "
               "has a sample.",
               "A rising permission count after an upgrade: a right was lost."),
        Metric("vmad_events_total", "counter", (), "events",
               _of_daemon(lambda daemon: daemon.events_total),
               "Process events (fork, exec, exit) received.",
               "The churn of the host."),
        Metric("vmad_event_overruns_total", "counter", (), "overruns",
               _of_daemon(lambda daemon: daemon.event_overruns_total),
               "Times that process events were lost; each is healed by a rescan.",
               "A steady rate: the host forks faster than vmad listens; results stay right."),
        Metric("vmad_event_source_up", "gauge", (), "boolean",
               _of_daemon(lambda daemon: daemon.event_source_up),
               "1 while process events arrive, 0 when vmad finds new processes by scanning only.",
               "0: short-lived processes may be missed between two samples."),
        Metric("vmad_event_source_resting", "gauge", (), "boolean",
               _of_daemon(lambda daemon: daemon.event_source_resting),
               "1 while process events are left out by choice: they cost more than their part of "
               "scan.budget.",
               "1 for long: the host starts more programs than the budget can follow; "
               "`vmad doctor --daemon` says more."),
        Metric("vmad_source_up", "gauge", ("source",), "boolean",
               lambda stats: up(stats.machine.sources),
               "1 when this evidence can be had here, 0 when it cannot.",
               "`vmad doctor` gives the reason and the remedy."),
        Metric("vmad_target_up", "gauge", ("target",), "boolean",
               _of_daemon(lambda daemon: up(daemon.targets)),
               "1 while a guest of the configuration's targets can be read, 0 while it cannot; "
               "absent without targets.",
               "0: the log and the page name the cause; its own series are at "
               "/metrics?target=NAME."),
        Metric("vmad_config_last_reload_successful", "gauge", (), "boolean",
               _of_daemon(lambda daemon: daemon.config_reload_success),
               "1 when the last reload of the configuration was accepted, 0 when it was refused; "
               "absent before the first.",
               "0: `vmad check-config` names file and line; the old configuration still rules."),
        Metric("vmad_config_last_reload_success_timestamp_seconds", "gauge", (), "Unix seconds",
               _of_daemon(lambda daemon: daemon.config_reload_time),
               "When the configuration was last reloaded with success.",
               "Shows which hosts run an old configuration."),
        Metric("vmad_state_last_write_successful", "gauge", (), "boolean",
               _of_daemon(_written),
               "1 when what a restart must not forget could be written last, 0 when not; absent "
               "without a state directory.",
               "0: the log and the page name the cause (a full disk, say); a restart now forgets "
               "bursts since the last write."),
        Metric("vmad_start_time_seconds", "gauge", (), "Unix seconds",
               lambda stats: stats.machine.started_at,
               "When vmad started.",
               "Its changes are restarts. High-water marks reach back further where the service "
               "keeps its state."),
        Metric("vmad_build_info", "info", ("version", "python"), "",
               _build,
               "Versions of vmad and of the Python that runs it.",
               "Shows which hosts are still to be upgraded."),
    ),
)  # fmt: skip
