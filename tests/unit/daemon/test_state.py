# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The state file: read back on the same boot, never in the way of a start."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from vmad.daemon.state import StateFile, boot_id, state_file
from vmad.scan.inheritance import INHERITED
from vmad.sources.npy import pack_array

ROWS = np.zeros(3, dtype=INHERITED)
ROWS["pid"] = (1, 20, 300)
ROWS["high_water"] = (10, 50_000, 30)


def test_what_is_written_is_read_on_the_same_boot(tmp_path: Path) -> None:
    StateFile(tmp_path / "history", "boot").write(ROWS)
    read = StateFile(tmp_path / "history", "boot").read()

    assert read is not None
    assert read.tobytes() == ROWS.tobytes()


def test_another_boot_starts_afresh(tmp_path: Path) -> None:
    StateFile(tmp_path / "history", "boot").write(ROWS)

    assert StateFile(tmp_path / "history", "other boot").read() is None


@pytest.mark.parametrize("keep", [0, 5, 20, 60, 200, -1])
def test_a_file_that_was_cut_short_starts_afresh(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "history"
    StateFile(path, "boot").write(ROWS)
    path.write_bytes(path.read_bytes()[:keep])

    assert StateFile(path, "boot").read() is None


def body(descr: str, shape: str = "(3,)", rest: bytes = bytes(200)) -> bytes:
    """A file of numpy's with such a header."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + rest


def rows_with(column: str, value: int) -> bytes:
    rows = ROWS.copy()
    rows[column][1] = value
    return pack_array(rows)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(b"PK\x03\x04" + bytes(100), id="a zip's beginning"),
        pytest.param(b"\x80\x04K\x01.", id="a pickle"),
        pytest.param(body("'<i8'", "(3,"), id="an unclosed header"),
        pytest.param(body("'<i8'", "(100000000000000,)"), id="a shape of 10^14"),
        pytest.param(body("[('a', '<i8'), ('a', '<i8')]"), id="a column that occurs twice"),
        pytest.param(body("'O'"), id="objects"),
        pytest.param(body("__import__('os').abort()"), id="no literal"),
        pytest.param(body("-" * 3000 + "1"), id="deep nesting"),
        pytest.param(b"\x93NUMPY\x01\x00\xff\xff", id="a header beyond the end"),
        pytest.param(pack_array(ROWS)[:-1], id="a byte short"),
        pytest.param(rows_with("pid", -1), id="no pid"),
        pytest.param(rows_with("high_water", 1 << 60), id="more VMAs than an int"),
        pytest.param(rows_with("anchor_count", -7), id="fewer than none"),
    ],
)
def test_a_damaged_file_is_set_aside_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: bytes
) -> None:
    path = tmp_path / "history"
    state = StateFile(path, "boot")
    state.write(ROWS)
    first = path.read_bytes().partition(b"\n")[0] + b"\n"
    path.write_bytes(first + damaged)
    with caplog.at_level(logging.WARNING):
        assert state.read() is None

    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"state {path} is damaged, starting afresh (kept as history.damaged): ")
    assert "\n" not in line
    assert (tmp_path / "history.damaged").read_bytes() == first + damaged
    state.write(ROWS)
    assert state.read() is not None


def test_what_would_keep_a_start_waiting_or_leads_elsewhere_is_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "elsewhere").write_bytes(b"keep me")
    path = tmp_path / "history"

    def fifo() -> None:
        os.mkfifo(path)

    def link() -> None:
        path.symlink_to(tmp_path / "elsewhere")

    for make in (fifo, link):
        make()
        with caplog.at_level(logging.WARNING):
            assert StateFile(path, "boot").read() is None
        assert "cannot be read" in caplog.records[-1].getMessage()
        path.unlink()


def test_a_link_in_the_way_of_writing_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"keep me")
    (tmp_path / "history.new").symlink_to(elsewhere)
    (tmp_path / "history").symlink_to(elsewhere)
    StateFile(tmp_path / "history", "boot").write(ROWS)

    assert elsewhere.read_bytes() == b"keep me"
    assert StateFile(tmp_path / "history", "boot").read() is not None


def test_rows_of_another_shape_start_afresh(tmp_path: Path) -> None:
    StateFile(tmp_path / "history", "boot").write(np.zeros(3, dtype="<i8"))

    assert StateFile(tmp_path / "history", "boot").read() is None


def test_a_file_with_a_pickle_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "history"
    StateFile(path, "boot").write(ROWS)
    with path.open("r+b") as file:
        file.readline()
        np.save(file, np.array([Path("/")], dtype=object), allow_pickle=True)
        file.truncate()

    assert StateFile(path, "boot").read() is None


def test_nothing_is_written_yet(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "history", "boot").read() is None


def test_a_directory_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    state = StateFile(tmp_path / "file" / "history", "boot")
    with caplog.at_level(logging.WARNING):
        state.write(ROWS)
        state.write(ROWS)

    assert [record.getMessage() for record in caplog.records] == [
        f"state {tmp_path}/file/history cannot be written: Not a directory"
    ]


def test_only_a_state_directory_makes_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert state_file() is None
    # systemd joins several with colons; the first is ours
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/elsewhere")
    state = state_file()
    assert state is not None
    state.write(ROWS)
    assert (tmp_path / "history").exists()


def test_this_boot_has_a_name() -> None:
    assert len(boot_id()) == 36
