# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page's section on vmad itself: is what stands above complete, fresh and cheap?"""

from __future__ import annotations

from collections import Counter

from vmad.export.quantities import counted, duration
from vmad.model.stops import Stops
from vmad.scan.phases import Phase
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import DaemonStats, MachineStats, SelfStats
from vmad.web.pages.markup import Html, facts, join, moment, not_known, section, share, text

_PHASES = {
    Phase.CENSUS: "census",
    Phase.WALK: "walk",
    Phase.JUDGE: "verdicts",
    Phase.ADD_UP: "sums",
    Phase.RENDER: "rendering",
}


def health_section(host: HostSnapshot | None, stats: SelfStats, now: float) -> Html:
    """``now``: Unix seconds. Without a snapshot, what can be said before the first scan."""
    machine, daemon = stats.machine, stats.daemon
    counts = machine.counts
    lines: list[tuple[str, Html]] = []
    if host is not None:
        lines += [
            ("Age of counts and growth", _age(now, host.counted_at or host.taken_at)),
            ("Age of what was walked", _age(now, host.taken_at)),
            ("Last scan took", _took(host, machine)),
            ("Processes read", text(_read(host))),
            ("Groups folded into other", text(f"{host.groups_folded:,}")),
        ]
    lines += [
        ("Interval between scans", _interval(machine)),
        ("CPU spent, of one core", _cpu(machine, now)),
        ("Scans so far", text(f"{counts.scans:,}, of which {counts.full_scans:,} full")),
        ("Samples of the counts", text(f"{counts.samples:,}")),
        ("VMAs walked", text(f"{counts.vmas_walked:,}")),
        ("VMAs unchanged, not walked", text(f"{counts.vmas_skipped:,}")),
        ("Way of walking", text(machine.walk)),
        ("Failures at the limit", _failures(machine)),
    ]
    if machine.stops is not None:
        lines.append(("Stopped to be read", text(_stops(machine.stops))))
    if daemon is not None:
        lines += [
            ("Process events", _events(daemon)),
            ("Configuration", _configuration(daemon)),
        ]
    lines.append(("Running since", moment(machine.started_at)))
    lines += [(f"Source {name}", _source(why_not)) for name, why_not in machine.sources.items()]
    lines += _failed(machine)
    if daemon is not None:
        lines += [(f"State {name}", _state(why_not)) for name, why_not in daemon.states.items()]
        lines += [
            (f"Guest {name}", _guest(name, why_not)) for name, why_not in daemon.targets.items()
        ]
    note = "Whether the numbers above can be relied on." if host else "What it has done so far."
    return section("vmad itself", note, facts(lines))


def _age(now: float, then: float) -> Html:
    return text(duration(max(now - then, 0.0)))


def _took(host: HostSnapshot, machine: MachineStats) -> Html:
    phases = dict(host.phases)
    render = machine.phases.get((host.evidence.value, Phase.RENDER))
    if render is not None:
        phases[Phase.RENDER] = render.seconds
    parts = [f"{_PHASES[phase]} {duration(seconds)}" for phase, seconds in phases.items()]
    return text(duration(host.took_seconds) + (f": {', '.join(parts)}" if parts else ""))


def _failed(machine: MachineStats) -> list[tuple[str, Html]]:
    return [
        (f"Phase {phase.value} of {source}", _warning("failed in the last scan that tried it"))
        for (source, phase), cost in machine.phases.items()
        if not cost.succeeded
    ]


def _stops(stops: Stops) -> str:
    times = counted(stops.count, "time")
    return f"{times}, {duration(stops.longest)} at most, {duration(stops.seconds)} in all"


def _read(host: HostSnapshot) -> str:
    unread = Counter(process.why.value for process in host.unreadable)
    parts = [f"{sum(process.walked_at is not None for process in host.processes):,}"]
    parts += (f"{number:,} not read: {reason}" for reason, number in sorted(unread.items()))
    return "; ".join(parts)


def _interval(stats: MachineStats) -> Html:
    configured, effective = stats.interval_seconds, stats.effective_interval_seconds
    if effective <= configured:
        return text(duration(configured))
    return _warning(f"{duration(effective)}, stretched from {duration(configured)} for the budget")


def _cpu(stats: MachineStats, now: float) -> Html:
    running = now - stats.started_at
    if running <= 0:
        return not_known()
    spent = share(stats.cpu_seconds_total / running)
    return join((spent, Html("of a budget of"), share(stats.budget_ratio)), " ")


def _events(stats: DaemonStats) -> Html:
    if stats.event_source_resting:
        return text("resting: they take more than their part of the budget")
    if not stats.event_source_up:
        return _warning("none arrive: new processes are found by scanning only")
    return text(f"{stats.events_total:,}, {counted(stats.event_overruns_total, 'overrun')}")


def _failures(stats: MachineStats) -> Html:
    tally = stats.limit_failures
    if tally is None:
        return not_known("not counted here")
    lost = f", {tally.lost:,} lost" if tally.lost else ""
    counted_so_far = f"{sum(tally.totals.values()):,}{lost}, watched by {tally.way}"
    if tally.watched_since is None:
        return text(f"{counted_so_far} once a process has half of the limit; none has now")
    if not tally.watched_late:
        return text(counted_so_far)
    return join((text(f"{counted_so_far} since"), moment(tally.watched_since)), " ")


def _configuration(stats: DaemonStats) -> Html:
    if stats.config_reload_success is None:
        return text("as at the start")
    if not stats.config_reload_success:
        return _warning("the last reload was refused; the one before is in force")
    if stats.config_reload_time is None:
        return text("reloaded")
    return join((Html("reloaded"), moment(stats.config_reload_time)), " ")


def _source(why_not: str | None) -> Html:
    return text("works here") if why_not is None else _warning(why_not)


def _state(why_not: str | None) -> Html:
    return text("kept over a restart") if why_not is None else _warning(why_not)


def _guest(name: str, why_not: str | None) -> Html:
    link = Html(f'<a href="/?target={text(name)}">its page</a>')
    return link if why_not is None else join((_warning(why_not), link), " ")


def _warning(sentence: str) -> Html:
    return Html(f'<span class="warning">{text(sentence)}</span>')
