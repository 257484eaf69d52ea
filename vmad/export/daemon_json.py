# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How a running daemon does itself, for scripts: schema vmad.daemon/1."""

from __future__ import annotations

from typing import Any

from vmad import __version__
from vmad.scan.snapshot import HostSnapshot, SelfStats

SCHEMA = "vmad.daemon/1"


def daemon_document(stats: SelfStats, snapshot: HostSnapshot | None) -> dict[str, Any]:
    """``snapshot`` is the last scan, None before the first. Times in Unix seconds; null: unknown.

    ``sources`` has each evidence with why it cannot be had (null: it can), ``states`` each
    file of the state directory with why it could not be written last. ``events.state`` is "up",
    "resting" (by choice, for the budget) or "down".
    """
    events = {
        "state": event_state(stats),
        "why": stats.event_source_why,
        "total": stats.events_total,
        "overruns": stats.event_overruns_total,
    }
    unread = {reason.value: count for reason, count in stats.reads_failed_total.items()}
    return {
        "schema": SCHEMA,
        "version": __version__,
        "started_at": stats.started_at,
        "evidence": None if snapshot is None else snapshot.evidence.value,
        "walk": stats.walk,
        "last_scan_at": None if snapshot is None else snapshot.taken_at,
        "interval_seconds": stats.interval_seconds,
        "effective_interval_seconds": stats.effective_interval_seconds,
        "budget_ratio": stats.budget_ratio,
        "cpu_seconds": stats.cpu_seconds_total,
        "scans": stats.scans_total,
        "samples": stats.samples_total,
        "reads_failed": unread,
        "sources": dict(stats.sources),
        "states": dict(stats.states),
        "targets": dict(stats.targets),
        "events": events,
    }


def event_state(stats: SelfStats) -> str:
    """ "up", "resting" or "down"."""
    if stats.event_source_up:
        return "up"
    return "resting" if stats.event_source_resting else "down"
