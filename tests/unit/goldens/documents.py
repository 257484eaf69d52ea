# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What vmad shows to people and to Prometheus, whole, of an imagined host that never changes.

Each document is made by the code that makes it for real; ``make goldens`` writes what it is now to
``expected/``, where a change of it is read as a change of text.
"""

from __future__ import annotations

import platform
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.unit.capture.recorded import capture
from tests.unit.explain.tables import ACCESS, DIFFERENT, LATENT, MOVED, Area, alternating, table_of
from tests.unit.goldens.terminal import picture
from tests.unit.sample import NOW, failure_tally, sample_snapshot, self_stats
from tests.unit.timeline.made_up import lively
from tests.unit.top.frames import SIZES, seen
from vmad import __version__
from vmad.export.explain_text import Context, explain_text
from vmad.export.metrics.exposition import Exposition
from vmad.export.pairs_text import pairs_text
from vmad.export.scan_text import scan_text
from vmad.export.style import Style
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import Kind
from vmad.model.table import VmaTable
from vmad.scan.explain import Explanation, explain
from vmad.scan.growth import Growth, Watched
from vmad.scan.once import HostScan, scan_once
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import SelfStats
from vmad.sources.capture import CaptureSource
from vmad.web.pages.front import render_page

#: widths of terminals: the narrowest that is written for, the usual one, and a wide one
WIDTHS = (60, 80, 160)
KERNEL = KernelInfo("6.1.0-56-amd64", page_shift=12)
LIMIT = 65_530


def heap() -> VmaTable:
    """A heap of guard pages, pieces written apart and moved ones, with deleted files beside it."""
    deleted = [
        Area("r--s", kind=Kind.FILE_DELETED, gap=4096, path=f"/data/segment-{number}.dvd (deleted)")
        for number in range(400)
    ]
    moved = [Area(facts=DIFFERENT)] * 1_500 + [Area(facts=MOVED)] * 700 + [Area(facts=LATENT)] * 40
    return table_of([*alternating(6_000), *moved, *deleted], pid=1712, comm="java", mm=1)


def small() -> VmaTable:
    """A process that is far from everything."""
    areas = [Area(), Area(facts=ACCESS), Area(gap=4096), Area(facts=DIFFERENT)]
    return table_of(areas, pid=400, comm="sshd", mm=2)


def explained() -> Explanation:
    """The heap, judged."""
    return explain(heap(), KERNEL, LIMIT)


def scanned() -> HostScan:
    """Both, read as a capture is; how long it took says nothing."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "host"
        capture(path, [heap(), small()], gone=[999])
        source = CaptureSource(str(path))
        try:
            return replace(scan_once(source), took_seconds=0.0437)
        finally:
            source.close()


def snapshot() -> HostSnapshot:
    """The imagined host, with a patched kernel that counts attempts to merge."""
    attempts = {("merged", "anon_vma"): 7, ("refused", "page_ksm"): 1}
    return replace(sample_snapshot(), merge_attempts=attempts)


def stats() -> SelfStats:
    """vmad there: two guests, and failures at the limit."""
    return self_stats(
        targets={"web-1": None, "web-2": "no such socket"}, limit_failures=failure_tally()
    )


def metrics() -> str:
    """All of /metrics; what this Python and this process add is not vmad's."""
    text = Exposition(stats(), snapshot()).render().decode()
    lines = [line for line in text.splitlines() if not _FOREIGN.match(line)]
    of_here = f'python="{platform.python_version()}",version="{__version__}"'
    return "\n".join(lines).replace(of_here, 'python="PYTHON",version="VERSION"') + "\n"


_FOREIGN = re.compile(r"(# (HELP|TYPE) )?(python|process)_")


def page() -> str:
    """The page's HTML, a line for every element that begins one."""
    host = snapshot()
    past = lively(host, NOW + 4)
    html = render_page(host, stats(), NOW + 4, timeline=past).decode()
    html = re.sub(r"<style>.*?</style>", "<style>…</style>", html, flags=re.DOTALL)
    html = html.replace(__version__, "VERSION")
    return re.sub(r"(?<!\n)(?=<(?:/?(?:section|table|thead|tbody|tfoot|header|footer|main|ul|ol)|"
                  r"h[1-6]|tr|td|th|p|li|div|nav|a |meta|link|dl|dt|dd|details|summary)\b)",
                  "\n", html).lstrip() + "\n"  # fmt: skip


def scan(columns: int) -> str:
    """``vmad scan``."""
    return picture(scan_text(scanned(), Style(True, columns, True), 10), columns)


def explanation(columns: int) -> str:
    """``vmad explain PID``, of a process that grows."""
    context = Context(
        growth=Growth(2.0, 8_600, 8_641),
        watched=Watched(9_100, 3.5, "opensearch.service", 16_230.0),
    )
    return picture(explain_text(explained(), Style(True, columns, True), context), columns)


def pairs(columns: int) -> str:
    """What ``vmad explain --pairs`` adds."""
    return picture(pairs_text(explained(), Style(True, columns, True), 12), columns)


def top(size: tuple[int, int], *keys: str) -> str:
    """``vmad top``, after these keys."""
    return seen(explained(), size, keys)


def _after(size: tuple[int, int], keys: Sequence[str]) -> Callable[[], str]:
    return lambda: top(size, *keys)


#: screens of ``vmad top`` -> the keys that lead there
SCREENS: dict[str, tuple[str, ...]] = {
    "list": (),
    "inside": ("down", "down", "enter"),
    "filter": ("slash", *"worker-1"),
    "help": ("question_mark",),
}


def _at(columns: int, of: Callable[[int], str]) -> Callable[[], str]:
    return lambda: of(columns)


#: file below expected/ -> what makes it
DOCUMENTS: dict[str, Callable[[], str]] = {
    "metrics.prom": metrics,
    "page.html": page,
    **{
        f"{of.__name__}-{columns}.txt": _at(columns, of)
        for of in (scan, explanation, pairs)
        for columns in WIDTHS
    },
    **{
        f"top-{name}-{columns}x{lines}.txt": _after((columns, lines), keys)
        for name, keys in SCREENS.items()
        for columns, lines in (SIZES if name in ("list", "inside") else SIZES[:1])
    },
}
