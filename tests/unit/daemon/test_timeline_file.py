# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The history that the page shows goes on after a restart."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from vmad.daemon.timeline_file import EVERY, TimelineFile, timeline_file
from vmad.timeline.timeline import STARTS, Timeline

NOW = 1_800_000_000.0


def some() -> Timeline:
    timeline = Timeline()
    timeline.put_groups(NOW, ("db.service",), np.array([9_000], np.int32))
    timeline.put_host(NOW, starts=1)
    return timeline


def test_what_was_goes_on_and_the_restart_is_seen(tmp_path: Path) -> None:
    TimelineFile(tmp_path / "timeline", "boot").write(some(), at_once=True)

    left = TimelineFile(tmp_path / "timeline", "boot").read()

    assert left is not None
    left.put_host(NOW + 60, starts=1)
    group = left.of_group("db.service", 7200, NOW + 60)
    starts = left.of_host(STARTS, 7200, NOW + 60)
    assert group is not None
    assert starts is not None
    assert group.known.tolist() == [9_000]
    assert starts.known.tolist() == [1, 1]


def test_it_is_written_at_times_and_at_the_end(tmp_path: Path) -> None:
    now = [0.0]
    file = TimelineFile(tmp_path / "timeline", "boot", lambda: now[0])
    file.write(some())
    assert list(tmp_path.iterdir()) == []

    now[0] += EVERY
    file.write(some())
    assert [one.name for one in tmp_path.iterdir()] == ["timeline"]
    assert (file.name, file.why_not) == ("timeline", None)


def test_a_damaged_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "timeline"
    path.write_bytes(b"vmad.timeline/1\nno zlib")

    assert TimelineFile(path, "boot").read() is None
    assert [one.name for one in tmp_path.iterdir()] == ["timeline.damaged"]
    assert "timeline is damaged" in caplog.text


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "timeline"
    path.write_bytes(b"vmad.timeline/2\n")

    assert TimelineFile(path, "boot").read() is None
    assert path.read_bytes() == b"vmad.timeline/2\n"


def test_there_is_none_without_a_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert timeline_file() is None
    monkeypatch.setenv("STATE_DIRECTORY", os.fspath(Path("/nowhere")))
    made = timeline_file()
    assert made is not None
    assert made.read() is None
