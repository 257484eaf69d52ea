# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A QEMU that says whatever it likes: one line, in bounds of time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.guest.conftest import Recorded
from tests.unit.guest.fake_qemu import FakeQemu, Memory
from tests.unit.guest.test_bad_guests import refused
from tests.unit.guest.test_torn import Place
from vmad.errors import CannotRead, TargetUnavailable, VmadError
from vmad.model.process import Unreadable
from vmad.sources.guest import attach, memory, qmp, source
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.source import GuestSource

#: ends a line, a terminal's colours, and what UTF-8 has no bytes for
HARM = "one\ntwo\r\x1b[31m\ud800" + "x" * 5_000


def tree(*blocks: tuple[int, int]) -> str:
    """ "info mtree -f" with RAM from .. up to and with .."""
    lines = "".join(f"  {first:016x}-{last:016x} (prio 0, ram): r\n" for first, last in blocks)
    return f'FlatView #0\n AS "memory", root: system\n{lines}'


class Answering(dict[str, str]):
    """What the human monitor prints; ``print_it`` is asked first."""

    def __init__(self, others: dict[str, str], print_it: Callable[[str], str | None]) -> None:
        super().__init__(others)
        self._print = print_it

    def get(self, line: str, default: Any = None) -> Any:
        printed = self._print(line)
        return super().get(line, default) if printed is None else printed


@pytest.mark.parametrize(
    "command",
    [
        "qmp_capabilities",
        "query-status",
        "query-target",
        "add-fd",
        "human-monitor-command",
        "pmemsave",
    ],
)
def test_an_error_is_told_in_one_line_that_prints(guest: Recorded, command: str) -> None:
    guest.qemu.raw_answers[command] = {"error": {"desc": HARM}}
    said = refused(guest)
    assert said.isprintable()
    assert len(said) < 1_000


def test_a_machine_is_named_in_one_line_that_prints(guest: Recorded) -> None:
    guest.qemu.answers["query-target"] = {"arch": HARM}
    said = refused(guest)
    assert said.isprintable()
    assert len(said) < 1_000


def test_a_run_state_is_one_line_that_prints(guest: Recorded) -> None:
    guest.qemu.answers["query-status"] = {"status": HARM}
    opened = guest.open()
    opened.census()
    assert opened.status.isprintable()
    assert len(opened.status) < 1_000
    opened.close()


@pytest.mark.parametrize("base", [10**30, (1 << 64) - 4096, 1 << 62, 0])
def test_addresses_that_no_program_has_are_not_read(guest: Recorded, base: int) -> None:
    """The answer to gpa2hva; memory is then read as for any QEMU that does not tell."""

    def answer(line: str) -> str | None:
        word, _, address = line.partition(" ")
        return f"is {base + int(address, 16):#x}" if word == "gpa2hva" else None

    guest.qemu.human = Answering(guest.qemu.human, answer)
    opened = guest.open()
    assert opened.guest.memory.way == "pmemsave"
    assert len(opened.census())
    opened.close()


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([(0, (1 << 64) - 1)], id="all there is"),
        pytest.param([((1 << 64) - (1 << 16), (1 << 64) - 1)], id="the end of all"),
        pytest.param([(1, (1 << 26) - 3)], id="not whole pages"),
        pytest.param([(4096, 0)], id="backwards"),
        pytest.param([(0, (1 << 46) - 1)], id="64 TiB"),
    ],
)
def test_memory_that_no_machine_has_is_refused(
    guest: Recorded, blocks: list[tuple[int, int]]
) -> None:
    guest.qemu.human["info mtree -f"] = tree(*blocks)
    with pytest.raises(VmadError):
        guest.open().table(guest.processes[0])


def test_a_machine_of_64_bit_arm_that_claims_all_memory_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an image could begin are 2**30 places: they are neither counted up nor all read."""
    monkeypatch.setattr(attach, "LONGEST_WORK", 0.5)
    monkeypatch.setattr(qmp, "LONGEST_WORK", 0.5)
    everything = {"info mtree -f": tree((0, (1 << 46) - 1))}
    arm = {"query-target": {"arch": "aarch64"}}
    with (
        FakeQemu(tmp_path / "s", Memory(), everything, **arm),
        pytest.raises(TargetUnavailable, match=r"reading it has taken more than 0\.5 s"),
    ):
        GuestSource(str(tmp_path / "s"), cache=AnchorCache(tmp_path / "none"))


def test_answers_that_each_come_in_time_do_not_take_for_ever(
    guest: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = guest.open()
    census = opened.census()
    for module in (source, qmp):
        monkeypatch.setattr(module, "LONGEST_WORK", 0.2)
    guest.qemu.before_read = lambda start, size: time.sleep(0.1)
    processes = [one for one in guest.processes for _ in range(100)]
    with pytest.raises(TargetUnavailable, match=r"reading it has taken more than 0\.2 s"):
        list(opened.summarise(processes))
    assert len(census)
    opened.close()


def test_one_answer_may_take_no_longer_than_the_whole(
    guest: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = guest.open()
    for module in (source, qmp):
        monkeypatch.setattr(module, "LONGEST_WORK", 0.2)
    guest.qemu.before_read = lambda start, size: time.sleep(1)
    with pytest.raises(TargetUnavailable, match=r"reading it has taken more than 0\.2 s"):
        opened.census()
    opened.close()


def test_work_after_a_pause_has_time_of_its_own(
    guest: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (source, attach, qmp):
        monkeypatch.setattr(module, "LONGEST_WORK", 10.0)
    opened = guest.open()
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 60)
    assert len(opened.census())
    assert opened.max_map_count
    opened.close()


#: x86-64 with its tables at 4096
REGISTERS = "CR3=0000000000001000 CR4=00000020\nEFER=0000000000000500\n"


def with_an_image(place: int, mebibytes: int) -> Memory:
    """Page tables that map an image of so many MiB, all zeroes, and nothing else."""
    made = Memory()
    made.put_word(0x1000 + 8 * 511, 0x2000 | 3)
    made.put_word(0x2000 + 8 * 510, 0x3000 | 3)
    for number in range(mebibytes // 2):
        made.put_word(0x3000 + 8 * number, place + (number << 21) | 0x83)
    return made


#: attaches to argv[1], says why it cannot, then how much memory that took at most
ATTACHER = """\
import re, sys
from pathlib import Path
from vmad.errors import VmadError
from vmad.sources.guest.source import GuestSource
def peak():
    return int(re.search("VmHWM: +([0-9]+)", Path("/proc/self/status").read_text().expandtabs())[1])
before = peak()
try:
    GuestSource(sys.argv[1])
except VmadError as error:
    print(error)
print(peak() - before >> 10)
"""


def attached(path: Path, *prefix: str) -> list[str]:
    """What a process says that attaches: the error, and MiB."""
    ran = subprocess.run(
        [*prefix, sys.executable, "-c", ATTACHER, str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"CACHE_DIRECTORY": str(path.parent / "none")},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_an_image_is_held_once(tmp_path: Path) -> None:
    human = {"info mtree -f": tree((0, (1 << 31) - 1)), "info registers": REGISTERS}
    with FakeQemu(tmp_path / "s", with_an_image(1 << 30, 128), human):
        said, mebibytes = attached(tmp_path / "s")
    assert "nothing in it has the name of one" in said
    assert 100 < int(mebibytes) < 192


def test_a_look_at_more_pages_than_it_holds_reads_the_same(
    guest: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = guest.open()
    processes = [one for one in guest.processes for _ in range(2)]
    expected = [opened.table(one) for one in processes]
    monkeypatch.setattr(memory, "MOST_PAGES", 2)
    held = []
    room = memory.Look._room

    def watched(self: memory.Look, pages: int) -> memoryview:
        held.append(self._used + pages)
        return room(self, pages)

    monkeypatch.setattr(memory.Look, "_room", watched)
    for process, table in zip(processes, expected, strict=True):
        again = opened.table(process)
        assert np.array_equal(again.rows, table.rows)
        assert again.paths == table.paths
    assert max(held) == 2
    opened.close()


def test_a_tree_of_more_nodes_than_its_vmas_need_is_not_followed(guest: Recorded) -> None:
    """A count of one before a tree of many: what is read is bounded by what it says itself."""
    opened, process = guest.open(), guest.processes[0]
    place = Place(guest, opened, process)
    place.change(place.mm, "mm_struct.map_count", 1)
    with pytest.raises(CannotRead, match=r"more nodes than its VMAs need|map_count is 1"):
        opened.table(process)
    opened.close()


def test_names_without_end_are_not_read(guest: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, process = guest.open(), guest.processes[0]
    assert opened.table(process).paths
    opened.census()
    monkeypatch.setattr(memory, "MOST_TEXTS", 3)
    with pytest.raises(CannotRead, match="more names than any process has"):
        opened.table(process)
    (found,) = opened.summarise([process])  # counting takes no names
    assert not isinstance(found, Unreadable)
    opened.close()
