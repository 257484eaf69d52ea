# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a source saw comes back from a capture unchanged, names apart."""

from __future__ import annotations

import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.capture.recorded import KERNEL, KEY, TablesSource, capture, reopened
from tests.unit.explain.tables import Area, alternating, table_of
from vmad.errors import ProcessGone
from vmad.model.kinds import Kind
from vmad.model.process import ProcessId, Unread
from vmad.scan.once import scan_once
from vmad.sources.capture import CaptureSource
from vmad.sources.redaction import Redaction

HOSTILE = "/tmp/a\nb\x1b[31m\udcff (deleted)"
LIBC = "/usr/lib/libc.so.6"
FILE = Area("r--p", kind=Kind.FILE, path=LIBC)
TABLES = [
    table_of([*alternating(20), FILE, FILE], pid=10, mm=5),
    table_of([Area(path=HOSTILE), Area(path="[heap]", kind=Kind.HEAP)], pid=11, comm="\udcff\x1b"),
]


def test_rows_names_and_counts_come_back(tmp_path: Path) -> None:
    source = reopened(tmp_path / "capture", TABLES)

    for table in TABLES:
        again = source.table(table.id)
        assert np.array_equal(again.rows, table.rows)
        assert (again.paths, again.comm) == (table.paths, table.comm)
        assert (again.map_count, again.consistent) == (table.map_count, table.consistent)
    assert source.kernel == KERNEL
    assert source.max_map_count == 65530


def test_a_capture_is_judged_as_the_host_was(tmp_path: Path) -> None:
    host = scan_once(TablesSource(TABLES))
    again = scan_once(reopened(tmp_path / "capture", TABLES))

    before, after = (
        [replace(process, walked_at=None) for process in scan.processes] for scan in (host, again)
    )
    assert after == before
    assert (again.pairs, again.recoverable) == (host.pairs, host.recoverable)


def test_the_census_of_a_capture_is_the_recorded_one(tmp_path: Path) -> None:
    recorded = TablesSource(TABLES).census()
    census = reopened(tmp_path / "capture", TABLES).census()

    for column in ("pid", "start_time", "map_count", "lock_seq", "total_vm", "comm"):
        assert census[column].tolist() == recorded[column].tolist()


def test_address_spaces_that_were_shared_stay_shared(tmp_path: Path) -> None:
    shared = [table_of(alternating(4), pid=pid, mm=0xFFFF_8880) for pid in (1, 2)]
    source = reopened(tmp_path / "capture", [*shared, table_of(alternating(4), pid=3, mm=77)])

    first, second, third = source.census()["mm"].tolist()
    assert first == second != third
    assert 0 < first < 10, "numbers of the capture's own, not the source's"


def test_names_are_redacted_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    capture(path, TABLES, names=False)

    everything = b"".join(zipfile.ZipFile(path).read(name) for name in _members(path))
    assert b"libc" not in everything
    assert b"redis" not in everything
    source = CaptureSource(str(path))
    assert set(source.table(TABLES[0].id).paths.values()) == {Redaction(KEY).path(LIBC)}
    assert source.table(TABLES[1].id).paths[1] == "[heap]"
    assert source.meta["hostname"] is None


def _members(path: Path) -> list[str]:
    return zipfile.ZipFile(path).namelist()


@pytest.mark.parametrize("name", ["[heap]", "[stack]", "[vdso]", "[stack:12]", "/dev/zero"])
def test_names_that_the_kernel_gives_are_kept(name: str) -> None:
    assert Redaction().path(name) == name


def test_redaction_keeps_what_sort_of_thing_a_name_is() -> None:
    redaction = Redaction()

    assert redaction.path("/home/a/secret.db (deleted)").startswith("file:")
    assert redaction.path("/home/a/secret.db (deleted)").endswith(" (deleted)")
    assert redaction.path("/memfd:key (deleted)").startswith("/memfd:")
    assert redaction.path("[anon:secret\n]").startswith("[anon:")
    assert "secret" not in redaction.path("[anon:secret\n]")
    assert redaction.path("/a") == redaction.path("/a") != redaction.path("/b")
    assert redaction.path("/a") != Redaction().path("/a"), "the key is drawn anew"


def test_equal_content_gives_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1.0)
    for name in ("one", "two"):
        capture(tmp_path / name, TABLES, names=False)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_only_the_owner_may_read_a_capture(tmp_path: Path) -> None:
    capture(tmp_path / "capture", TABLES)

    assert stat.S_IMODE((tmp_path / "capture").stat().st_mode) == 0o600


def test_a_process_that_exited_meanwhile_is_recorded_as_gone(tmp_path: Path) -> None:
    recorded = capture(tmp_path / "capture", TABLES, gone=[99])
    source = CaptureSource(str(tmp_path / "capture"))

    assert recorded.processes == 2
    assert [(missed.id.pid, missed.why) for missed in source.unreadable] == [(99, Unread.GONE)]
    with pytest.raises(ProcessGone, match="99 is not in"):
        source.table(ProcessId(99, 1))


def test_page_offsets_are_read_with_the_page_size_of_the_recorded_machine(tmp_path: Path) -> None:
    size = 64 * 1024
    table = table_of([Area(size=size), Area(size=size, facts=0), Area(size=size, facts=0)])
    rows = table.rows.copy()
    rows["pgoff"] = rows["start"] >> np.uint64(16)
    large_pages = replace(KERNEL, page_shift=16)
    capture(tmp_path / "capture", [replace(table, rows=rows)], kernel=large_pages)

    (process,) = scan_once(CaptureSource(str(tmp_path / "capture"))).processes
    assert process.recoverable == {"stock": 2, "relaxed": 2, "rebuild": 0}
