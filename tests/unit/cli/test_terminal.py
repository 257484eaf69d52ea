# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A terminal gets colour and a progress line, a pipe gets neither."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmad.cli import terminal
from vmad.cli.terminal import Progress, style_of, wants_colour


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wants_colour(Screen())
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(Screen())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Screen())


@pytest.mark.parametrize(
    ("ratio", "code"), [(0.96, "1;31"), (0.8, "1;33"), (0.1, "1"), (None, "1")]
)
def test_counts_near_the_limit_stand_out(ratio: float | None, code: str) -> None:
    assert style_of(Screen()).alarm("12", ratio) == f"\x1b[{code}m12\x1b[0m"
    assert style_of(io.StringIO()).alarm("12", ratio) == "12"


def test_progress_is_shown_only_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Screen()
    with Progress("reading", quick):
        pass
    assert quick.getvalue() == ""

    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    slow = Screen()
    with Progress("reading", slow) as progress:
        progress.step("reading 1 of 2")
        deadline = time.monotonic() + 10
        while "1 of 2" not in slow.getvalue() and time.monotonic() < deadline:
            os.sched_yield()
    assert "\r\x1b[Kreading 1 of 2 … " in slow.getvalue()
    assert slow.getvalue().endswith("\r\x1b[K"), "the line is gone afterwards"


def test_a_pipe_gets_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    pipe = io.StringIO()
    with Progress("reading", pipe):
        pass

    assert pipe.getvalue() == ""


def test_the_program_colours_on_a_real_terminal_and_not_in_a_pipe(host: Path) -> None:
    command = [sys.executable, "-m", "vmad", "explain", "100", "--from", str(host)]
    environment = {**os.environ, "TERM": "xterm"}
    piped = subprocess.run(command, capture_output=True, env=environment, check=True).stdout
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, env=environment) as child:
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # EIO: the other end is closed (pty(7))
                break
            shown += chunk
    os.close(ours)

    assert child.returncode == 0
    assert b"\x1b[1m" in shown
    assert b"\x1b" not in piped
