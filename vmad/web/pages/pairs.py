# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page's section on pairs: which reason blocks how many, and which process has most of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from vmad.export.quantities import counted
from vmad.model.verdict import MERGE_RULES, Verdict
from vmad.rules.catalogue import reason
from vmad.scan.snapshot import HostSnapshot, JudgedProcess
from vmad.web.pages.markup import Column, Html, Table, join, number, plain_bar, section, text
from vmad.web.pages.markup import name as name_of

_VERDICTS = {
    Verdict.BLOCKED: "Blocked",
    Verdict.MERGEABLE: "Mergeable, nothing has tried yet",
    Verdict.UNKNOWN: "Unknown to this evidence",
}
_TABLE = Table(
    "Pairs by verdict and decisive reason",
    (
        Column("Reason"),
        Column("Stock", "number"),
        Column("Patched", "number"),
        Column("Share, stock", "near wide"),
    ),
)


def pairs_section(host: HostSnapshot, query: str = "") -> Html:
    """Stock and patched kernel side by side, a block of rows per verdict, recoverable VMAs below.

    Each reason leads to the process with most of its pairs, whose page has the advice.
    """
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for key, count in host.pairs.items():
        if count:
            counts[key.verdict, key.reason][key.rules] = count
    totals = {
        rules: sum(by_rules.get(rules, 0) for by_rules in counts.values()) for rules in MERGE_RULES
    }
    note = (
        "Adjacent private anonymous VMAs, by what decides whether the kernel merges them: under "
        "the rules of this release (stock) and of the patched kernel."
    )
    if not counts:
        return section("Why", note, Html("<p>No pairs.</p>"))
    most = _most(host)
    rows = join(
        _verdict_rows(verdict, counts, totals["stock"], lambda name: _leads(most.get(name), query))
        for verdict in _VERDICTS
    )
    foot = _foot("All pairs", *(totals[rules] for rules in MERGE_RULES))
    foot += _foot("VMAs recoverable by merging", *map(host.recoverable.get, MERGE_RULES))
    return section("Why", note, _TABLE.around(Html(f"{rows}<tfoot>{foot}</tfoot>")))


def _most(host: HostSnapshot) -> dict[str, tuple[int, JudgedProcess]]:
    """For each stock reason the process with most of its pairs, and how many those are."""
    most: dict[str, tuple[int, JudgedProcess]] = {}
    for process in host.processes:
        for key, count in process.pairs.items():
            if key.rules == "stock" and count > most.get(key.reason, (0, process))[0]:
                most[key.reason] = count, process
    return most


def _leads(nearest: tuple[int, JudgedProcess] | None, query: str) -> Html:
    if nearest is None:
        return Html("")
    pairs, process = nearest
    where = f"/explain/{process.id.pid}{query}#what-to-change"
    who = f"{name_of(process.comm)} {process.id.pid}"
    link = f'<a href="{where}">what to change in {who}</a>'
    return Html(f"<small>{link}, which has {counted(pairs, 'pair')}</small>")


def _verdict_rows(
    verdict: Verdict,
    counts: dict[tuple[str, str], dict[str, int]],
    total: int,
    leads: Callable[[str], Html],
) -> Html:
    own = [
        (name, by) for (verdict_name, name), by in counts.items() if verdict_name == verdict.value
    ]
    if not own:
        return Html("")
    own.sort(key=lambda item: (-max(item[1].values()), item[0]))
    head = f'<tr class="verdict"><th colspan="4" scope="rowgroup">{_VERDICTS[verdict]}</th></tr>'
    rows = (
        _TABLE.row(
            (
                Html(f"{_reason(name)}{leads(name)}"),
                number(by.get("stock", 0)),
                number(by.get("relaxed", 0)),
                plain_bar(by.get("stock", 0) / total if total else 0.0),
            )
        )
        for name, by in own
    )
    return Html(f"<tbody>{head}{join(rows)}</tbody>")


def _reason(name: str) -> Html:
    return Html(f"<code>{text(name)}</code><small>{text(reason(name).sentence)}</small>")


def _foot(title: str, stock: int | None, relaxed: int | None) -> str:
    cells = "".join(f'<td class="number">{number(pairs)}</td>' for pairs in (stock, relaxed))
    return f'<tr><th scope="row">{title}</th>{cells}<td class="wide"></td></tr>'
