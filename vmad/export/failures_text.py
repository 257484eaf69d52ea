# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Failures at the limit for a person: the last ones, newest first."""

from __future__ import annotations

from datetime import datetime

from vmad.export.printable import printable
from vmad.export.quantities import count, counted
from vmad.export.style import Style
from vmad.export.text_table import aligned
from vmad.model.failures import FailureTally

#: failures that are listed
SHOWN = 10
WIDEST_NAME = 32


def _unseen(tally: FailureTally) -> list[str]:
    """What may have failed without being counted: a line, none where every call is watched from
    the start.
    """
    if tally.watched_since is None:
        return [
            "Calls are watched while a process has half of the limit or more, as none has now "
            "(scan.failures)."
        ]
    if not tally.watched_late:
        return []
    when = f"{datetime.fromtimestamp(tally.watched_since):%m-%d %H:%M:%S}"
    return [f"Calls are watched since {when}, when a process came to half of the limit."]


def failures_text(tally: FailureTally, style: Style) -> list[str]:
    """Lines; one that says so where nothing failed. Times are local."""
    total = sum(tally.totals.values())
    since = f"{datetime.fromtimestamp(tally.since):%Y-%m-%d %H:%M}"
    if not total:
        none = f"No call was seen to fail at the limit since {since}, when the daemon started."
        return [" ".join([none, *_unseen(tally)])]
    groups = len({group for (group, *_), number in tally.totals.items() if number})
    many = counted(total, "call")
    lines = [
        style.bold(
            f"{many} of {counted(groups, 'group')} failed at the limit since {since}, when the "
            "daemon started; the last:"
        )
    ]
    rows = [("TIME", "PID", "COMMAND", "GROUP", "CALL", "ERROR", "TIMES", "VMAS")]
    rows += [
        (
            f"{datetime.fromtimestamp(failure.last):%m-%d %H:%M:%S}",
            str(failure.process.pid),
            printable(failure.comm)[:WIDEST_NAME],
            printable(failure.group)[:WIDEST_NAME],
            failure.call,
            failure.error,
            count(failure.count),
            count(failure.map_count),
        )
        for failure in tally.last[:SHOWN]
    ]
    lines += aligned(rows, "lrllllrr")
    lines += map(style.dim, _unseen(tally))
    if tally.lost:
        lines.append(style.dim(f"{counted(tally.lost, 'failure')} more found no room."))
    return lines
