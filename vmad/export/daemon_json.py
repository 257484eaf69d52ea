# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How a running daemon does itself, for scripts: schema vmad.daemon/1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmad import __version__
from vmad.scan.phases import Phase, PhaseCost
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import DaemonStats, SelfStats

SCHEMA = "vmad.daemon/1"


def daemon_document(stats: SelfStats, snapshot: HostSnapshot | None) -> dict[str, Any]:
    """``snapshot`` is the last scan, None before the first. Times in Unix seconds; null: unknown.

    ``sources`` has each evidence with why it cannot be had (null: it can), ``states`` each
    file of the state directory with why it could not be written last. ``events.state`` is "up",
    "resting" (by choice, for the budget) or "down".
    """
    machine, daemon = stats.machine, stats.daemon or DaemonStats()
    counts = machine.counts
    events = {
        "state": event_state(daemon),
        "why": daemon.event_source_why,
        "total": daemon.events_total,
        "overruns": daemon.event_overruns_total,
    }
    unread = {reason.value: count for reason, count in counts.reads_failed.items()}
    return {
        "schema": SCHEMA,
        "version": __version__,
        "started_at": machine.started_at,
        "evidence": None if snapshot is None else snapshot.evidence.value,
        "walk": machine.walk,
        "last_scan_at": None if snapshot is None else snapshot.taken_at,
        "interval_seconds": machine.interval_seconds,
        "effective_interval_seconds": machine.effective_interval_seconds,
        "budget_ratio": machine.budget_ratio,
        "cpu_seconds": machine.cpu_seconds_total,
        "scans": counts.scans,
        "samples": counts.samples,
        "reads_failed": unread,
        "phases": phases_list(machine.phases),
        "sources": dict(machine.sources),
        "states": dict(daemon.states),
        "targets": dict(daemon.targets),
        "events": events,
    }


def phases_list(phases: Mapping[tuple[str, Phase], PhaseCost]) -> list[dict[str, Any]]:
    """What each phase of the last scan took with each source, and whether it succeeded."""
    return [
        {
            "source": source,
            "phase": phase.value,
            "seconds": round(cost.seconds, 6),
            "succeeded": cost.succeeded,
        }
        for (source, phase), cost in phases.items()
    ]


def event_state(stats: DaemonStats) -> str:
    """ "up", "resting" or "down"."""
    if stats.event_source_up:
        return "up"
    return "resting" if stats.event_source_resting else "down"
