# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The tables of who is nearest to the limit: groups, then processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vmad.export.quantities import size
from vmad.scan.snapshot import GroupStats, HostSnapshot, JudgedProcess
from vmad.timeline.selection import USUAL
from vmad.timeline.timeline import FAILURES, Timeline
from vmad.web.pages.history import group_link
from vmad.web.pages.markup import (
    Column,
    Html,
    Table,
    bar,
    growth,
    not_known,
    number,
    of_value,
    process_link,
    section,
    share,
    text,
    time_left,
)
from vmad.web.pages.sparkline import sparkline

#: groups shown at once; the others are in a part that unfolds
GROUPS_SHOWN = 20


class Past(NamedTuple):
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


def groups_section(host: HostSnapshot, past: Past, query: str) -> Html:
    """The groups, the nearest first."""
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
    past: Past,
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
            time_left(group.seconds_to_limit),
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


def processes_section(host: HostSnapshot, past: Past, query: str) -> Html:
    """The processes, the nearest first."""
    rows = (_top_row(process, past, query) for process in host.top)
    note = "A name leads to what its VMAs are, what keeps them apart and what to change."
    body = _TOP.html(rows) if host.top else Html("<p>No process could be read.</p>")
    return section("Processes", note, body)


def _top_row(process: JudgedProcess, past: Past, query: str) -> tuple[Html, ...]:
    return (
        process_link(process.comm, process.id.pid, query),
        _near(process.map_count, process.ratio, process.high_water),
        number(process.high_water),
        growth(process.rate),
        time_left(process.seconds_to_limit),
        group_link(process.group, query),
        past.of_process(process),
    )
