# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every parser of what others wrote, as a function of bytes.

An error that the parser documents is an answer; any other escapes, and is a finding.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import socket
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from itertools import count
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tests.fuzz.guests import recorded_guests
from vmad.architecture.x86_64 import X86_64
from vmad.blame.perf_map import PerfMap
from vmad.config.load import parse_config
from vmad.daemon.marks_file import MarksFile
from vmad.daemon.state import StateFile
from vmad.errors import VmadError
from vmad.export.blame_json import blamed_of
from vmad.export.explain_text import Context, explain_text
from vmad.export.style import Style
from vmad.lab.kernels.debian import bootable, lab_packages
from vmad.model.kernel import KernelInfo
from vmad.model.process import ProcessId
from vmad.scan.explain import explain
from vmad.sources.capture import CaptureSource
from vmad.sources.cgroup import parse_cgroup
from vmad.sources.elf import read_elf, section, symbols_among
from vmad.sources.guest import attach
from vmad.sources.guest import source as guest_source
from vmad.sources.guest.btf import BadBtf, Btf, structure_sizes
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.kernel import NoTypes, find_anchors, find_banner, find_btf, find_build_ids
from vmad.sources.guest.layout import NEEDED, OPTIONAL, WrongTypes, layout_of
from vmad.sources.guest.paging import PageTables
from vmad.sources.guest.physical import NotRam, _ram
from vmad.sources.guest.qmp import Monitor, Refused
from vmad.sources.guest.source import GuestSource
from vmad.sources.guest.types import read_types
from vmad.sources.guest.vmcoreinfo import KernelTables, parse
from vmad.sources.names import named_ranges
from vmad.sources.npy import unpack_array
from vmad.sources.procfs.numa_maps import parse_numa_maps
from vmad.sources.procfs.smaps import parse_smaps
from vmad.sources.procfs.stat import parse_stat
from vmad.sources.procfs.table import Evidences, parsed, table_of
from vmad.timeline.packed import unpack
from vmad.web.request import MAX_LINE, BadRequest, parse_request, read_request
from vmad.web.web_config import read_web_config

KERNEL = KernelInfo("6.12.9", page_shift=12)
NO_DEVICES = np.empty(0, np.uint64)


@lru_cache(maxsize=1)
def _directory(of: int) -> str:
    """One for each process (``of``), since making it costs as much as most parsers do."""
    place = os.environ.get("TMPDIR", "/dev/shm")
    directory = tempfile.mkdtemp(prefix=f"vmad-fuzz-{of}-", dir=place)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@contextmanager
def as_file(content: bytes, name: str = "file") -> Iterator[str]:
    """A file with this content, of memory."""
    path = f"{_directory(os.getpid())}/{name}"
    with open(path, "wb") as file:
        file.write(content)
    yield path


def capture(content: bytes) -> None:
    """Opened, and every process in it counted, explained and told."""
    with as_file(content) as path:
        _read_capture(path)


#: between the members of a capture
CUT = b"\n--\n"
#: its process
PID = 10
#: in this order
MEMBERS = ("meta.json", f"{PID}/rows.npy", f"{PID}/names.json", f"{PID}/name_of.npy")


def capture_members(content: bytes) -> None:
    """The same of members between cuts: a checksum of an archive stops whatever is random."""
    path = f"{_directory(os.getpid())}/members"
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in zip(MEMBERS, content.split(CUT), strict=False):
            archive.writestr(zipfile.ZipInfo(name), member)
    _read_capture(path)


def _read_capture(path: str) -> None:
    with suppress(VmadError):
        source = CaptureSource(path)
        try:
            census = source.census()
            processes = [ProcessId(*row) for row in census[["pid", "start_time"]].tolist()[:4]]
            list(source.summarise(processes))
            for process in processes:
                table = source.table(process)
                found = explain(table, source.kernel, source.max_map_count)
                list(explain_text(found, Style(), Context(None, None, {}, None, True)))
        finally:
            source.close()


def array(content: bytes) -> None:
    """A row of numbers in numpy's format."""
    with suppress(ValueError):
        unpack_array(content, np.dtype("<i4"))


def state(content: bytes) -> None:
    """The history that a daemon left."""
    with as_file(content, "history") as path:
        StateFile(Path(path), "boot").read()


def marks(content: bytes) -> None:
    """The marks that a daemon left."""
    with as_file(content, "marks") as path:
        MarksFile(Path(path)).read()


def timeline(content: bytes) -> None:
    """The history of groups that a daemon left, compressed here: a checksum stops the random."""
    with suppress(ValueError):
        unpack(zlib.compress(content, 0), "boot")
    with suppress(ValueError):
        unpack(content, "boot")


def recording(content: bytes) -> None:
    """What `vmad blame` left for the daemon's page."""
    with suppress(VmadError):
        blamed_of(content.decode("utf-8", "replace"), "f")


def maps(content: bytes) -> None:
    """maps, put together as a person asks for it, and its names."""
    read = Evidences(content, None, None)
    with suppress(VmadError):
        table_of(
            ProcessId(1, 1), comm="c", read=read, kernel=KERNEL, shared_devices=NO_DEVICES,
            names_exist=True, heap_differs_unseen=True,
            hints=lambda a, b, c: np.zeros(len(a), np.int64),
        )  # fmt: skip
    parsed(content, NO_DEVICES)
    with suppress(ValueError):
        named_ranges(content.splitlines(keepends=True))


def smaps(content: bytes) -> None:
    """smaps, cut anywhere."""
    half = len(content) // 2
    parse_smaps((content[:half], content[half:]), KERNEL)


def small_texts(content: bytes) -> None:
    """stat, cgroup, numa_maps."""
    parse_cgroup(content)
    parse_numa_maps(content)
    with suppress(ValueError):
        parse_stat(content)


def configuration(content: bytes) -> None:
    """The daemon's configuration."""
    with suppress(VmadError):
        parse_config(content, "f")


def web_configuration(content: bytes) -> None:
    """--web.config.file."""
    with as_file(content) as path, suppress(VmadError):
        read_web_config(path)


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    """One that never runs."""
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def http(content: bytes) -> None:
    """A request's head, read from a connection and parsed as a whole."""

    reader = asyncio.StreamReader(limit=MAX_LINE, loop=_loop())
    reader.feed_data(content)
    reader.feed_eof()
    with suppress(BadRequest, asyncio.IncompleteReadError, StopIteration):
        read_request(reader).send(None)  # all of it is there: it waits for nothing
        raise AssertionError("it waits for more")
    with suppress(BadRequest):
        parse_request(content)


def btf(content: bytes) -> None:
    """A kernel's types."""
    with suppress(BadBtf):
        structure_sizes(content, ["task_struct", "thing", "mm_struct"])
    try:
        types = Btf(content)
        for name in (*NEEDED, *OPTIONAL, "thing.first", "thing.left", "thing.links.prev"):
            structure, _, path = name.partition(".")
            with suppress(BadBtf):
                types.field(structure, path)
        layout_of(types)
    except (BadBtf, WrongTypes):
        pass


def types_file(content: bytes) -> None:
    """A vmlinux, or a file of types."""
    with as_file(content) as path, suppress(BadBtf, OSError):
        read_types(Path(path))


def image(content: bytes) -> None:
    """A kernel's image in a guest's memory."""
    banner = find_banner(content)
    find_build_ids(content)
    with suppress(NoTypes):
        find_btf(content)
    if banner is not None:
        with suppress(NoTypes, WrongTypes, BadBtf):
            find_anchors(content, 0xFFFF_FFFF_8100_0000, banner)


class _Ram:
    """Physical memory that repeats some pages."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, start: int, size: int) -> bytes:
        if start >= 1 << 40 or not self._content:
            raise NotRam(hex(start))
        at = start % len(self._content)
        return (self._content[at:] + self._content * (size // len(self._content) + 1))[:size]


def page_tables(content: bytes) -> None:
    """A guest's page tables."""
    for five_levels in (False, True):
        tables = PageTables(_Ram(content), 0, five_levels)  # type: ignore[arg-type]
        with suppress(NotRam):
            tables.image()
        with suppress(NotRam):
            tables.translate(0xFFFF_FFFF_8123_4567)


def vmcoreinfo(content: bytes) -> None:
    """What an arm64 kernel writes down of itself, and the tables it names."""
    told = parse(content)
    if told is not None:
        tables = KernelTables(_Ram(content), told)  # type: ignore[arg-type]
        with suppress(NotRam):
            tables.translate(told.text)
        with suppress(NotRam):
            tables.image_size(64 << 20)


def memory_tree(content: bytes) -> None:
    """What "info mtree -f" prints."""
    _ram(content.decode("latin-1"))


def qmp(content: bytes) -> None:
    """What QEMU says: a greeting, answers, events."""
    ours, theirs = socket.socketpair()
    monitor = Monitor.__new__(Monitor)
    monitor._begin("/s", ours)
    monitor._ids = count(1)
    with theirs:
        theirs.setblocking(False)
        with suppress(BlockingIOError):
            theirs.sendall(content)
        theirs.shutdown(socket.SHUT_WR)
        with suppress(VmadError, Refused):
            monitor._await_greeting()
            monitor.execute("qmp_capabilities")
            monitor.told("query-status", "status", str)
            monitor.human("info registers")
        monitor.take_events()
    monitor.close()


def guest_memory(content: bytes) -> None:
    """A recorded guest whose memory was changed: attached to, and a process of it read.

    The first byte says which guest and process; then by 13 bytes what is done to one of its words
    (set, flip, copy from another word, add), which one, and a number.
    """
    guests, first = recorded_guests(), content[0] if content else 0
    recorded = guests[first % len(guests)]
    with (
        patch.multiple(attach, Monitor=recorded.monitor, PhysicalMemory=recorded.changed(content)),
        patch.object(guest_source, "ATTEMPTS", 1),  # it is the same every time
        suppress(VmadError),
    ):
        source = GuestSource("qmp", cache=recorded.cache)
        with closing(source):
            source.max_map_count, source.hostname, source.vma_cost  # noqa: B018
            source.census()
            process = recorded.processes[first // len(guests) % len(recorded.processes)]
            source.cgroup_of(process)
            source.exe_of(process)
            source.table(process)


def known_kernel(content: bytes) -> None:
    """What a run of vmad left about a guest's kernel."""
    with as_file(content, "known.json") as path:
        list(AnchorCache(Path(path).parent))


def elf(content: bytes) -> None:
    """A program of somebody else's."""
    with as_file(content) as path, open(path, "rb") as file:
        found = read_elf(file.fileno())
        if found is not None:
            symbols_among(file.fileno(), found, ["main", "tc_malloc"])
            section(file.fileno(), found, ".comment")


def perf_map(content: bytes) -> None:
    """Names of code that a compiler made at run time."""
    with as_file(content) as path:
        names = PerfMap(os.getpid())
        names._path = Path(path)
        names.name_at(0x1000)
        list(names.functions(0, 1 << 63))


def package_index(content: bytes) -> None:
    """An index of Debian's packages."""
    with suppress(VmadError):
        lines = content.decode("utf-8", "replace").splitlines(keepends=True)
        bootable(lab_packages(lines, X86_64), X86_64)


PARSERS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        capture, capture_members, array, state, marks, timeline, recording, maps, smaps,
        small_texts, configuration, web_configuration, http, btf, types_file, image, page_tables,
        vmcoreinfo, memory_tree, guest_memory, known_kernel, qmp, elf, perf_map, package_index,
    )
}  # fmt: skip

#: where seeds are, a directory for each parser
SEEDS = Path(__file__).parent / "seeds"


def seeds_of(name: str) -> list[bytes]:
    """The inputs to begin with, and those that once were findings."""
    return [path.read_bytes() for path in sorted((SEEDS / name).glob("*"))]
