# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a person asks for beside a source is bounded in time too: names, pages, walks that wait."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.capture.recorded import KERNEL
from tests.unit.explain.tables import alternating, table_of
from vmad.cli import pages
from vmad.errors import CannotRead
from vmad.model.process import ProcessId
from vmad.scan.explain import explain
from vmad.sources import names
from vmad.sources.bounded import BoundedReads
from vmad.sources.names import named_or_not, with_names
from vmad.sources.procfs import process_files
from vmad.sources.procfs.pagemap import page_counts
from vmad.sources.procfs.source import ProcfsSource
from vmad.sources.procfs.stat import read_stat

TABLE = table_of(alternating(10), pid=os.getpid())


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A /proc with one process whose mmap_lock is held: reading its files does not come back."""
    reads = BoundedReads(2, 0.05)
    monkeypatch.setattr(names, "BY_HAND", reads)
    monkeypatch.setattr(pages, "BY_HAND", reads)
    mine = tmp_path / str(os.getpid())
    mine.mkdir()
    (mine / "stat").write_bytes(Path("/proc/self/stat").read_bytes())
    fifos = [mine / "maps", mine / "pagemap"]
    for fifo in fifos:
        os.mkfifo(fifo)
    yield tmp_path
    for fifo in fifos:  # let the readers go
        os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))


def test_names_are_given_up(proc: Path) -> None:
    with pytest.raises(CannotRead, match=r"maps: no answer for 0\.05 s; its mmap_lock may be held"):
        with_names(TABLE, str(proc))
    assert named_or_not(TABLE, str(proc)) is TABLE


def test_pages_are_given_up(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_held(*words: object, **named: object) -> object:
        return page_counts(*words, **{**named, "proc": str(proc)})  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "page_counts", of_held)
    explanation = explain(TABLE, KERNEL, 65530)
    for look in (pages.sampled_pages, lambda found: pages.pair_pages(found, 5)):
        with pytest.raises(CannotRead, match=r"pagemap: no answer for 0\.05 s"):
            look(explanation)


def test_a_process_is_called_by_its_pid() -> None:
    assert f"{ProcessId(12, 34)}" == "process 12"


def test_what_comes_too_slowly_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a process whose threads keep its mmap_lock busy, without ever being stuck."""
    mine = ProcessId(os.getpid(), read_stat(os.getpid()).start_time)
    monkeypatch.setattr(process_files, "ENOUGH", -1.0)
    monkeypatch.setattr(names, "ENOUGH", -1.0)
    with closing(ProcfsSource()) as source:
        table = source.table(mine)

    assert len(table.rows) > 10
    assert (table.has_flags, table.consistent) == (False, False)
    assert with_names(table).paths == {}


def test_what_comes_in_time_is_read_whole() -> None:
    mine = ProcessId(os.getpid(), read_stat(os.getpid()).start_time)
    with closing(ProcfsSource()) as source:
        table = source.table(mine)

    assert table.has_flags
    assert with_names(table).paths
