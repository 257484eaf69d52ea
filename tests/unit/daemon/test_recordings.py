# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The last recording of vmad blame --page, and what the daemon's page shows of it to whom."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.blame.samples import BLAMED
from vmad.blame.last import LOCK, NAME, offer, one_at_a_time, place
from vmad.daemon.recordings import Recordings
from vmad.errors import VmadError
from vmad.export.blame_flame import flame_html
from vmad.export.blame_json import blame_json


def record(directory: Path) -> None:
    with one_at_a_time(directory) as lay:
        lay(blame_json(BLAMED))


def test_last_recording_is_shown_whole_or_without_names(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    assert recordings.page(whole=True) is None
    record(tmp_path)

    assert recordings.page(whole=True) == "".join(flame_html(BLAMED)).encode()
    for_anybody = recordings.page(whole=False)
    assert for_anybody is not None
    for name in (b"commit_region", b"libcollector", b"heap.c", b"/opt/app", b"gc\\u003c"):
        assert name not in for_anybody
    assert b"12,000" in for_anybody


def test_newer_recording_takes_the_place_of_the_last(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    record(tmp_path)
    first = recordings.page(whole=False)
    # kept while it is the same file: hashes of the same names would differ
    assert recordings.page(whole=False) is first
    record(tmp_path)
    assert recordings.page(whole=False) is not first
    assert sorted(os.listdir(tmp_path)) == sorted((NAME, LOCK))
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_two_recordings_are_not_made_at_a_time(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path), pytest.raises(VmadError, match="another recording"):
        record(tmp_path)
    record(tmp_path)


def test_without_a_daemon_there_is_nobody_to_show_it(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(VmadError, match="no daemon of this host shows recordings"):
        record(absent)
    assert offer(absent)
    record(absent)


def test_links_that_the_daemons_user_laid_are_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "shadow"
    theirs.write_text("secret")
    place_of_it = tmp_path / "run"
    place_of_it.mkdir()
    for name in (NAME, f"{NAME}.new"):
        (place_of_it / name).symlink_to(theirs)
    assert Recordings(place_of_it).page(whole=True) is None
    record(place_of_it)
    assert theirs.read_text() == "secret"
    assert not (place_of_it / NAME).is_symlink()

    (place_of_it / LOCK).unlink()
    (place_of_it / LOCK).symlink_to(theirs)
    with pytest.raises(VmadError, match=LOCK):
        record(place_of_it)


@pytest.mark.parametrize("damaged", [b"", b"{", b"\xff", b'{"schema": "vmad.blame/9"}'])
def test_what_makes_no_sense_is_no_recording(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / NAME).write_bytes(damaged)
    assert Recordings(tmp_path).page(whole=True) is None


def test_place_is_the_services_runtime_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert place() == Path("/run/vmad")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/other:/run/second")
    assert place() == Path("/run/other")
