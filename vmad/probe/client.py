# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Starting the program that traces, and reading what it says: no ptrace in this process.

python-ptrace is GPL-2.0-only, prometheus-client Apache-2.0: they must not meet in one process.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from vmad.architecture.known import borrowing_here
from vmad.errors import UsageError, VmadError
from vmad.model.process import ProcessId
from vmad.probe import refusals
from vmad.probe.gadget import NoGadget

_KINDS: dict[str, type[VmadError]] = {
    each.__name__: each
    for each in (
        refusals.Refused, refusals.MayNotTrace, refusals.TargetGone, refusals.DidNotStop,
        refusals.LeftChanged, NoGadget, UsageError,
    )
}  # fmt: skip


@dataclass(slots=True)
class ProbeRun:
    """What one run of the program said. ``stops`` are seconds, in order."""

    evidence: str = ""
    stops: list[float] = field(default_factory=list)
    threads: int = 0
    answers: list[dict[str, Any]] = field(default_factory=list)
    cancelled: bool = False


@dataclass(slots=True)
class RebuildRun:
    """What one rebuild said. ``parts`` are Rebuilt of vmad/probe/rebuild.py as dictionaries."""

    stops: list[float] = field(default_factory=list)
    threads: int = 0
    parts: list[dict[str, Any]] = field(default_factory=list)
    cancelled: bool = False


def probe(
    process: ProcessId,
    boundaries: Sequence[int],
    *,
    max_stop: float,
    evidence: str = "auto",
    latent_only: bool = False,
    room_needed: int = 1,
) -> Iterator[ProbeRun]:
    """Ask about boundaries; yields the run so far after each stop, the whole of it at the end.

    Raises what the program raises (see refusals). When the caller stops early, the program
    finishes the stop in hand and ends.
    """
    run = ProbeRun()
    request = {
        **_named(process), "boundaries": list(boundaries), "max_stop": max_stop,
        "evidence": evidence, "latent_only": latent_only, "room_needed": room_needed,
    }  # fmt: skip
    for event in _events(request):
        match event["event"]:
            case "target":
                run.evidence = event["evidence"]
            case "stop":
                run.stops.append(event["seconds"])
                run.threads = max(run.threads, event["threads"])
                run.answers += event["answers"]
                yield run
            case "end":
                run.cancelled = event["cancelled"]
    yield run


def rebuild(
    process: ProcessId, runs: Sequence[tuple[int, int]], *, max_stop: float
) -> Iterator[RebuildRun]:
    """Rebuild runs [start, end), in the same manner. Raises UnknownArchitecture where threads
    are not borrowed.
    """
    run = RebuildRun()
    for event in _events({**_named(process), "runs": list(runs), "max_stop": max_stop}):
        match event["event"]:
            case "stop":
                run.stops.append(event["seconds"])
                run.threads = max(run.threads, event["threads"])
                run.parts += event["rebuilt"]
                yield run
            case "end":
                run.cancelled = event["cancelled"]
    yield run


def _named(process: ProcessId) -> dict[str, int]:
    """Its number alone could be another process's by the time that it is stopped."""
    return {"pid": process.pid, "started": process.start_time}


def _events(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the program says to a request, without its errors, which are raised."""
    borrowing_here()
    if importlib.util.find_spec("ptrace") is None:
        raise VmadError(
            "tracing needs the Python package ptrace, which is not installed",
            "install Debian's python3-ptrace, or python-ptrace by pip",
        )
    program = subprocess.Popen(
        [sys.executable, "-P", "-m", "vmad.probe"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a SIGINT from the terminal is for us alone
    )
    assert program.stdin is not None
    assert program.stdout is not None
    ended = False
    try:
        with suppress(BrokenPipeError):
            program.stdin.write(json.dumps(request).encode() + b"\n")
            program.stdin.close()
        for line in program.stdout:
            event = json.loads(line)
            ended = event["event"] in ("error", "end")
            if event["event"] == "error":
                kind = _KINDS.get(event["kind"], VmadError)
                error = kind(event["what"], event["remedy"])
                error.exit_status = event["status"]
                raise error
            yield event
    finally:
        if not ended:
            with suppress(ProcessLookupError):
                program.send_signal(signal.SIGTERM)
        program.stdout.close()
        program.wait()
    if not ended:
        raise VmadError(f"the probe program ended without an answer (status {program.returncode})")
