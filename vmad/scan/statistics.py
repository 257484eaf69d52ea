# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What vmad says of its own work: on each machine that it watches, and as a daemon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vmad.model.failures import FailureTally
from vmad.model.process import Unread
from vmad.model.stops import Stops
from vmad.scan.phases import Phase, PhaseCost


@dataclass(slots=True)
class ScanCounts:
    """Totals of one machine since start-up."""

    scans: int = 0
    full_scans: int = 0
    samples: int = 0
    walks: int = 0
    vmas_walked: int = 0
    vmas_skipped: int = 0  #: not walked again, since their address space had not changed
    reads_failed: dict[Unread, int] = field(default_factory=lambda: dict.fromkeys(Unread, 0))


@dataclass(frozen=True, slots=True)
class MachineStats:
    """vmad's work on one machine. Counters are totals since start-up."""

    started_at: float  #: Unix time, seconds
    interval_seconds: float  #: the configured interval
    effective_interval_seconds: float  #: stretched to keep the budget
    budget_ratio: float  #: allowed share of one core
    cpu_seconds_total: float
    counts: ScanCounts
    walk: str  #: how address spaces are walked
    #: each evidence that could be had: None = works here, else the one-line reason it does not
    sources: Mapping[str, str | None] = field(default_factory=dict)
    phases: Mapping[tuple[str, Phase], PhaseCost] = field(default_factory=dict)  #: last, by source
    limit_failures: FailureTally | None = None  #: None: they are not counted
    stops: Stops | None = None  #: None: the machine is never stopped


@dataclass(frozen=True, slots=True)
class DaemonStats:
    """What there is one of, however many machines are watched. Totals since start-up."""

    event_overruns_total: int = 0
    events_total: int = 0
    event_source_up: bool = False
    event_source_resting: bool = False  #: not up by vmad's own choice, for its budget
    event_source_why: str | None = None  #: why it is not up
    config_reload_success: bool | None = None  #: None: never reloaded
    config_reload_time: float | None = None
    #: each file of the state directory: None = written, else why it could not be last
    states: Mapping[str, str | None] = field(default_factory=dict)
    #: each guest that is watched beside this host: None = it is, else why it cannot be
    targets: Mapping[str, str | None] = field(default_factory=dict)
    web_cpu_seconds_total: float = 0.0  #: the part that work for clients took
    #: requests that were refused, by why
    web_refused_total: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SelfStats:
    """Both. ``daemon`` is told with the machine that it runs on, and None with others."""

    machine: MachineStats
    daemon: DaemonStats | None = None
