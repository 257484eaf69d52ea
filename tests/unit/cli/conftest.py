# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A capture of an imagined host, read by the commands under test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.capture.recorded import capture
from tests.unit.explain.tables import DIFFERENT, LATENT, Area, alternating, table_of
from vmad.model.kinds import Kind

HOSTILE_COMM = "\x1b[31mred\n\u202e"
HOSTILE_PATH = "/x\n\x1b]0;gotcha\x07\udcff"


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pid 100 has guard pages and different anon_vmas, 200 deleted files, 300 hostile names."""
    path = tmp_path_factory.mktemp("captures") / "host"
    guarded = [*alternating(60), *[Area(facts=DIFFERENT)] * 30, *[Area(facts=LATENT)] * 5]
    deleted = [
        Area("r--s", kind=Kind.FILE_DELETED, gap=4096, path=f"/data/{number}.dvd (deleted)")
        for number in range(50)
    ]
    capture(
        path,
        [
            table_of(guarded, pid=100, mm=1),
            table_of(deleted, pid=200, comm="java", mm=2),
            table_of([Area(path=HOSTILE_PATH, kind=Kind.FILE)] * 3, 300, HOSTILE_COMM, mm=3),
        ],
        gone=[999],
    )
    return path
