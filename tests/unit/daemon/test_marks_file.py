# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The file of marks: read back on every boot, never in the way of a start."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from vmad.daemon.marks_file import MarksFile, marks_file
from vmad.scan.marks import Mark

MARKS = {
    "nginx.service": (Mark(65_531, 1_790_000_000.125), Mark(2_000, 1_790_000_100.0)),
    "comm/ü\\x1b\udcff": (Mark(1_024, 1_790_000_000.0),),
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    MarksFile(tmp_path / "marks").write(MARKS)

    assert MarksFile(tmp_path / "marks").read() == MARKS


def test_nothing_is_written_yet(tmp_path: Path) -> None:
    assert MarksFile(tmp_path / "marks").read() == {}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_short_starts_afresh(tmp_path: Path, share: float) -> None:
    path = tmp_path / "marks"
    MarksFile(path).write(MARKS)
    text = path.read_bytes()
    path.write_bytes(text[: int(len(text) * share)])

    assert MarksFile(path).read() == {}


@pytest.mark.parametrize(
    "groups",
    [
        [],
        None,
        {"db": 5},
        {"db": [5]},
        {"db": [[5]]},
        {"db": [[5, 6, 7]]},
        {"db": [["5", 6]]},
        {"db": [[5, "6"]]},
        {"db": [[0, 6]]},
        {"db": [[5, None]]},
        {"db": [[5, float("nan")]]},
        {"db": [[5.5, 6]]},
        {"db": [[10**400, 6]]},
        {"db": [[5, 10**400]]},
    ],
)
def test_what_makes_no_sense_starts_afresh_and_says_so(
    tmp_path: Path, groups: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "marks"
    path.write_text(json.dumps({"schema": "vmad.marks/1", "groups": groups}))
    with caplog.at_level(logging.WARNING):
        assert MarksFile(path).read() == {}

    assert f"state {path} is damaged, starting afresh (kept as marks.damaged)" in caplog.text


@pytest.mark.parametrize("text", [b"[]", b"5", b"\xff\xfe", b"[" * 100_000, b'{"groups": {}}'])
def test_any_other_file_starts_afresh(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "marks"
    path.write_bytes(text)

    assert MarksFile(path).read() == {}


def test_a_later_version_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "marks"
    path.write_text('{"schema": "vmad.marks/2", "groups": {"db": [[5000, 1.0]]}}')

    assert MarksFile(path).read() == {}


def test_a_directory_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    file = MarksFile(tmp_path / "file" / "marks")
    with caplog.at_level(logging.WARNING):
        file.write(MARKS)
        file.write(MARKS)

    assert [record.getMessage() for record in caplog.records] == [
        f"state {tmp_path}/file/marks cannot be written: Not a directory"
    ]


def test_only_a_state_directory_makes_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert marks_file() is None

    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert marks_file() is not None
