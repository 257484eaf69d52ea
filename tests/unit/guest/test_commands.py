# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The commands that take --target give the same answers as for any other source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.guest.conftest import Recorded
from vmad.cli.main import main
from vmad.top.watching import Watching


@pytest.fixture
def known(guest: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """A guest whose kernel the commands know."""
    (tmp_path / "guests").symlink_to(tmp_path / "cache")
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    return guest


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--format", "json"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return json.loads(told.out)


def test_a_scan_and_the_scan_of_its_capture_agree(
    known: Recorded, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    target, file = f"qemu:{known.path}", str(tmp_path / "capture")
    pids = [str(process.pid) for process in known.processes]
    live = answer(capsys, "scan", *pids, "--target", target)
    assert main(["capture", *pids, "-o", file, "--names", "--target", target]) == 0
    capsys.readouterr()
    kept = answer(capsys, "scan", "--from", file)
    assert live["processes"] == kept["processes"]
    assert live["kernel"] == kept["kernel"]
    assert live["evidence"] == "kernel"
    assert len(live["processes"]) == len(pids)


def test_a_paused_guest_is_read_and_told_of(
    known: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    known.qemu.answers["query-status"] = {"status": "paused"}
    assert main(["scan", "--target", f"qemu:{known.path}"]) == 0
    told = capsys.readouterr()
    assert told.err == "vmad: the guest is paused: it was read as it stands\n"
    assert "processes with" in told.out


def test_every_pair_is_explained(known: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    process = known.processes[0]
    told = answer(capsys, "explain", str(process.pid), "--target", f"qemu:{known.path}")
    rows = known.arrays[f"rows_{process.pid}"]
    boundaries = [hex(start) for start in rows["start"][rows["pair"] == 1].tolist()]
    assert [int(pair["boundary"], 16) for pair in told["pairs"]] == [
        int(boundary, 16) for boundary in boundaries
    ]
    assert told["evidence"] == "kernel"
    assert told["start_time"] == process.start_time


def test_explain_names_the_guests_program(
    known: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = str(known.processes[0].pid)
    assert main(["explain", pid, "--target", f"qemu:{known.path}"]) == 0
    assert "/bin/python3.11" in capsys.readouterr().out


def test_a_process_that_is_not_in_the_guest_is_told(
    known: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "99999", "--target", f"qemu:{known.path}"]) == 3
    told = capsys.readouterr()
    assert told.err.startswith("vmad: the guest has no process 99999")
    assert main(["scan", "99999", "--target", f"qemu:{known.path}"]) == 3


def test_doctor_tells_how_far_it_gets(known: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--target", f"qemu:{known.path}", "--format", "json"]) in (0, 1)
    told = json.loads(capsys.readouterr().out)
    works = {one["name"]: one["works"] for one in told["findings"]}
    assert works["attach"]
    assert not works["memory, direct"]
    assert works["stop"] is None
    settings = {one["name"]: one["value"] for one in told["settings"]}
    assert settings["kernel"] == f"{known.anchors.release} x86_64"
    assert told["target"] == f"qemu:{known.path}"


def test_doctor_of_no_guest_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--target", f"qemu:{tmp_path}/none"]) == 1
    told = capsys.readouterr().out
    assert told.startswith("The guest cannot be read.")
    assert "no such socket" in told


@pytest.mark.parametrize(
    "words",
    [
        ["scan", "--consistent"],
        ["scan", "--types", "/x"],
        ["doctor", "--types", "/x"],
        ["explain", "1", "--target", "qemu:/s", "--pages"],
        ["explain", "1", "--target", "qemu:/s", "--daemon"],
    ],
)
def test_what_cannot_be_meant_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("target", ["", "qemu:", "/s", "xen:/s"])
def test_what_is_no_target_is_refused(target: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["scan", "--target", target])


def test_the_live_view_shows_a_guest_and_looks_into_its_processes(known: Recorded) -> None:
    source = known.open()
    watching = Watching(source, "guest")

    frame = watching.step()
    found = watching.look_into(known.processes[0])

    assert {row.id for row in frame.rows} >= set(known.processes)
    assert frame.kernel == known.anchors.release
    assert found.explanation is not None
    assert found.explanation.table.id == known.processes[0]
    source.close()
