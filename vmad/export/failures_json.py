# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Failures at the limit as JSON: schema vmad.failures/1, and a part of vmad.scan/1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmad.export.printable import utf8
from vmad.model.failures import FailureTally, LimitFailure
from vmad.model.process import ProcessId

SCHEMA = "vmad.failures/1"


def failures_object(tally: FailureTally) -> dict[str, Any]:
    """Times are Unix seconds; ``last`` has the newest first. Zeros are left out of ``totals``."""
    return {
        "watched_by": tally.way,
        "since": round(tally.since, 3),
        "watched_since": None if tally.watched_since is None else round(tally.watched_since, 3),
        "lost": tally.lost,
        "totals": [
            {"group": utf8(group), "call": call, "error": error, "count": count}
            for (group, call, error), count in sorted(tally.totals.items())
            if count
        ],
        "last": [failure_object(failure) for failure in tally.last],
    }


def failures_document(tally: FailureTally) -> dict[str, Any]:
    """The whole answer."""
    return {"schema": SCHEMA, **failures_object(tally)}


def failure_object(failure: LimitFailure) -> dict[str, Any]:
    """One process, call and error."""
    return {
        "time": round(failure.last, 3),
        "pid": failure.process.pid,
        "start_time": failure.process.start_time,
        "comm": utf8(failure.comm),
        "group": utf8(failure.group),
        "call": failure.call,
        "error": failure.error,
        "count": failure.count,
        "map_count": failure.map_count,
        "max_map_count": failure.max_map_count,
    }


def tally_of(document: Mapping[str, Any]) -> FailureTally:
    """What failures_object() made into text. Raises KeyError, TypeError."""
    return FailureTally(
        str(document["watched_by"]),
        float(document["since"]),
        None if document["watched_since"] is None else float(document["watched_since"]),
        {(total["group"], total["call"], total["error"]): total["count"]
         for total in document["totals"]},
        tuple(
            LimitFailure(
                ProcessId(failure["pid"], failure["start_time"]), failure["comm"], failure["group"],
                failure["call"], failure["error"], failure["count"], failure["time"],
                failure["map_count"], failure["max_map_count"],
            )
            for failure in document["last"]
        ),
        int(document["lost"]),
    )  # fmt: skip
