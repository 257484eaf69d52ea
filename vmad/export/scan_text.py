# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A scan for a person: what matters first, who is nearest to the limit, what the host loses."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from vmad.export.legend import legend, reason_lines
from vmad.export.printable import printable
from vmad.export.quantities import UNKNOWN, count, counted, duration, percent
from vmad.export.style import Style
from vmad.export.text_table import aligned
from vmad.model.kinds import KIND_TEXT, Kind
from vmad.model.process import Unread, Unreadable
from vmad.model.verdict import Verdict
from vmad.scan.once import HostScan
from vmad.scan.snapshot import JudgedProcess

#: a table needs no more columns than a terminal has
WIDEST_COMM = 16
#: distinct causes of not being read that are shown with an example
DETAILS_SHOWN = 3


class _Column(NamedTuple):
    """Of the table of processes: on a terminal from this width on."""

    title: str
    side: str
    width: int = 0

    def shown(self, style: Style) -> bool:
        return not style.terminal or style.columns >= self.width


_COLUMNS = (
    _Column("PID", "r"), _Column("COMMAND", "l"), _Column("VMAS", "r"), _Column("LIMIT", "r"),
    _Column("MOSTLY", "l", 110), _Column("MAIN OBSTACLE", "l"),
    _Column("STOCK", "r", 80), _Column("PATCHED", "r", 80),
)  # fmt: skip


def scan_text(scan: HostScan, style: Style, top: int | None) -> list[str]:
    """Lines; ``top`` bounds the table of processes, None shows all."""
    lines = [*_refused(scan, style), *_headline(scan, style), ""]
    shown = scan.processes if top is None else scan.processes[:top]
    if shown:
        lines += [*_processes(shown, style)]
        if len(shown) < len(scan.processes):
            left = len(scan.processes) - len(shown)
            lines.append(style.dim(f"{counted(left, 'more process', 'more processes')}: --all"))
        lines += ["", *_host(scan, style), ""]
    return style.fitted(lines + _evidence(scan, style))


def _refused(scan: HostScan, style: Style) -> list[str]:
    """That most processes were closed to this user: what follows is then not about the host."""
    refused = [process for process in scan.unreadable if process.why is Unread.PERMISSION]
    if len(refused) <= len(scan.processes):
        return []
    of = len(scan.processes) + len(scan.unreadable)
    why = printable(refused[0].detail) or "permission denied"
    text = f"{len(refused):,} of {counted(of, 'process', 'processes')} may not be read: {why}."
    rest = ["The rest:"] if scan.processes else []
    return [style.bold(line) for line in style.wrapped(text, "")] + rest


def _headline(scan: HostScan, style: Style) -> list[str]:
    if not scan.processes:
        return [] if _refused(scan, style) else ["No process could be read."]
    many = counted(len(scan.processes), "process", "processes")
    text = f"{many} with {counted(scan.vmas, 'VMA')}"
    worst = scan.processes[0]
    if worst.map_count is None:
        return [text]
    limit = "" if scan.max_map_count is None else f" of {count(scan.max_map_count)}"
    near = f"{count(worst.map_count)}{limit} ({percent(worst.ratio)})"
    name = f"{printable(worst.comm)} (pid {worst.id.pid})"
    return [f"{text}; nearest to the limit: {name} with {style.alarm(near, worst.ratio)}"]


def _processes(processes: tuple[JudgedProcess, ...], style: Style) -> list[str]:
    shown = [number for number, column in enumerate(_COLUMNS) if column.shown(style)]
    header = tuple(column.title for column in _COLUMNS)
    rows = [header, *(_row(process) for process in processes)]
    sides = "".join(_COLUMNS[number].side for number in shown)
    lines = aligned([[row[number] for number in shown] for row in rows], sides)
    place = lines[0].find("STOCK")
    above = [style.dim(" " * (place - 2) + "WOULD VANISH ON")] if place > 0 else []
    return [*above, style.bold(lines[0]), *lines[1:]]


def _row(process: JudgedProcess) -> tuple[str, ...]:
    total = sum(process.kinds)
    kind = max(Kind, key=lambda kind: process.kinds[kind])
    mostly = f"{KIND_TEXT[kind]} {percent(process.kinds[kind] / total)}" if total else UNKNOWN
    return (
        str(process.id.pid),
        printable(process.comm)[:WIDEST_COMM],
        count(process.map_count),
        percent(process.ratio),
        mostly,
        _obstacle(process),
        count(process.recoverable["stock"]),
        count(process.recoverable["relaxed"]),
    )


def _obstacle(process: JudgedProcess) -> str:
    """The stock reason that keeps most pairs apart; pairs that would merge are no obstacle."""
    reasons = Counter[str]()
    for key, number in process.pairs.items():
        if key.rules == "stock" and key.verdict != Verdict.MERGEABLE.value:
            reasons[key.reason] += number
    if not reasons:
        return UNKNOWN
    reason, number = reasons.most_common(1)[0]
    return f"{reason} {count(number)}"


def _host(scan: HostScan, style: Style) -> list[str]:
    by_reason: dict[tuple[str, str], dict[str, int]] = {}
    for key, number in scan.pairs.items():
        by_reason.setdefault((key.verdict, key.reason), {})[key.rules] = number
    if not by_reason:
        return ["No process has two private anonymous VMAs side by side."]
    order = [verdict.value for verdict in Verdict]
    rows = [("PAIRS OF THE HOST", "REASON", "STOCK", "PATCHED")]
    rows += [
        (verdict, reason, count(numbers.get("stock")), count(numbers.get("relaxed")))
        for (verdict, reason), numbers in sorted(
            by_reason.items(), key=lambda item: (order.index(item[0][0]), -max(item[1].values()))
        )
    ]
    lines = aligned(rows, "llrr")
    lines[0] = style.bold(lines[0])
    names = {reason for _, reason in by_reason}
    lines += legend("What the reasons mean:", reason_lines(names, style), style)
    for rules, name in (("stock", "stock"), ("relaxed", "patched")):
        text = f"{counted(scan.recoverable[rules] or 0, 'VMA')} would vanish on the {name} kernel"
        if scan.undecided[rules]:
            open_ones = counted(scan.undecided[rules], "process", "processes")
            text += f", without {open_ones} that this evidence leaves undecided"
        lines.append(text)
    if scan.recoverable["rebuild"]:
        vmas = counted(scan.recoverable["rebuild"], "VMA")
        lines.append(f"{vmas} would vanish by rebuilds on this kernel (vmad heal PID --rebuild)")
    return lines


def _evidence(scan: HostScan, style: Style) -> list[str]:
    judged = (
        ""
        if scan.judged_as == scan.kernel
        else f", judged by the rules of {scan.judged_as.release}"
    )
    lines = [
        f"Evidence {scan.evidence.text} (walk: {scan.walk}).",
        f"Kernel {printable(scan.kernel.release)}{judged}; "
        f"read and judged in {duration(scan.took_seconds)}.",
    ]
    unknown = sum(
        number
        for key, number in scan.pairs.items()
        if key.rules == "stock" and key.verdict == Verdict.UNKNOWN.value
    )
    if unknown:
        lines.append(f"It leaves {counted(unknown, 'pair')} undecided.")
    return lines + _unreadable(scan.unreadable, style)


def _unreadable(unreadable: tuple[Unreadable, ...], style: Style) -> list[str]:
    """How many by reason, and for each cause one process as an example."""
    if not unreadable:
        return []
    reasons = Counter(process.why.value for process in unreadable)
    text = ", ".join(f"{why} {number:,}" for why, number in reasons.most_common())
    many = counted(len(unreadable), "process", "processes")
    lines = [f"Could not be read: {many} ({text})."]
    details = Counter(process.detail for process in unreadable)
    for detail, number in details.most_common(DETAILS_SHOWN):
        example = next(process for process in unreadable if process.detail == detail)
        name = f"{printable(example.comm)} " if example.comm else ""
        others = f" and {number - 1:,} more" if number > 1 else ""
        who = f"{name}(pid {example.id.pid}){others}"
        lines.append(style.dim(f"  {who}: {printable(detail)}" if detail else f"  {who}"))
    return lines
