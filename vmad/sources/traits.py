# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the files of a process say of the programs that it consists of: versions, symbols, threads.

Files are reached through /proc/PID, so that those of a container are its own. All of it is read in
a bounded worker, since a file may lie on a server that does not answer.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from vmad.model.program import Program, Traits, Version
from vmad.model.table import VmaTable
from vmad.sources.bounded import BY_HAND, Stuck, Tick
from vmad.sources.elf import read_elf, section, symbols_among
from vmad.sources.procfs.living import place_of
from vmad.sources.procfs.stat import read_stat

#: bytes of a C library or a text that are looked through
_LARGEST = 16 << 20
#: a FIFO in a file's place would otherwise wait for a writer
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_GLIBC = re.compile(rb"GNU C Library [^\n]{0,80}?version (\d+)\.(\d+)")
_MUSL = re.compile(rb"\0(1)\.(\d+)\.(\d+)\0")
_GO = re.compile(rb"go(\d+)\.(\d+)(?:\.(\d+))?")
_JAVA = re.compile(rb'^JAVA_VERSION="(\d+)(?:\.(\d+))?', re.MULTILINE)
_LIBC = re.compile(r"/(libc\.so\.6|libc-2\.\d+\.so)$")
_MUSL_LIBC = re.compile(r"/(ld-musl-[^/]*|libc\.musl-[^/]*)$")
_JVM = re.compile(r"^(/.+)/lib/(?:(?:amd64|aarch64)/)?server/libjvm\.so$")


class Wanted(Protocol):
    """What is looked for: ``symbols`` of functions, in programs that are not ``known`` by path."""

    @property
    def symbols(self) -> frozenset[str]:
        """Names of functions that tell what is linked into a program."""

    def known(self, exe: str) -> bool:
        """Whether the path of a program tells enough, so that symbols need not be searched."""


def read_traits(table: VmaTable, wanted: Wanted, proc: str = "/proc") -> Traits:
    """Of the process of ``table``, whose names should be known. What cannot be read is missing.

    Raises nothing: a process that has gone, or that may not be looked into, has no traits.
    """
    try:
        return BY_HAND.run(lambda tick: _read(table, wanted, proc, tick))
    except (OSError, Stuck):
        return Traits(unreachable=True)


def _read(table: VmaTable, wanted: Wanted, proc: str, tick: Tick) -> Traits:
    pid = table.id.pid
    tick(table.id)
    status = read_stat(pid, proc)
    if status.start_time != table.id.start_time:
        return Traits()
    reader = _Files(f"{proc}/{place_of(pid, proc)}", table, tick)
    exe = reader.link("exe")
    versions: dict[Program, Version] = {}
    symbols: frozenset[str] = frozenset()
    sections: frozenset[str] = frozenset()
    static = False
    with reader.opened("exe") as fd:
        elf = None if fd is None else read_elf(fd)
        if fd is not None and elf is not None:
            sections, static = frozenset(elf.sections), elf.static
            # a program that its name gives away needs no search of many megabytes
            if exe is None or not wanted.known(exe):
                symbols = symbols_among(fd, elf, wanted.symbols)
            version = _first(_GO, section(fd, elf, ".go.buildinfo")[:256])
            if version is not None:
                versions[Program.GO] = version
    for program, name, expression in (
        (Program.GLIBC, _LIBC, _GLIBC),
        (Program.MUSL, _MUSL_LIBC, _MUSL),
    ):
        version = reader.search(name, expression)
        if version is not None:
            versions[program] = version
    java = reader.java()
    if java is not None:
        versions[Program.HOTSPOT] = versions[Program.ZGC] = java
    if not any(name.startswith("/memfd:java_heap") for name in reader.names.values()):
        versions.pop(Program.ZGC, None)
    return Traits(
        exe, symbols, sections, versions, status.threads, static, unreachable=reader.unreachable
    )


class _Files:
    """The files that one process maps."""

    def __init__(self, directory: str, table: VmaTable, tick: Tick) -> None:
        self._directory = directory
        self._rows = table.rows
        self._tick = tick
        self._process = table.id
        self.unreachable = False
        self.names = {row: name for row, name in table.paths.items() if name.startswith("/")}

    def link(self, name: str) -> str | None:
        try:
            return os.readlink(f"{self._directory}/{name}")
        except OSError:
            self.unreachable = True
            return None

    @contextmanager
    def opened(self, *places: str) -> Iterator[int | None]:
        """A descriptor of the first of ``places`` (below /proc/PID) that is a readable file."""
        self._tick(self._process)
        fd = None
        for place in places:
            try:
                fd = os.open(f"{self._directory}/{place}", _FLAGS)
            except OSError:
                continue
            if stat.S_ISREG(os.fstat(fd).st_mode):
                break
            os.close(fd)
            fd = None
        self.unreachable |= fd is None
        try:
            yield fd
        finally:
            if fd is not None:
                os.close(fd)

    def search(self, name: re.Pattern[str], expression: re.Pattern[bytes]) -> Version | None:
        """What the expression finds in the mapped file of that name."""
        for row, path in self.names.items():
            if name.search(path):
                # map_files is the file that is mapped, whatever lies at its path by now; it needs
                # CAP_CHECKPOINT_RESTORE
                start, end = int(self._rows["start"][row]), int(self._rows["end"][row])
                with self.opened(f"map_files/{start:x}-{end:x}", f"root{path}") as fd:
                    return None if fd is None else _first(expression, os.pread(fd, _LARGEST, 0))
        return None

    def java(self) -> Version | None:
        """The version in the file "release" of the JDK whose libjvm is mapped."""
        for path in set(self.names.values()):
            match = _JVM.match(path)
            if match is not None:
                with self.opened(f"root{match[1]}/release") as fd:
                    return None if fd is None else _first(_JAVA, os.pread(fd, 4096, 0))
        return None


def _first(expression: re.Pattern[bytes], text: bytes) -> Version | None:
    match = expression.search(text)
    if match is None:
        return None
    return tuple(int(group) for group in match.groups() if group is not None)
