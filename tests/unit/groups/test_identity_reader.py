# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reading identities: from this kernel's /proc, and from a tree of files that can be changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmad.model.identity import CgroupIdentity
from vmad.model.process import ProcessId
from vmad.sources.cgroup import parse_cgroup
from vmad.sources.identity import IdentityReader
from vmad.sources.this_machine import ThisMachine


@contextmanager
def running(program: Path) -> Iterator[int]:
    """A child that has exec'ed ``program`` (a copy of cat) and waits."""
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"up\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"up\n"
        yield child.pid
        child.stdin.close()


def place(proc: Path, pid: int, cgroup: str, exe: str | None = None) -> ProcessId:
    directory = proc / str(pid)
    directory.mkdir(exist_ok=True)
    (directory / "cgroup").write_text(f"0::{cgroup}\n")
    if exe is not None:
        (directory / "exe").unlink(missing_ok=True)
        (directory / "exe").symlink_to(exe)
    return ProcessId(pid, 7)


def reader_of(proc: Path, *, with_exe: bool = False, limit: int = 9) -> IdentityReader:
    return IdentityReader(ThisMachine(str(proc)), with_exe=with_exe, limit=limit)


def test_process_of_this_host_is_read() -> None:
    found = reader_of(Path("/proc"), with_exe=True).identity(ProcessId(os.getpid(), 1), "python")
    assert found.cgroup == parse_cgroup(Path("/proc/self/cgroup").read_bytes())
    assert found.exe == os.readlink("/proc/self/exe")


def test_deleted_program_keeps_its_path(tmp_path: Path) -> None:
    program = tmp_path / "cat\n1"
    shutil.copy(shutil.which("cat") or "/bin/cat", program)
    with running(program) as pid:
        program.unlink()
        found = reader_of(Path("/proc"), with_exe=True).identity(ProcessId(pid, 1), "cat")
    assert found.exe == f"{tmp_path}/cat\\x0a1"


def test_exe_is_left_alone_unless_asked_for(tmp_path: Path) -> None:
    process = place(tmp_path, 5, "/a.service", "/bin/x")
    assert reader_of(tmp_path).identity(process, "x").exe is None
    assert reader_of(tmp_path, with_exe=True).identity(process, "x").exe == "/bin/x"


def test_exe_that_may_not_be_read_is_none(tmp_path: Path) -> None:
    process = place(tmp_path, 5, "/a.service")
    assert reader_of(tmp_path, with_exe=True).identity(process, "x").exe is None


def test_identity_is_read_once_until_the_command_changes(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)
    process = place(tmp_path, 5, "/a.service")
    first = reader.identity(process, "x")
    place(tmp_path, 5, "/b.service")
    assert reader.identity(process, "x") is first
    assert reader.identity(process, "y").cgroup == CgroupIdentity("/b.service", "b.service")


def test_exec_or_refresh_reads_again(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)
    process = place(tmp_path, 5, "/a.service")
    reader.identity(process, "x")
    place(tmp_path, 5, "/b.service")
    found = reader.identity(process, "x", reread=True)
    assert found.cgroup is not None
    assert found.cgroup.unit == "b.service"


def test_reused_pid_is_another_process(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)
    process = place(tmp_path, 5, "/a.service")
    reader.identity(process, "x")
    place(tmp_path, 5, "/b.service")
    found = reader.identity(ProcessId(5, 8), "x")
    assert found.cgroup is not None
    assert found.cgroup.unit == "b.service"


def test_process_that_went_is_not_remembered_as_unknown(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)
    assert reader.identity(ProcessId(5, 7), "x").cgroup is None
    assert len(reader) == 0
    process = place(tmp_path, 5, "/a.service")
    assert reader.identity(process, "x").cgroup is not None


def test_process_that_went_keeps_what_was_known(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)
    process = place(tmp_path, 5, "/a.service")
    first = reader.identity(process, "x")
    shutil.rmtree(tmp_path / "5")
    assert reader.identity(process, "x", reread=True).cgroup == first.cgroup


def test_memory_is_bounded_and_given_back(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, limit=3)
    processes = [place(tmp_path, pid, "/a.service") for pid in range(1, 6)]
    for process in processes:
        reader.identity(process, "x")
    assert len(reader) == 3
    reader.forget(processes[4])
    reader.forget(processes[4])
    assert len(reader) == 2
    reader.keep_only({processes[3]})
    assert len(reader) == 1


def test_command_is_made_fit_for_a_label(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)
    process = place(tmp_path, 5, "/a.service")
    first = reader.identity(process, "a\n\udcff")
    assert first.comm == "a\\x0a\\xff"
    assert reader.identity(process, "a\n\udcff") is first
