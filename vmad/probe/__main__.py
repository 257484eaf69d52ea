# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m vmad.probe``: the program that traces. One JSON request in, JSON lines out.

Request: {"pid", "started", "boundaries", "max_stop", "evidence", "latent_only", "room_needed"}, or
{"pid", "started", "runs", "max_stop"} for a rebuild; "started" is the start time of the process
that is meant, and may be left out. Events: {"event": "target"}, then {"event": "stop"} per stop,
then {"event": "end"}; or {"event": "error", "kind", "what", "remedy"}. It ends when told by SIGINT
or SIGTERM, or when nobody reads any more, after the stop in hand; a stop is bounded. When it is
killed, the kernel frees the target, and the frames that lie on its stack restore it
(vmad/architecture/x86_64_borrowing.py).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from vmad.errors import VmadError
from vmad.probe.rebuild import RebuildSession
from vmad.probe.session import Answer, Session, Stop
from vmad.probe.sight import Seen


class _Cancelled:
    """Set by a signal or by the reader's end."""

    def __init__(self) -> None:
        self.value = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._set)

    def _set(self, *_: object) -> None:
        self.value = True

    def __call__(self) -> bool:
        return self.value


def main() -> int:
    """Serve one request."""
    cancelled = _Cancelled()
    try:
        request = json.loads(sys.stdin.readline())
    except ValueError as error:
        tell({"event": "error", "kind": "UsageError", "what": f"not a request: {error}"})
        return 2
    session: Session | RebuildSession | None = None
    try:
        if "runs" in request:
            session = RebuildSession(
                request["pid"], started=request.get("started"), max_stop=request["max_stop"]
            )
            tell({"event": "target", "pid": session.target.pid, "evidence": "kernel"})
            for rebuilt in session.rebuild([tuple(run) for run in request["runs"]], cancelled):
                tell({"event": "stop", **asdict(rebuilt)})
            tell({"event": "end", "cancelled": cancelled()})
            return 0
        session = Session(
            request["pid"],
            started=request.get("started"),
            max_stop=request["max_stop"],
            evidence=request.get("evidence", "auto"),
            latent_only=request.get("latent_only", False),
            room_needed=request.get("room_needed", 1),
        )
        tell(
            {
                "event": "target",
                "pid": session.target.pid,
                "comm": session.target.comm,
                "evidence": session.sight.evidence.value,
            }
        )
        for stop in session.ask(request["boundaries"], cancelled):
            tell(stop_event(stop))
        tell({"event": "end", "cancelled": cancelled()})
    except VmadError as error:
        with suppress(BrokenPipeError):
            tell(
                {
                    "event": "error",
                    "kind": type(error).__name__,
                    "what": error.what,
                    "remedy": error.remedy,
                    "status": error.exit_status,
                }
            )
        return error.exit_status
    except BrokenPipeError:
        return 1
    finally:
        if session is not None:
            session.close()
    return 0


def tell(event: dict[str, Any]) -> None:
    """One line."""
    data = json.dumps(event).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


def stop_event(stop: Stop) -> dict[str, Any]:
    """A stop as JSON."""
    return {
        "event": "stop",
        "seconds": stop.seconds,
        "threads": stop.threads,
        "map_count": stop.map_count,
        "answers": [answer_object(answer) for answer in stop.answers],
    }


def answer_object(answer: Answer) -> dict[str, Any]:
    """An answer as JSON; addresses are hex strings."""
    return {
        "boundary": hex(answer.boundary),
        "outcome": answer.outcome,
        "why": answer.why,
        "toggle": answer.toggle,
        "side": answer.side,
        "verdict": answer.verdict,
        "reasons": list(answer.reasons),
        "earlier": answer.earlier,
        "before": [seen_object(each) for each in answer.before],
        "after": [seen_object(each) for each in answer.after],
    }


def seen_object(seen: Seen) -> dict[str, Any]:
    """A VMA as JSON; kernel addresses stay here."""
    return {
        "start": hex(seen.start),
        "end": hex(seen.end),
        "flags": hex(seen.flags),
        "faulted": None if seen.anon_vma is None else seen.anon_vma != 0,
    }


if __name__ == "__main__":
    # at once: whatever has not stopped is freed by our end
    os._exit(main())
