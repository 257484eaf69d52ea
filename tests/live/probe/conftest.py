# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A compiled target that notices everything that is done to it (busy.c)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Busy:
    """The running target: ``pairs`` latent pairs from ``start`` on, a page each."""

    def __init__(self, binary: Path, pairs: int) -> None:
        self.process = subprocess.Popen(
            [binary, str(pairs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        pid, start, pages = self.process.stdout.readline().split()
        self.pid, self.start, self.pages = int(pid), int(start, 16), int(pages)
        self.checksum = self.look().checksum

    def look(self) -> Report:
        """What it says of itself now."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split(" ", 12)
        assert len(words) == 13, f"the target is gone: status {self.process.wait()}"
        return Report(words)

    def until_handled(self, sent: int) -> Report:
        """Wait until as many signals were handled."""
        while (report := self.look()).handled < sent:
            pass
        return report

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


class Report:
    """One answer of the target."""

    def __init__(self, words: list[str]) -> None:
        self.rounds = [int(word) for word in words[:8]]
        self.complaints, self.sent, self.handled = map(int, words[8:11])
        self.checksum, self.first_complaint = words[11], words[12].strip()


@pytest.fixture(scope="session")
def busy_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("busy") / "busy"
    source = Path(__file__).with_name("busy.c")
    subprocess.run(["cc", "-O2", "-pthread", "-o", binary, source], check=True)
    return binary


@pytest.fixture
def busy(busy_binary: Path) -> Iterator[Callable[[int], Busy]]:
    running: list[Busy] = []

    def start(pairs: int) -> Busy:
        running.append(Busy(busy_binary, pairs))
        return running[-1]

    yield start
    for each in running:
        each.stop()
