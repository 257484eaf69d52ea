# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a running daemon says of itself (vmad.daemon/1), for a person; the verdict first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vmad.export.printable import printable
from vmad.export.quantities import counted, duration
from vmad.export.style import Style


def daemon_text(daemon: Mapping[str, Any], address: str, now: float, style: Style) -> Iterator[str]:
    """Lines without their newlines. Raises KeyError, TypeError where it is not such an object."""
    yield style.bold(printable(_verdict(daemon, address)))
    yield ""
    events = daemon["events"]
    lines = [
        ("version", f"{daemon['version']}, running for {duration(now - daemon['started_at'])}"),
        ("evidence", f"{daemon['evidence'] or 'none yet'}, by the walk {daemon['walk']}"),
        ("last scan", _ago(daemon["last_scan_at"], now)),
        ("interval", _interval(daemon)),
        ("CPU", _cpu(daemon, now)),
        *((f"source {name}", why or "works") for name, why in daemon["sources"].items()),
        *((f"guest {name}", why or "works") for name, why in daemon["targets"].items()),
        (
            "events",
            f"{events['state']}: {events['total']:,} so far, lost {events['overruns']:,} times"
            + (f"; {events['why']}" if events["why"] else ""),
        ),
        ("not read", _not_read(daemon["reads_failed"])),
    ]
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        yield from style.wrapped(printable(text), " " * (width + 4), f"  {name:<{width}}  ")


def _verdict(daemon: Mapping[str, Any], address: str) -> str:
    who = f"The daemon at {address}"
    if daemon["last_scan_at"] is None:
        return f"{who} runs, and has not completed a scan yet."
    lost = [name for name, why in daemon["sources"].items() if why is not None]
    if lost:
        return f"{who} runs without {', '.join(lost)}: {daemon['sources'][lost[0]]}"
    if daemon["events"]["state"] == "resting":
        return f"{who} does all it can within its budget; it leaves process events out for a time."
    return f"{who} runs with all it can have."


def _ago(at: float | None, now: float) -> str:
    return "none yet" if at is None else f"{duration(max(now - at, 0.0))} ago"


def _interval(daemon: Mapping[str, Any]) -> str:
    configured, effective = daemon["interval_seconds"], daemon["effective_interval_seconds"]
    text = duration(effective)
    return text if effective <= configured else f"{text}, stretched from {duration(configured)}"


def _cpu(daemon: Mapping[str, Any], now: float) -> str:
    running = now - daemon["started_at"]
    budget = f"budget {daemon['budget_ratio']:.2%}"
    if running <= 0:
        return budget
    return f"{daemon['cpu_seconds'] / running:.2%} of a core since it started; {budget}"


def _not_read(failed: Mapping[str, int]) -> str:
    some = ", ".join(f"{reason} {number:,}" for reason, number in failed.items() if number)
    return f"{some} ({counted(sum(failed.values()), 'time')} over all scans)" if some else "never"
