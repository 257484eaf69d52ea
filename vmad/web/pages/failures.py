# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page's section on calls that failed at the limit: the last ones, newest first."""

from __future__ import annotations

from vmad.model.failures import FailureTally, LimitFailure
from vmad.web.pages.history import group_link
from vmad.web.pages.markup import (
    Column,
    Html,
    Table,
    moment,
    number,
    process_link,
    section,
    text,
)

#: failures shown at once, and with those before them
SHOWN, MOST_SHOWN = 5, 20

_FAILURES = Table(
    "Failures at the limit, the last one first",
    (
        Column("Process"),
        Column("Call"),
        Column("Error"),
        Column("Times", "number"),
        Column("Last", "number when"),
        Column("VMAs then", "number wide"),
        Column("Group", "wide"),
    ),
    sortable=True,
)


def failures_section(tally: FailureTally | None, query: str = "") -> Html:
    """Nothing where none failed or nobody counts."""
    if tally is None or not tally.last:
        return Html("")
    earlier = tally.last[SHOWN:MOST_SHOWN]
    rows = _FAILURES.html(_row(failure, query) for failure in earlier)
    return section(
        "Failed at the limit",
        "System calls that the kernel refused because of vm.max_map_count, while memory was free. "
        "A process may be gone by now; one that is not may have leaked what it could not give "
        "back.",
        _FAILURES.html(_row(failure, query) for failure in tally.last[:SHOWN]),
        Html(f"<details><summary>{len(earlier)} earlier</summary>{rows}</details>")
        if earlier
        else Html(""),
    )


def _row(failure: LimitFailure, query: str) -> tuple[Html, ...]:
    return (
        process_link(failure.comm, failure.process.pid, query),
        text(failure.call),
        text(failure.error),
        number(failure.count),
        moment(failure.last),
        number(failure.map_count),
        group_link(failure.group, query),
    )
