# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whether the daemon may read next to nothing, as after a right was lost."""

from __future__ import annotations

from collections.abc import Iterable

from tests.unit.scan.hosts import Imagined, ImaginedHost
from vmad.config.schema import Config
from vmad.daemon.host import mostly_refused
from vmad.model.process import Unread
from vmad.scan.scanner import Scanner


def told(whys: Iterable[Unread | None]) -> str | None:
    host = ImaginedHost([Imagined(number, why=why) for number, why in enumerate(whys, 1)])
    return mostly_refused(Scanner(host, Config(), "host").scan(full=True))


def test_some_that_are_refused_are_as_usual() -> None:
    assert told([None, None, Unread.PERMISSION]) is None


def test_half_of_them_are_told_with_the_kernels_word() -> None:
    said = told([None, Unread.PERMISSION, Unread.PERMISSION])

    assert said is not None
    assert said.startswith("2 of 3 processes may not be read: ")


def test_other_failures_are_no_missing_right() -> None:
    assert told([Unread.BUSY, Unread.BUSY, None]) is None
