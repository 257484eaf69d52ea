# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A pid that has no address space is told for what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmad.errors import CannotRead, ProcessGone
from vmad.model.process import ProcessId
from vmad.sources.this_machine import ThisMachine

PF_KTHREAD = 0x20_0000


def make(
    proc: Path, pid: int, comm: str, *, state: str = "S", flags: int = 0, tgid: int = 0
) -> str:
    """A process in a directory that stands for /proc."""
    directory = proc / str(pid)
    directory.mkdir()
    fields = [state, "1", "0", "0", "0", "0", str(flags), *["0"] * 12, "777", "4096"]
    (directory / "stat").write_text(f"{pid} ({comm}) {' '.join(fields)} 0\n")
    (directory / "status").write_text(f"Name:\t{comm}\nTgid:\t{tgid or pid}\n")
    return str(proc)


def test_a_process_is_found_with_its_start_time(tmp_path: Path) -> None:
    assert ThisMachine(make(tmp_path, 5, "a) (b")).find(5) == ProcessId(5, 777)


def test_a_kernel_thread(tmp_path: Path) -> None:
    proc = make(tmp_path, 2, "kthreadd", flags=PF_KTHREAD)

    with pytest.raises(ProcessGone, match=r"2 \(kthreadd\) is a kernel thread"):
        ThisMachine(proc).find(2)


def test_a_zombie(tmp_path: Path) -> None:
    proc = make(tmp_path, 5, "gone", state="Z")

    with pytest.raises(ProcessGone, match=r"5 \(gone\) is a zombie"):
        ThisMachine(proc).find(5)


def test_a_thread_names_its_process(tmp_path: Path) -> None:
    proc = make(tmp_path, 6, "worker", tgid=5)

    with pytest.raises(ProcessGone, match=r"6 is a thread \(worker\) of process 5; ask for 5"):
        ThisMachine(proc).find(6)


def test_nobody(tmp_path: Path) -> None:
    with pytest.raises(ProcessGone, match="no process 7"):
        ThisMachine(str(tmp_path)).find(7)


def test_what_is_no_file_of_proc_is_told(tmp_path: Path) -> None:
    (tmp_path / "8" / "stat").mkdir(parents=True)

    with pytest.raises(CannotRead, match="8/stat: Is a directory"):
        ThisMachine(str(tmp_path)).find(8)
