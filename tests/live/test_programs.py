# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Programs are recognised by what their files say: versions, symbols, sections; real processes."""

from __future__ import annotations

import mmap
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.other_users import NOBODY
from vmad.advice.recognise import TellingSymbols, recognise
from vmad.model.process import ProcessId
from vmad.model.program import Program, Traits
from vmad.sources.bounded import BoundedReads
from vmad.sources.names import with_names
from vmad.sources.procfs.source import ProcfsSource
from vmad.sources.procfs.stat import read_stat
from vmad.sources.traits import read_traits

STATIC = """
#include <unistd.h>
#include <stdlib.h>
void *mi_malloc(unsigned long size) { return malloc(size); }
int main(void) { mi_malloc(1); if (write(1, "READY\\n", 6) < 6) return 1; pause(); return 0; }
"""


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(*[int(NOBODY)] * 3)
    os.setresuid(*[int(NOBODY)] * 3)


@contextmanager
def running(*argv: str) -> Iterator[int]:
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"READY\n"
            yield process.pid
        finally:
            process.kill()


def traits_of(pid: int) -> tuple[Traits, dict[Program, tuple[int, ...] | None]]:
    process = ProcessId(pid, read_stat(pid).start_time)
    with closing(ProcfsSource()) as source:
        table = with_names(source.table(process))
    traits = read_traits(table, TellingSymbols())
    return traits, {p.program: p.version for p in recognise(table.paths.values(), traits)}


def test_the_c_library_and_the_interpreter_are_told_with_their_versions() -> None:
    code = "import sys; print('READY', flush=True); sys.stdin.read()"
    with running(sys.executable, "-c", code) as pid:
        traits, programs = traits_of(pid)

    libc, version = platform.libc_ver()
    assert libc == "glibc"
    assert programs[Program.GLIBC] == tuple(int(part) for part in version.split("."))
    assert Program.CPYTHON in programs
    assert traits.threads == 1
    assert not traits.unreachable


@pytest.mark.parametrize("place", ["lib/server", "jre/lib/amd64/server", "jre/lib/aarch64/server"])
def test_a_jvm_is_told_with_the_version_of_its_home(tmp_path: Path, place: str) -> None:
    """Up to Java 8 the architecture is a part of the path."""
    library = tmp_path / place / "libjvm.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(bytes(mmap.PAGESIZE))
    home = tmp_path / place.partition("lib/")[0]
    (home / "release").write_text('JAVA_VERSION="1.8.0_402"\n')
    code = (
        "import mmap, sys; file = open(sys.argv[1], 'rb'); "
        "held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ); "
        "print('READY', flush=True); sys.stdin.read()"
    )
    with running(sys.executable, "-c", code, str(library)) as pid:
        _, programs = traits_of(pid)

    assert programs[Program.HOTSPOT] == (1, 8)


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that is linked statically, with a symbol of mimalloc."""
    place = tmp_path_factory.mktemp("static")
    (place / "static.c").write_text(STATIC)
    subprocess.run(["cc", "-static", "-o", place / "static", place / "static.c"], check=True)
    return place / "static"


def test_a_static_program_is_told_by_its_symbols(static: Path) -> None:
    with running(str(static)) as pid:
        traits, programs = traits_of(pid)

    assert traits.static
    assert {Program.GLIBC, Program.MIMALLOC} <= programs.keys()


def test_a_static_program_without_symbols_is_not_recognised(static: Path) -> None:
    bare = static.with_name("bare")
    subprocess.run(["strip", "-o", bare, static], check=True)
    with running(str(bare)) as pid:
        traits, programs = traits_of(pid)

    assert traits.static
    assert programs == {}


def test_a_program_whose_file_is_gone_is_told_all_the_same(static: Path) -> None:
    moving = static.with_name("moving")
    moving.write_bytes(static.read_bytes())
    moving.chmod(0o755)
    with running(str(moving)) as pid:
        moving.unlink()
        _, programs = traits_of(pid)

    assert Program.MIMALLOC in programs


def test_a_process_that_has_gone_has_no_traits() -> None:
    code = "print('READY', flush=True); input()"
    with running(sys.executable, "-c", code) as pid:
        process = ProcessId(pid, read_stat(pid).start_time)
        with closing(ProcfsSource()) as source:
            table = with_names(source.table(process))
    traits = read_traits(table, TellingSymbols())

    assert traits.exe is None
    assert traits.versions == {}


@pytest.mark.root
def test_files_that_cannot_be_reached_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are known (the kernel's evidence needs no right to files), files may not be opened."""
    code = "import sys; print('READY', flush=True); sys.stdin.read()"
    with running(sys.executable, "-c", code) as pid:
        process = ProcessId(pid, read_stat(pid).start_time)
        with closing(ProcfsSource()) as source:
            table = with_names(source.table(process))
        # a thread that this process has started is not there in its child
        monkeypatch.setattr("vmad.sources.traits.BY_HAND", BoundedReads())
        reader, writer = os.pipe()
        nobody = os.fork()
        if nobody == 0:
            try:
                become_nobody()
                traits = read_traits(table, TellingSymbols())
                os.write(writer, f"{traits.unreachable} {traits.exe} {traits.threads}".encode())
            finally:
                os._exit(0)
        os.waitpid(nobody, 0)
        said = os.read(reader, 4096).decode()
        os.close(reader)
        os.close(writer)

    assert said == "True None 1"
    assert Program.GLIBC in {each.program for each in recognise(table.paths.values())}


def test_a_process_in_a_root_of_its_own_is_told_by_its_own_files(tmp_path: Path) -> None:
    """A process in a root of its own whose files are gone from it, as of a container that ends."""
    code = (
        f"import os, sys; os.chroot({str(tmp_path)!r}); print('READY', flush=True); "
        "sys.stdin.read()"
    )
    with running(sys.executable, "-c", code) as pid:
        traits, programs = traits_of(pid)

    # its own file is reached through /proc/PID/exe, mapped ones through map_files
    assert traits.exe is not None
    assert Program.GLIBC in programs


def test_several_runtimes_in_one_process_are_all_told_and_versions_only_where_known(
    tmp_path: Path,
) -> None:
    (tmp_path / "any.c").write_text("int any;\n")
    names = ("libjemalloc.so.2", "libluajit-5.1.so.2", "libruby-3.1.so.3.1", "libjvm.so")
    paths = [str(tmp_path / name) for name in names]
    for path in paths:
        subprocess.run(
            ["cc", "-shared", "-o", path, f"-Wl,-soname,{Path(path).name}", tmp_path / "any.c"],
            check=True,
        )
    code = (
        f"import ctypes, sys; kept = [ctypes.CDLL(path) for path in {paths!r}]; "
        "print('READY', flush=True); sys.stdin.read()"
    )
    with running(sys.executable, "-c", code) as pid:
        _, programs = traits_of(pid)

    assert {Program.CPYTHON, Program.GLIBC} <= programs.keys()
    assert {name: programs[name] for name in (Program.JEMALLOC, Program.LUAJIT)} == {
        Program.JEMALLOC: None, Program.LUAJIT: None,
    }  # fmt: skip
    assert programs[Program.RUBY] == (3, 1)
    assert programs[Program.HOTSPOT] is None
