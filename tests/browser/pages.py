# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Pages as the daemon shows them, of address spaces that are made up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.unit.explain.tables import ACCESS, BASE, DIFFERENT, KIB, LATENT, Area, table_of
from tests.unit.picture.test_picture import LIBRARY, MOVED
from tests.unit.sample import NOW, crowded_snapshot, self_stats
from tests.unit.timeline.made_up import lively
from tests.unit.web.serving import SampleContent
from vmad.errors import ProcessGone
from vmad.export.picture.picture import picture_of
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import Kind
from vmad.model.process import Evidence, ProcessId
from vmad.model.table import VMA_ROW, VmaTable
from vmad.scan.explain import explain
from vmad.scan.growth import Watched
from vmad.timeline.selection import Selection
from vmad.timeline.timeline import Timeline
from vmad.web.pages.front import render_page
from vmad.web.pages.history import render_history
from vmad.web.pages.process import render_process
from vmad.web.pages.process_view import ProcessView
from vmad.web.viewer import Viewer

KERNEL = KernelInfo("6.12.9", "x86_64", page_shift=12)
GIB = 1 << 30
_STEPS = [
    Area("rw-p", 128 * KIB, DIFFERENT),
    Area("rw-p", 64 * KIB, MOVED),
    Area("---p", 4 * KIB, ACCESS),
    Area("rw-p", 8 * KIB, ACCESS),
]


def small_table(comm: str = "redis-server") -> VmaTable:
    """Some 4,000 VMAs in three regions: a program, what it maps, its stack."""
    pieces = [Area("rw-p", (4 + n % 9 * 24) * KIB, DIFFERENT) for n in range(1500)]
    guards = [Area("---p" if n % 2 else "rw-p", 8 * KIB, ACCESS) for n in range(2400)]
    return table_of(
        [
            Area("r-xp", 900 * KIB, kind=Kind.FILE, path="/usr/bin/redis-server"),
            Area("rw-p", 132 * KIB, kind=Kind.HEAP, gap=12 * KIB),
            Area("rw-p", 64 * KIB, gap=40 << 40),
            *pieces,
            *guards,
            *[Area("rw-p", 4 * KIB, LATENT)] * 20,
            *[Area("r--p", 40 * KIB, kind=Kind.FILE, path=LIBRARY, gap=4 * KIB)] * 30,
            Area("rw-p", 132 * KIB, kind=Kind.STACK, gap=200 * GIB),
        ],
        comm=comm,
    )


def large_table(vmas: int) -> VmaTable:
    """Guard pages, pieces written apart, and a mixture with gaps, a third each."""
    random = np.random.default_rng(1)
    steps = table_of(_STEPS).rows
    third = vmas // 3
    pick = np.concatenate(
        (np.arange(third) % 2 + 2, np.zeros(third, int), random.integers(0, 4, vmas - 2 * third))
    )
    rows = np.zeros(vmas, VMA_ROW)
    for column in ("flags", "facts", "kind", "perms", "pair"):
        rows[column] = steps[column][pick]
    sizes = (steps["end"] - steps["start"])[pick]
    sizes[pick == 0] = random.integers(1, 64, int((pick == 0).sum())) * 4 * KIB
    gaps = np.where(random.random(vmas) < 0.01, random.integers(1, 1000, vmas) * 4 * KIB, 0)
    rows["pair"][gaps > 0] = 0
    rows["end"] = BASE + np.cumsum(sizes + gaps.astype(np.uint64))
    rows["start"] = rows["end"] - sizes
    return VmaTable(ProcessId(4711, 1), "churn", Evidence.KERNEL, vmas, rows, mm=1)


class PageContent(SampleContent):
    """The sample host, and one process that all pids are."""

    def __init__(self, table: VmaTable | None = None) -> None:
        super().__init__(crowded_snapshot(40))
        self.table = small_table() if table is None else table
        self.gone = False
        self.timeline = lively(self.snapshot, NOW + 4) if self.snapshot else Timeline()
        #: added to every count of a page
        self.grown = 0
        self.every = 5.0  #: seconds after which it is renewed
        self.asked = 0  #: how often the page was

    def page(self) -> bytes:
        self.asked += 1
        assert self.snapshot is not None
        groups = tuple(
            replace(group, map_count_sum=(group.map_count_sum or 0) + self.grown)
            for group in self.snapshot.groups
        )
        host = replace(self.snapshot, groups=groups)
        page = render_page(host, self_stats(), NOW + 4, timeline=self.timeline)
        return page.replace(b'data-live="5"', b'data-live="%g"' % self.every)

    def history_page(self, wanted: Selection) -> bytes:
        return render_history(self.timeline, wanted, self.snapshot, NOW + 4)

    def process_page(self, pid: int, viewer: Viewer) -> bytes:
        explanation = explain(self.table, KERNEL, 65530)
        seen = Watched(len(self.table.rows), 0.5, "redis.service", 9_000.0)
        return render_process(
            ProcessView(explanation, "db7", NOW, watched=seen, names=True, addresses=viewer.trusted)
        )

    def process_map(self, pid: int, viewer: Viewer) -> bytes:
        if self.gone:
            raise ProcessGone(f"process {pid} is gone")
        explanation = explain(self.table, KERNEL, 65530)
        return picture_of(explanation, addresses=viewer.trusted).encoded()
