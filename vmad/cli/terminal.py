# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a terminal gets and a pipe does not: colour, width, a progress line."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Self, TextIO

from vmad.cli.parser import columns

if TYPE_CHECKING:
    from vmad.export.style import Style

#: seconds after which a person is told what is going on
PATIENCE = 1.0


def wants_colour(stream: TextIO) -> bool:
    """Colour only on a terminal that can, and not where NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style_of(stream: TextIO) -> Style:
    """The style that suits ``stream``; a pipe is as wide as 100 columns."""
    from vmad.export.style import Style  # noqa: PLC0415  JSON has none

    width = columns(100) if stream.isatty() else 100
    return Style(wants_colour(stream), max(width, 60), stream.isatty())


class Progress:
    """One line on stderr while something takes longer than a second; nothing in a pipe.

    A thread of its own writes it, so that a single long read is announced too.
    """

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._text = what
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if self._stream.isatty():
            self._thread = threading.Thread(target=self._show, daemon=True)

    def step(self, text: str) -> None:
        """Say from now on ``text``."""
        self._text = text

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self) -> None:
        if self._ended.wait(PATIENCE):
            return
        started = time.monotonic() - PATIENCE
        while True:
            seconds = time.monotonic() - started
            self._stream.write(f"\r\x1b[K{self._text} … {seconds:.0f} s")
            self._stream.flush()
            if self._ended.wait(0.25):
                break
        self._stream.write("\r\x1b[K")
        self._stream.flush()
