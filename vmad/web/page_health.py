# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page's section on vmad itself: is what stands above complete, fresh and cheap?"""

from __future__ import annotations

from collections import Counter

from vmad.export.quantities import counted, duration
from vmad.scan.snapshot import HostSnapshot, SelfStats
from vmad.web.markup import Html, facts, join, moment, not_known, section, share, text


def health_section(host: HostSnapshot | None, stats: SelfStats, now: float) -> Html:
    """``now``: Unix seconds. Without a snapshot, what can be said before the first scan."""
    lines: list[tuple[str, Html]] = []
    if host is not None:
        lines += [
            ("Age of this page's numbers", text(duration(max(now - host.taken_at, 0.0)))),
            ("Last scan took", text(duration(host.took_seconds))),
            ("Processes read", text(_read(host))),
        ]
    lines += [
        ("Interval between scans", _interval(stats)),
        ("CPU spent, of one core", _cpu(stats, now)),
        ("Scans so far", text(f"{stats.scans_total:,}, of which {stats.full_scans_total:,} full")),
        ("Samples of the counts", text(f"{stats.samples_total:,}")),
        ("VMAs walked", text(f"{stats.vmas_walked_total:,}")),
        ("VMAs unchanged, not walked", text(f"{stats.vmas_skipped_total:,}")),
        ("Way of walking", text(stats.walk)),
        ("Process events", _events(stats)),
        ("Failures at the limit", _failures(stats)),
        ("Groups folded into other", text(f"{stats.groups_folded:,}")),
        ("Configuration", _configuration(stats)),
        ("Running since", moment(stats.started_at)),
    ]
    lines += [(f"Source {name}", _source(why_not)) for name, why_not in stats.sources.items()]
    lines += [(f"State {name}", _state(why_not)) for name, why_not in stats.states.items()]
    lines += [(f"Guest {name}", _guest(name, why_not)) for name, why_not in stats.targets.items()]
    note = "Whether the numbers above can be relied on." if host else "What it has done so far."
    return section("vmad itself", note, facts(lines))


def _read(host: HostSnapshot) -> str:
    unread = Counter(one.why.value for one in host.unreadable)
    parts = [f"{sum(one.walked_at is not None for one in host.processes):,}"]
    parts += (f"{number:,} not read: {reason}" for reason, number in sorted(unread.items()))
    return "; ".join(parts)


def _interval(stats: SelfStats) -> Html:
    configured, effective = stats.interval_seconds, stats.effective_interval_seconds
    if effective <= configured:
        return text(duration(configured))
    return _warning(f"{duration(effective)}, stretched from {duration(configured)} for the budget")


def _cpu(stats: SelfStats, now: float) -> Html:
    running = now - stats.started_at
    if running <= 0:
        return not_known()
    spent = share(stats.cpu_seconds_total / running)
    return join((spent, Html("of a budget of"), share(stats.budget_ratio)), " ")


def _events(stats: SelfStats) -> Html:
    if stats.event_source_resting:
        return text("resting: they take more than their part of the budget")
    if not stats.event_source_up:
        return _warning("none arrive: new processes are found by scanning only")
    return text(f"{stats.events_total:,}, {counted(stats.event_overruns_total, 'overrun')}")


def _failures(stats: SelfStats) -> Html:
    tally = stats.limit_failures
    if tally is None:
        return not_known("not counted here")
    lost = f", {tally.lost:,} lost" if tally.lost else ""
    return text(f"{sum(tally.totals.values()):,}{lost}, watched by {tally.way}")


def _configuration(stats: SelfStats) -> Html:
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
