# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A file in the service's state directory: what is wrong with it costs what it held, no more.

No link is followed, nothing is opened that could keep a start waiting, a damaged file is set
aside, and a new one takes its place in one step.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path

log = logging.getLogger("vmad")


class KeptFile:
    """``path`` and at most ``largest`` bytes of it."""

    def __init__(self, path: Path, largest: int) -> None:
        self.path = path
        self._largest = largest
        #: why it could not be written last; None when it could
        self.why_not: str | None = None

    def read(self) -> bytes | None:
        """All of it; None where there is none, or none that can be read, which is logged."""
        try:
            with open(self.path, "rb", opener=opened_unfollowed) as file:
                return file.read(self._largest)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("state %s cannot be read: %s", self.path, error.strerror)
            return None

    def set_aside(self, error: Exception) -> None:
        """Rename a damaged file to NAME.damaged, for whoever wants to know what did it."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        try:
            self.path.replace(aside)
        except OSError as refused:
            kept = f"it cannot be set aside: {refused.strerror}"
        else:
            kept = f"kept as {aside.name}"
        why = " ".join(str(error).split()) or type(error).__name__
        log.warning("state %s is damaged, starting afresh (%s): %s", self.path, kept, why)

    def write(self, content: bytes) -> None:
        """Replace it in one step. Not synced: after a crash of the machine it may be the old one.

        A failure is logged once, until it works again.
        """
        partial = self.path.with_name(f"{self.path.name}.new")
        try:
            # what lies there is of a daemon that was killed, or a link that somebody laid
            partial.unlink(missing_ok=True)
            with open(partial, "xb") as file:
                file.write(content)
            partial.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):  # it takes space that the next try may need
                partial.unlink(missing_ok=True)
            why_not = f"{self.path} cannot be written: {error.strerror}"
            if self.why_not is None:
                log.warning("state %s", why_not)
            self.why_not = why_not
        else:
            if self.why_not is not None:
                log.info("state %s is written again", self.path)
            self.why_not = None


def opened_unfollowed(path: str, flags: int) -> int:
    """A file and no link. Raises OSError."""
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a file")
    return fd
