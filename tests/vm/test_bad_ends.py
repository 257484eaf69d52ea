# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Guests that hang, die, or whose lab is told to stop: nothing is lost, nothing is left running."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vmad.lab.errors import LabError
from vmad.lab.run import run_in_guest

LAB = [sys.executable, "-m", "vmad.lab"]


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def test_hanging_guest_is_killed_and_its_files_are_here(kernel: str, tmp_path: Path) -> None:
    script = f"echo kept >{tmp_path}/out/kept; sleep 1000"
    with pytest.raises(LabError, match="had not ended after 30 s"):
        run_in_guest(kernel, ["sh", "-c", script], timeout=30, out_dir=tmp_path / "out")
    assert (tmp_path / "out" / "kept").read_text() == "kept\n"
    assert children_of(os.getpid()) == []


def test_panic_ends_the_run_with_its_text(kernel: str) -> None:
    script = "echo said before >/dev/console; echo c >/proc/sysrq-trigger"
    with pytest.raises(LabError, match="Kernel panic - not syncing: sysrq triggered") as caught:
        run_in_guest(kernel, ["sh", "-c", script], timeout=120)
    assert "Call Trace" in caught.value.console
    assert "said before" in caught.value.console


def test_guest_that_does_not_boot_shows_its_console(kernel: str) -> None:
    words = ["run", "--kernel", kernel, "--append", "rdinit=/absent", "--", "true"]
    lab = subprocess.run(LAB + words, capture_output=True, text=True, check=False)
    assert lab.returncode == 1
    assert lab.stdout == ""
    assert "Unable to mount root fs" in lab.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_lab_leaves_no_process_behind(kernel: str, number: signal.Signals) -> None:
    words = ["run", "--kernel", kernel, "--", "sh", "-c", "echo up; sleep 1000"]
    lab = subprocess.Popen(
        LAB + words,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert lab.stdout is not None
    with lab:
        assert lab.stdout.readline() == b"up\n"
        pids = [os.pidfd_open(child) for child in children_of(lab.pid)]
        assert len(pids) == 2  # QEMU and virtiofsd
        lab.send_signal(number)
    assert lab.returncode == (-number if number == signal.SIGKILL else 128 + number)
    for pid in pids:
        assert ends_soon(pid)
        os.close(pid)


def ends_soon(pidfd: int) -> bool:
    """Wait for a process that is not our child to end (its pidfd then polls readable)."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(10_000))


def test_two_labs_at_once_do_not_meet(kernel: str, tmp_path: Path) -> None:
    words = ["run", "--kernel", kernel, "--cpus", "1", "--out"]
    labs = [
        subprocess.Popen(
            [
                *LAB,
                *words,
                str(tmp_path / name),
                "--",
                "sh",
                "-c",
                f"echo {name} >{tmp_path / name}/f",
            ]
        )
        for name in ("one", "two")
    ]
    assert [lab.wait(240) for lab in labs] == [0, 0]
    assert [(tmp_path / name / "f").read_text() for name in ("one", "two")] == ["one\n", "two\n"]
