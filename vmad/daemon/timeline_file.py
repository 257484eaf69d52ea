# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The history that the page shows, kept over a restart of vmad, of groups also over a reboot.

A file in the service's state directory ($STATE_DIRECTORY, systemd.exec(5)) beside the others.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from vmad.daemon.kept_file import KeptFile
from vmad.daemon.state import boot_id
from vmad.timeline.packed import pack, unpack
from vmad.timeline.timeline import Timeline

log = logging.getLogger("vmad")

NAME = "timeline"
_FIRST_LINE = b"vmad.timeline/1\n"
#: bytes: a full one is less
_LARGEST = 1 << 24
#: seconds between two writes while the daemon runs: so much is missing after a crash
EVERY = 300.0


def timeline_file(proc: str = "/proc") -> TimelineFile | None:
    """The file in $STATE_DIRECTORY; None where nobody gave us a directory."""
    directory = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return TimelineFile(Path(directory) / NAME, boot_id(proc)) if directory else None


class TimelineFile:
    """One file. One that cannot be read or written costs what was remembered, no more."""

    def __init__(self, path: Path, boot: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = KeptFile(path, _LARGEST)
        self._boot = boot
        self._clock = clock
        self._written = clock()

    def read(self) -> Timeline | None:
        """What was written last; None without, or when it makes no sense."""
        content = self._file.read()
        if content is None:
            return None
        if not content.startswith(_FIRST_LINE):
            log.info("state %s is of another version: starting afresh", self._file.path)
            return None
        try:
            return unpack(content.removeprefix(_FIRST_LINE), self._boot)
        except ValueError as error:
            self._file.set_aside(error)
            return None

    def write(self, timeline: Timeline, at_once: bool = False) -> None:
        """Replace it in one step, if the last time is long ago or ``at_once``."""
        if not at_once and self._clock() - self._written < EVERY:
            return
        self._written = self._clock()
        self._file.write(_FIRST_LINE + pack(timeline, self._boot))

    @property
    def name(self) -> str:
        """Of the file."""
        return self._file.path.name

    @property
    def why_not(self) -> str | None:
        """Why it could not be written last; None when it could."""
        return self._file.why_not
