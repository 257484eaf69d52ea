# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tells the log when evidence is lost and when it is back, and when the rhythm is stretched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from vmad.daemon.messages import EVIDENCE_BACK, EVIDENCE_LOST, RHYTHM_BACK, STRETCHED, tell
from vmad.export.quantities import duration

#: seconds between two lines about the same thing: what comes and goes is told at this pace
PAUSE: Final = 60.0
#: an interval longer than the configured one by this factor is stretched, …
STRETCHED_FROM: Final = 2.0
#: … until it is below this one; and either for so many scans on end
UNSTRETCHED_TO: Final = 1.25
SCANS: Final = 3

#: reasons that are somebody's wish, or the beginning
WANTED = ("switched off", "process events: stopped", "process events: not started")


class EvidenceLog:
    """What was told. Safe for concurrent use; ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, tuple[str | None, float]] = {}
        self._stretched = False
        self._beyond = 0  #: scans on end that say otherwise than what was told

    def begin(self, evidences: Mapping[str, str | None]) -> None:
        """What is missing at the start has been told otherwise."""
        with self._lock:
            for name, why in evidences.items():
                self._told[name] = why, -PAUSE

    def are(self, evidences: Mapping[str, str | None]) -> None:
        """Why each kind of evidence does not arrive now; None: it does."""
        for name, why in evidences.items():
            if why is None or not why.startswith(WANTED):
                self.is_(name, why)

    def is_(self, name: str, why: str | None) -> None:
        """One of them, or a round of work by its name."""
        with self._lock:
            before, when = self._told.get(name, (None, -PAUSE))
            now = self._clock()
            if (before is None) == (why is None) or now - when < PAUSE:
                return
            self._told[name] = why, now
        if why is None:
            tell(EVIDENCE_BACK, f"evidence is back: {name}", evidence=name)
        else:
            tell(EVIDENCE_LOST, f"evidence is lost: {name}: {why}", evidence=name, why=why)

    def rhythm(self, interval: float, configured: float) -> None:
        """The next scan is due in ``interval`` seconds; ``configured`` is what is usual."""
        with self._lock:
            limit = configured * (UNSTRETCHED_TO if self._stretched else STRETCHED_FROM)
            differs = (interval >= limit) != self._stretched
            self._beyond = self._beyond + 1 if differs else 0
            if self._beyond < SCANS:
                return
            self._stretched, self._beyond = not self._stretched, 0
            stretched = self._stretched
        fields = {"interval": f"{interval:.1f}"}
        if stretched:
            tell(
                STRETCHED,
                f"scans take more than scan.budget: one in {duration(interval)} instead of "
                f"{duration(configured)}; counts are taken all the same",
                **fields,
            )
        else:
            tell(RHYTHM_BACK, f"the interval is {duration(configured)} again", **fields)
