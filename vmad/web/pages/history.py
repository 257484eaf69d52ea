# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page at /history: the counts of a group, a process or the host over time."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np

from vmad.export.printable import printable
from vmad.export.quantities import duration, size
from vmad.scan.snapshot import HostSnapshot, JudgedProcess
from vmad.timeline.rings import RESOLUTIONS, Series
from vmad.timeline.selection import USUAL, Selection
from vmad.timeline.timeline import COUNT, FAILURES, LIMIT, PAUSE, STARTS, Timeline
from vmad.web.pages.chart import chart, happened, legend
from vmad.web.pages.document import document
from vmad.web.pages.markup import (
    Column,
    Html,
    Table,
    join,
    name,
    number,
    process_link,
    section,
    text,
)
from vmad.web.pages.past import Past
from vmad.web.pages.sparkline import sparkline

#: seconds after which a browser renews the page by its script
RENEWED = 15
#: what happened in a span is told of so many times
EPISODES_SHOWN = 40


def history_link(query: str, span: int = USUAL, **of: str | int | None) -> str:
    """The address of the page; ``query`` names the machine, ``of`` is group or pid."""
    words = [query.removeprefix("?")] if query else []
    words += [
        f"{key}={quote(str(value), safe='', errors='replace')}"
        for key, value in of.items()
        if value is not None
    ]
    if span != USUAL:
        words.append(f"span={span}")
    return "/history" + (f"?{'&amp;'.join(words)}" if words else "")


def group_link(group: str, query: str = "", span: int = USUAL) -> Html:
    """A group by its name, leading to its history."""
    return Html(f'<a href="{history_link(query, span, group=group)}">{name(group)}</a>')


def past_of_host(timeline: Timeline, span: int, now: float) -> Past:
    """Its worst process."""
    counts = timeline.of_host(COUNT, span, now)
    return _past(timeline, counts, timeline.of_host(FAILURES, span, now), span, now)


def past_of_group(timeline: Timeline, group: str, span: int, now: float) -> Past:
    """The worst process of the group."""
    counts = timeline.of_group(group, span, now)
    return _past(timeline, counts, timeline.of_group(group, span, now, FAILURES), span, now)


def past_of_process(timeline: Timeline, pid: int, start: int, span: int, now: float) -> Past:
    """A process; failures are counted by group alone."""
    return _past(timeline, timeline.of_process(pid, start, span, now), None, span, now)


def _past(
    timeline: Timeline, counts: Series | None, failures: Series | None, span: int, now: float
) -> Past:
    host = timeline.of_host
    return Past(
        timeline.slots(span, now) if counts is None else counts,
        failures,
        host(LIMIT, span, now),
        host(STARTS, span, now),
        host(PAUSE, span, now),
        host(COUNT, span, now),
    )


def render_history(
    timeline: Timeline, selection: Selection, host: HostSnapshot | None, now: float, query: str = ""
) -> bytes:
    """The page as HTML in UTF-8. ``host`` is the last scan."""
    of: dict[str, str | int | None] = {"group": selection.group, "pid": selection.pid}
    title, whose, past = _subject(timeline, selection, host, now)
    hostname = "vmad" if host is None else host.hostname
    spans = join(
        (
            Html(
                f'<a href="{history_link(query, resolution.span, **of)}"'
                f"{' aria-current=page' if resolution.span == selection.span else ''}>"
                f"{text(_span(resolution.span))}</a>"
            )
            for resolution in RESOLUTIONS
        ),
        " ",
    )
    episodes = past.episodes()
    told = happened(episodes[:EPISODES_SHOWN])
    parts = [
        section(
            "Counts",
            f"{whose}, the highest of each {_span(past.counts.step)}. A gap: nobody saw it.",
            Html(f'<p class="spans">{spans}</p>'),
            chart(past, title),
            legend(episodes),
        )
    ]
    if told:
        more = len(episodes) - EPISODES_SHOWN
        note = f"The latest first; {more:,} earlier ones are left out." if more > 0 else ""
        parts.append(section("What happened", note or "The latest first.", told))
    if selection.pid is None:
        parts.append(_processes(timeline, selection, host, now, query))
    if selection.group is None and selection.pid is None:
        parts.append(_groups(timeline, selection, now, query))
    json = history_link(query, selection.span, **of).replace("/history", "/api/v1/history", 1)
    parts.append(
        Html(
            f'<p class="note after">Times are UTC. <a href="{json}">These numbers as JSON</a>. '
            f"All that is remembered takes {size(timeline.nbytes)} of memory.</p>"
        )
    )
    body = (
        f'<header><p class="back"><a href="/{query}">{text(hostname)}</a></p>'
        f"<h1>{name(title)}</h1></header>"
        f'<main data-live="{RENEWED}">{join(parts)}</main>'
    )
    return document(f"{printable(title)}: history", Html(body), query)


def _span(seconds: int) -> str:
    """(7200) -> "2 h"; (1) -> "second"."""
    return "second" if seconds == 1 else duration(seconds).replace(" 0 min", "").replace(" 0 s", "")


def _subject(
    timeline: Timeline, selection: Selection, host: HostSnapshot | None, now: float
) -> tuple[str, str, Past]:
    span = selection.span
    if selection.pid is not None:
        process = _process_of(host, selection.pid)
        known = [key for key, _ in timeline.followed(span, now) if key.pid == selection.pid]
        start = process.id.start_time if process else known[-1].start_time if known else 0
        comm = process.comm if process else known[-1].comm if known else "process"
        past = past_of_process(timeline, selection.pid, start, span, now)
        return f"{comm} {selection.pid}", "VMAs of this process", past
    if selection.group is not None:
        past = past_of_group(timeline, selection.group, span, now)
        return selection.group, "VMAs of the process of this group that had most", past
    whose = "VMAs of the process of this host that had most"
    return "History", whose, past_of_host(timeline, span, now)


def _process_of(host: HostSnapshot | None, pid: int) -> JudgedProcess | None:
    processes = () if host is None else host.processes
    return next((process for process in processes if process.id.pid == pid), None)


_PROCESSES = Table(
    "Processes that were followed",
    (
        Column("Process"),
        Column("Most VMAs", "number"),
        Column("Last", "number"),
        Column("Counts", "spark"),
        Column("Group", "wide"),
    ),
    sortable=True,
)


def _processes(
    timeline: Timeline, selection: Selection, host: HostSnapshot | None, now: float, query: str
) -> Html:
    running = {process.id for process in (() if host is None else host.processes)}
    followed = [
        (process, series)
        for process, series in timeline.followed(selection.span, now)
        if selection.group in (None, process.group) and len(series.known)
    ]
    if not followed:
        return Html("")
    followed.sort(key=lambda item: -int(np.max(item[1].known)))
    rows = (
        (
            process_link(process.comm, process.pid, query)
            if (process.pid, process.start_time) in running
            else Html(f'{name(process.comm)} <span class="pid">{process.pid}, ended</span>'),
            number(int(np.max(series.known))),
            number(int(series.known[-1])),
            Html(
                f'<a href="{history_link(query, selection.span, pid=process.pid)}">'
                f"{sparkline(series)}</a>"
            ),
            group_link(process.group, query, selection.span),
        )
        for process, series in followed
    )
    note = "Those that were among the processes with most VMAs, also when they have ended."
    return section("Processes", note, _PROCESSES.html(rows))


_GROUPS = Table(
    "Groups that are remembered",
    (
        Column("Group"),
        Column("Most VMAs", "number"),
        Column("Failures", "number"),
        Column("Counts", "spark"),
    ),
    sortable=True,
)


def _groups(timeline: Timeline, selection: Selection, now: float, query: str) -> Html:
    groups = []
    for group in timeline.group_names():
        counts = timeline.of_group(group, selection.span, now)
        failures = timeline.of_group(group, selection.span, now, FAILURES)
        if counts is None or failures is None:
            continue
        failed = int(failures.known.sum())
        if len(counts.known) or failed:
            groups.append((int(np.max(counts.known, initial=0)), failed, group, counts, failures))
    groups.sort(key=lambda item: (-item[0], item[2]))
    rows = (
        (
            group_link(group, query, selection.span),
            number(most),
            number(failed),
            sparkline(counts, failures),
        )
        for most, failed, group, counts, failures in groups
    )
    note = "The process of each that had most VMAs. A red dot: calls failed at the limit."
    return section("Groups", note, _GROUPS.html(rows)) if groups else Html("")
