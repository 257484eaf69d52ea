# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The state file: read back on the same boot, never in the way of a start."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from vmad.daemon.state import StateFile, boot_id, state_file
from vmad.scan.inheritance import INHERITED

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
