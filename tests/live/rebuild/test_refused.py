# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is not rebuilt: one line says why, and nothing has changed."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.rebuild.movers import Mover, Report, compiled, heal

pytestmark = pytest.mark.bpf

PIECES = 16
NOBODY = 65534
UNPRIVILEGED = Path("/proc/sys/vm/unprivileged_userfaultfd")
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
#: seccomp(2): one instruction, which allows everything
ALLOW = struct.pack("HBBI", 6, 0, 0, 0x7FFF0000)


def refused(target: Mover, pid: int | None = None, before: Report | None = None) -> str:
    """The one line that the command says; the target is as it was."""
    before = before or target.after_more_work()
    done = heal(pid or target.pid, "--rebuild", "--apply", "--max-stop", "500")
    after = target.after_more_work()
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert (after.wrong, after.row, after.vmas, after.files) == (0, *before[4:])
    return done.stderr


def rebuilt(target: Mover, pid: int | None = None) -> None:
    done = heal(pid or target.pid, "--rebuild", "--apply", "--max-stop", "500")
    after = target.after_more_work()
    assert (done.returncode, done.stderr) == (0, "")
    assert (after.wrong, after.row) == (0, 1)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def pieces_of(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [line for line in lines if line.startswith("200")]


@pytest.fixture
def open_to_all(binary: Path, tmp_path: Path) -> Path:
    """The target where other users can run it: folders of pytest are closed to them."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 1:
            folder.chmod(0o755)
    return Path(shutil.copy(binary, tmp_path))


@contextmanager
def unprivileged_userfaultfd(value: str) -> Iterator[None]:
    was = UNPRIVILEGED.read_text()
    UNPRIVILEGED.write_text(value)
    try:
        yield
    finally:
        UNPRIVILEGED.write_text(was)


@pytest.mark.moves_not
def test_a_kernel_that_cannot_says_which_can(mover: Callable[..., Mover]) -> None:
    said = refused(mover(PIECES))
    assert said.endswith("cannot move pages between areas; UFFDIO_MOVE came with 6.8\n")


@pytest.mark.moves
def test_a_process_without_the_right_to_a_userfaultfd_until_the_kernel_gives_it_to_all(
    mover: Callable[..., Mover], open_to_all: Path
) -> None:
    target = Mover(open_to_all, PIECES, user=NOBODY, group=NOBODY)
    with unprivileged_userfaultfd("0"):
        said = refused(target)
    with unprivileged_userfaultfd("1"):
        rebuilt(target)
    target.stop()
    assert "may not have a userfaultfd of the whole kernel; it needs CAP_SYS_PTRACE, or vm." in said


@pytest.mark.moves
def test_who_may_not_trace_it(mover: Callable[..., Mover]) -> None:
    """The right to look is not the right to change."""
    target = mover(PIECES)
    before = target.after_more_work()
    done = subprocess.run(
        ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace",
         *(sys.executable, "-m", "vmad", "heal", str(target.pid), "--rebuild", "--apply")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert target.after_more_work()[3:] == before[3:]


@pytest.mark.moves
def test_one_under_a_debugger(mover: Callable[..., Mover]) -> None:
    target = mover(PIECES)
    target.after_more_work()
    assert libc.ptrace(PTRACE_SEIZE, target.pid, None, None) == 0
    said = refused(target)
    libc.ptrace(PTRACE_INTERRUPT, target.pid, None, None)
    os.waitpid(target.pid, 0)
    assert libc.ptrace(PTRACE_DETACH, target.pid, None, None) == 0
    assert f"is traced already by process {os.getpid()}; end the debugger or strace first" in said


def allow_everything() -> None:
    """A seccomp filter, though of no effect."""
    code = ctypes.create_string_buffer(ALLOW)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(code)))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0)  # PR_SET_SECCOMP


@pytest.mark.moves
def test_one_with_a_seccomp_filter(mover: Callable[..., Mover]) -> None:
    assert "has a seccomp filter" in refused(mover(PIECES, preexec_fn=allow_everything))


@pytest.mark.moves
def test_one_at_its_limit_until_it_has_room(mover: Callable[..., Mover]) -> None:
    target = mover(PIECES)
    target.after_more_work()
    before = target.ask("fill")
    said = refused(target, before=before)
    target.ask("empty")
    rebuilt(target)
    assert "it needs 10 VMAs below vm.max_map_count" in said


@pytest.mark.moves
@pytest.mark.mounts
def test_one_in_namespaces_of_its_own_is_like_any_other(binary: Path) -> None:
    apart = ("--pid", "--mount-proc", "--uts", "--ipc", "--net", "--cgroup", "--fork")
    target = Mover(Path("unshare"), *apart, str(binary), str(PIECES))
    rebuilt(target, child_of(target.process.pid))
    target.stop()


@pytest.mark.moves
@pytest.mark.mounts
def test_one_in_a_user_namespace_has_no_right_outside(binary: Path) -> None:
    target = Mover(Path("unshare"), "--user", "--map-root-user", str(binary), str(PIECES))
    with unprivileged_userfaultfd("0"):
        said = refused(target)
    target.stop()
    assert "may not have a userfaultfd of the whole kernel" in said


@pytest.mark.moves
def test_one_that_has_no_proc(tmp_path: Path) -> None:
    """In a chroot without /proc it cannot see which of its pages are the zero page."""
    binary = compiled(tmp_path, "-static")
    target = Mover(Path("chroot"), tmp_path, f"/{binary.name}", PIECES)
    before = pieces_of(target.pid)
    done = heal(target.pid, "--rebuild", "--apply", "--max-stop", "500")
    assert pieces_of(target.pid) == before != []
    target.stop()
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "has no /proc mounted" in done.stderr


@pytest.mark.moves
@pytest.mark.mounts
def test_one_in_whose_proc_something_would_wait(binary: Path) -> None:
    """Whatever is mounted there, its threads do not stand still for it."""
    script = (
        "mount -t tmpfs none /proc && mkdir /proc/self && mkfifo /proc/self/pagemap && "
        'exec "$0" "$1"'
    )
    target = Mover(Path("unshare"), "--mount", "sh", "-c", script, binary, PIECES)
    before = pieces_of(target.pid)
    done = heal(target.pid, "--rebuild", "--apply", "--max-stop", "500")
    assert pieces_of(target.pid) == before != []
    target.stop()
    assert done.stderr.count("\n") == 1
    assert "has no /proc mounted" in done.stderr


@pytest.mark.moves
def test_one_that_has_changed_its_user_and_may_not_look_at_itself(
    mover: Callable[..., Mover],
) -> None:
    target = mover(PIECES)
    before = target.ask("drop")
    with unprivileged_userfaultfd("1"):
        said = refused(target, before=before)
    assert "may not read of its own pages in /proc/self/pagemap" in said


@pytest.mark.moves
@pytest.mark.compat_x86
def test_one_of_32_bits(tmp_path: Path) -> None:
    binary = tmp_path / "small"
    flags = ("-m32", "-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie")
    source = Path(__file__).with_name("small_words.c")
    subprocess.run(["gcc", *flags, "-fno-stack-protector", "-o", binary, source], check=True)
    with subprocess.Popen([binary], stdout=subprocess.PIPE) as target:
        assert target.stdout is not None
        target.stdout.read(6)
        before = pieces_of(target.pid)
        done = heal(target.pid, "--rebuild", "--apply", "--max-stop", "500")
        after = pieces_of(target.pid)
        target.kill()
    assert len(before) == 8
    assert after == before
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "is a 32-bit program" in done.stderr
