# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page at /: who is near the limit, how fast, why, and how vmad itself does.

Rendered on the server, complete without scripts, and nothing is loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import NamedTuple

from vmad.export.quantities import duration, size
from vmad.scan.headline import AtLimit, at_limit, soonest
from vmad.scan.snapshot import GroupStats, HostSnapshot, JudgedProcess
from vmad.scan.statistics import SelfStats
from vmad.timeline.timeline import FAILURES, Timeline
from vmad.timeline.wanted import USUAL
from vmad.web.chart import chart, legend
from vmad.web.document import document
from vmad.web.markup import (
    Column,
    Html,
    Table,
    bar,
    growth,
    join,
    level,
    moment,
    name,
    not_known,
    number,
    of_value,
    process_link,
    section,
    share,
    text,
)
from vmad.web.page_bursts import bursts_section
from vmad.web.page_failures import failures_section
from vmad.web.page_health import health_section
from vmad.web.page_history import group_link, history_link, past_of_host
from vmad.web.page_kinds import kinds_table
from vmad.web.page_pairs import pairs_section
from vmad.web.sparkline import sparkline

#: groups shown at once; the others are in a part that unfolds
GROUPS_SHOWN = 20
#: processes at the limit that the headline names
AT_LIMIT_SHOWN = 3
#: seconds after which a browser renews the page by its script
RENEWED = 5
#: seconds between two looks while there is nothing to show
REFRESH = 2


def render_page(
    snapshot: HostSnapshot | None,
    stats: SelfStats,
    now: float | None = None,
    *,
    target: str | None = None,
    why_not: str | None = None,
    timeline: Timeline | None = None,
) -> bytes:
    """The page as HTML in UTF-8; before the first scan (None) one that says so and looks again.

    ``now`` (Unix seconds) defaults to the clock.
    ``target`` names a machine that is watched beside this one, ``why_not`` says why it is not.
    ``timeline`` is its history.
    """
    now = time() if now is None else now
    query = "" if target is None else f"?target={target}"
    if snapshot is None:
        title = "The first scan is under way" if why_not is None else "It cannot be read"
        waiting = (
            f"<header><h1>{text(target or 'vmad')}</h1></header><main><section><h2>{title}</h2>"
            f"<p>{text(why_not or '')}</p><p>This page looks again every {REFRESH} seconds.</p>"
            "</section>"
        )
        waiting += health_section(None, stats, now)
        return document(target or "vmad", Html(waiting + "</main>"), query, refresh=REFRESH)
    host = snapshot
    past = _Past(timeline or Timeline(), now)
    main = join(
        (
            _at_limit(at_limit(host, stats.machine.limit_failures, now), query),
            _summary(host, query),
            failures_section(stats.machine.limit_failures, query),
            _history_section(past, query),
            _groups_section(host, past, query),
            bursts_section(host, query),
            pairs_section(host, query),
            _kinds_section(host),
            _top_section(host, past, query),
            health_section(host, stats, now),
        )
    )
    body = Html(f'{_header(host, now)}<main data-live="{RENEWED}">{main}</main>')
    return document(f"vmad: {host.hostname}", body, query)


def _header(host: HostSnapshot, now: float) -> Html:
    patched = ", with the anon_vma series" if host.kernel.patched else ""
    seen = {"kernel": "exact, from the kernel by BPF", "procfs": "what /proc shows"}
    evidence = seen.get(host.evidence.value, host.evidence.value)
    if host.walk.startswith("qemu"):
        evidence = "exact, from the guest's memory by QEMU"
    return Html(
        f"<header><h1>{text(host.hostname)}</h1><p>Linux {text(host.kernel.release)}{patched}"
        f" · evidence: {text(evidence)}</p><p>{_ages(host, now)}</p></header>"
    )


def _ages(host: HostSnapshot, now: float) -> Html:
    """How old the numbers are: counts and what was walked."""
    scanned = Html(f"walked {moment(host.taken_at)}, {_ago(now - host.taken_at)}")
    if host.counted_at is None or host.counted_at <= host.taken_at:
        return scanned
    return Html(f"counted {moment(host.counted_at)}, {_ago(now - host.counted_at)} · {scanned}")


def _ago(seconds: float) -> Html:
    return text("just now" if seconds < 1 else f"{duration(round(seconds))} ago")


def _at_limit(those: Sequence[AtLimit], query: str) -> Html:
    """The headline while somebody is at the limit; nothing else is as urgent."""
    if not those:
        return Html("")
    failing = [one for one in those if one.failing]
    named = join(
        (
            Html(
                f'<a href="/explain/{one.process.id.pid}{query}">{name(one.process.comm)}</a> '
                f"({one.process.id.pid}){', failing' if one.failing else ''}"
            )
            for one in those[:AT_LIMIT_SHOWN]
        ),
        "; ",
    )
    more = len(those) - AT_LIMIT_SHOWN
    rest = f" and {more:,} more" if more > 0 else ""
    told = (
        "Its calls are refused while memory is free: mmap, munmap and mprotect with ENOMEM, new "
        "threads with EAGAIN."
        if failing
        else "The next call that needs a VMA is refused. None was seen to fail in the last minute."
    )
    return Html(
        f'<section class="now" role="alert"><h2>At the limit now: {named}{rest}</h2>'
        f"<p>{told} A name leads to what keeps its VMAs apart and what to do.</p></section>"
    )


def _card(title: str, value: Html, note: Html, kind: str = "") -> Html:
    return Html(
        f'<div class="card {kind}"><h2>{title}</h2><p class="value">{value}</p><p>{note}</p></div>'
    )


def _summary(host: HostSnapshot, query: str) -> Html:
    worst = host.processes[0] if host.processes else None
    limit = number(host.max_map_count)
    who = Html("no process could be read")
    if worst is not None:
        link = process_link(worst.comm, worst.id.pid, query)
        who = Html(f"{link}: {number(worst.map_count)} of {limit}")
    first = soonest(host)
    recoverable = host.recoverable
    return join(
        (
            Html('<div class="cards">'),
            _card(
                "Nearest to the limit",
                share(worst.ratio if worst else None),
                who,
                f"first {level(worst.ratio if worst else None)}",
            ),
            _card("Limit per process", limit, Html("sysctl <code>vm.max_map_count</code>")),
            _card(
                "Next at the limit",
                _time_left(first.seconds_to_limit if first else None, "nobody is on the way"),
                process_link(first.comm, first.id.pid, query)
                if first
                else Html("nobody is on the way"),
            ),
            _card(
                "VMAs on this host",
                number(sum(host.kinds)),
                Html(f"in {number(len(host.processes))} processes"),
            ),
            _card(
                "Recoverable VMAs",
                number(recoverable.get("stock")),
                Html(f"{number(recoverable.get('relaxed'))} on the patched kernel"),
            ),
            Html("</div>"),
        )
    )


def _time_left(seconds: float | None, otherwise: str = "does not grow") -> Html:
    if seconds is None:
        return not_known(otherwise)
    if seconds == 0:
        return of_value(0, '<strong class="alarm">at the limit</strong>')
    shown = "more than a year" if seconds > 365 * 86400 else duration(seconds)
    return of_value(seconds, text(shown))


def _near(count: int | None, ratio: float | None, high_water: int | None) -> Html:
    """Count and ratio over a bar that carries the high-water mark."""
    if count is None:
        return not_known("could not be read")
    mark = None
    if ratio is not None and count and high_water is not None and high_water > count:
        mark = ratio * high_water / count
    return Html(
        f'<span class="near"><span>{number(count)}</span> <span>{share(ratio)}</span></span>'
        f"{bar(ratio, mark)}"
    )


_GROUPS = Table(
    "Groups, nearest to the limit first",
    (
        Column("Group"),
        Column("VMAs of the worst process", "near"),
        Column("High-water", "number wide"),
        Column("Growth", "number medium"),
        Column("Time to limit", "number"),
        Column("Processes", "number wide spare"),
        Column("All VMAs", "number wide spare"),
        Column("Kernel memory", "number wide spare"),
        Column("Recoverable", "number wide spare"),
        Column("… patched", "number wide spare"),
        Column("Last 2 hours", "spark wide"),
    ),
    sortable=True,
)


class _Past(NamedTuple):
    """The history, up to now (Unix seconds)."""

    timeline: Timeline
    now: float

    def of_group(self, group: str) -> Html:
        """A small line of the last hours."""
        return sparkline(
            self.timeline.of_group(group, USUAL, self.now),
            self.timeline.of_group(group, USUAL, self.now, FAILURES),
        )

    def of_process(self, process: JudgedProcess) -> Html:
        """The same of a process."""
        return sparkline(self.timeline.of_process(*process.id, USUAL, self.now))


def _history_section(past: _Past, query: str) -> Html:
    of_host = past_of_host(past.timeline, USUAL, past.now)
    if not len(of_host.counts.known):
        return Html("")
    return section(
        "Last 2 hours",
        "VMAs of the process that had most, whichever it was.",
        chart(of_host, "VMAs of the worst process", small=True),
        legend(of_host.episodes()),
        Html(f'<p class="note after"><a href="{history_link(query)}">More of it</a></p>'),
    )


def _groups_section(host: HostSnapshot, past: _Past, query: str) -> Html:
    shown, rest = host.groups[:GROUPS_SHOWN], host.groups[GROUPS_SHOWN:]
    limit = host.max_map_count
    parts = [_group_table(shown, limit, past, query)]
    if rest:
        summary = f"{len(rest):,} more groups, none nearer than {share(rest[0].ratio)}"
        table = _group_table(rest, limit, past, query)
        parts.append(Html(f"<details><summary>{summary}</summary>{table}</details>"))
    return section(
        "Who",
        "The limit counts per process, so a group is as near as its worst process. "
        "The mark on a bar is the high-water: of processes that run since vmad watches, of others "
        "for a time after their end. Growth and time are of the process named there, else of the "
        "worst one.",
        *parts,
    )


def _group_near(group: GroupStats, limit: int | None, query: str) -> Html:
    """As it is now: the group's own ratio is of the last minutes."""
    if group.processes == 0:
        return not_known("none of it runs now")
    count = group.map_count_max
    ratio = count / limit if count is not None and limit else None
    near = _near(count, ratio, group.high_water)
    worst = group.worst
    if worst is None:
        return near
    return Html(f"{near}<small>{process_link(worst.comm, worst.id.pid, query)}</small>")


def _group_growth(group: GroupStats, query: str) -> Html:
    """Of the process whose time to the limit is told beside it."""
    of = group.spoken_of
    if of is None:
        return growth(group.rate)
    if group.worst is None or of.id == group.worst.id:
        return growth(of.rate)
    return Html(f"{growth(of.rate)}<small>{process_link(of.comm, of.id.pid, query)}</small>")


def _group_table(
    groups: Sequence[GroupStats],
    limit: int | None,
    past: _Past,
    query: str,
) -> Html:
    if not groups:
        return Html("<p>No process could be read.</p>")
    return _GROUPS.html(
        (
            group_link(group.name, query),
            _group_near(group, limit, query),
            number(group.high_water),
            _group_growth(group, query),
            _time_left(group.seconds_to_limit),
            number(group.processes),
            number(group.map_count_sum),
            _kernel_memory(group.kernel_bytes),
            number((group.recoverable or {}).get("stock")),
            number((group.recoverable or {}).get("relaxed")),
            past.of_group(group.name),
        )
        for group in groups
    )


def _kernel_memory(kernel_bytes: int | None) -> Html:
    return not_known() if kernel_bytes is None else of_value(kernel_bytes, text(size(kernel_bytes)))


def _kinds_section(host: HostSnapshot) -> Html:
    note = "What the VMAs of all processes are. Deleted files and shared memory point to a leak."
    table = kinds_table("VMAs of the host by kind", host.kinds)
    return section("Composition", note, table if any(host.kinds) else Html("<p>No VMAs.</p>"))


_TOP = Table(
    "Processes, nearest to the limit first",
    (
        Column("Process"),
        Column("VMAs", "near"),
        Column("High-water", "number wide"),
        Column("Growth", "number medium"),
        Column("Time to limit", "number"),
        Column("Group", "wide"),
        Column("Last 2 hours", "spark wide"),
    ),
    sortable=True,
)


def _top_section(host: HostSnapshot, past: _Past, query: str) -> Html:
    rows = (_top_row(process, past, query) for process in host.top)
    note = "A name leads to what its VMAs are, what keeps them apart and what to change."
    body = _TOP.html(rows) if host.top else Html("<p>No process could be read.</p>")
    return section("Processes", note, body)


def _top_row(process: JudgedProcess, past: _Past, query: str) -> tuple[Html, ...]:
    return (
        process_link(process.comm, process.id.pid, query),
        _near(process.map_count, process.ratio, process.high_water),
        number(process.high_water),
        growth(process.rate),
        _time_left(process.seconds_to_limit),
        group_link(process.group, query),
        past.of_process(process),
    )
