# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""at_limit.c, compiled here, and its answers held against the table in vmad.rules.at_limit."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.live.thread_guards import GUARD_REGIONS
from vmad.rules.at_limit import Fails, calls_at_limit

SOURCE = Path(__file__).with_name("at_limit.c")
#: no call fails sooner than five below the limit, and no process gets more than one above it
OFFSETS = range(-8, 2)


def compiled(into: Path) -> Path:
    """The program, static: it starts sooner in a guest."""
    program = into / "at_limit"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-static", "-pthread"]
    subprocess.run(["cc", *flags, "-o", str(program), str(SOURCE)], check=True)
    return program


def rows_of(version: tuple[int, ...]) -> dict[str, Fails | None]:
    """The rows of a release by their names in the program, which has one for any libc's threads."""
    rows = calls_at_limit(version)
    guard_region = rows.pop("thread_guard_region", None)
    if guard_region is not None and GUARD_REGIONS:
        rows["thread"] = guard_region
    return rows


def asked(rows: Iterable[str], offsets: Iterable[int]) -> list[str]:
    """The program's arguments."""
    return [f"{row}:{offset}" for row in rows for offset in offsets]


def answers(stdout: str) -> dict[tuple[str, int], str]:
    """(row, offset) -> error or "ok"."""
    lines = (line.split() for line in stdout.splitlines())
    return {(row, int(offset)): error for row, offset, error in lines}


def expected(rows: dict[str, Fails | None], offsets: Iterable[int]) -> dict[tuple[str, int], str]:
    """What the table says, in the same form."""
    return {
        (row, offset): "ok" if fails is None or offset < fails.offset else fails.error
        for row, fails in rows.items()
        for offset in offsets
    }
