# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Frames of an imagined host that never changes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.unit.goldens.terminal import picture
from tests.unit.sample import NOW
from vmad.model.process import ProcessId
from vmad.scan.explain import Explanation
from vmad.top.inside import Inside
from vmad.top.row import Frame, Row
from vmad.top.text import Line, Look, Part
from vmad.top.view import Top

LIMIT = 65_530
SIZES = ((80, 24), (120, 40), (200, 50))


def row(pid: int, comm: str, map_count: int | None, **more: object) -> Row:
    """A process of the imagined host."""
    return Row(ProcessId(pid, pid * 100), comm, map_count, LIMIT, **more)  # type: ignore[arg-type]


JAVA = row(
    1712, "java", 8_641,
    high_water=9_100, rate=20.5, seconds_to_limit=2_775.0, failures=0, group="opensearch.service",
    why="vm_flags:access 5,999", past=range(7_500, 8_641, 9),
)  # fmt: skip
FULL = row(
    23_935, "burst_job", LIMIT,
    high_water=LIMIT, rate=212.0, seconds_to_limit=0.0, failures=1_204, group="batch.slice",
    why="anonymous, no access 60,012", past=(-1, -1, 900, 8_000, 40_000, LIMIT, LIMIT),
)  # fmt: skip
NEAR = row(
    3_000_001, "käse-日本", 61_000,
    high_water=61_000, rate=3.25, seconds_to_limit=1_393.8, failures=None,
    group="kubepods/pod 0f4e", why="vm_pgoff 31,000",
    past=[60_500 + 10 * second for second in range(50)],
)  # fmt: skip
HUGE = row(77, "unlimited", None)
FEW = tuple(
    row(400 + number, f"worker-{number}", 120 - number, high_water=130, rate=0.0, failures=0,
        group="web.service", why="file 80", past=[120 - number] * 30)
    for number in range(60)
)  # fmt: skip


def frame(*rows: Row) -> Frame:
    """All at one moment."""
    return Frame("db-1", rows or (JAVA, FULL, NEAR, HUGE, *FEW), LIMIT, "6.12.9-amd64",
                 "kernel, open-coded", NOW, 2)  # fmt: skip


class Still:
    """What a view watches where nothing moves."""

    live = False
    pause = 1.0

    def __init__(self, explanation: Explanation) -> None:
        self._explanation = explanation

    def step(self) -> Frame:
        """The same again."""
        return frame()

    def look_into(self, process: ProcessId) -> Inside:
        """The same for every process."""
        return Inside(self._explanation)


def seen(explanation: Explanation, size: tuple[int, int], keys: Sequence[str]) -> str:
    """What a terminal of this size shows after these keys, in a frame."""

    async def run() -> list[str]:
        with _utc():
            return await _run()

    async def _run() -> list[str]:
        app = Top(Still(explanation), frame())
        async with app.run_test(size=size) as pilot:
            await pilot.press(*keys)
            await app.workers.wait_for_complete()
            await pilot.pause()
            return [marked(parts) for parts in app.lines]

    return picture(asyncio.run(run()), size[0])


@contextmanager
def _utc() -> Iterator[None]:
    """Times of day are those of the reader."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


_CODES = {
    Look.DIM: "2",
    Look.BOLD: "1",
    Look.HEADING: "1;4",
    Look.WARNING: "1;33",
    Look.CRITICAL: "1;31",
    Look.CHOSEN: "7",
    Look.CHOSEN_WARNING: "1;33;7",
    Look.CHOSEN_CRITICAL: "1;31;7",
}


def marked(parts: Line) -> str:
    """A line with its looks as escape sequences; the ground of the picture is left out."""
    return "".join(map(_marked, parts))


def _marked(part: Part) -> str:
    code = _CODES.get(part.look)
    return part.text if code is None or not part.text.strip() else f"\x1b[{code}m{part.text}\x1b[0m"
