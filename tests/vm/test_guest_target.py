# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One guest seen both ways: what vmad reads from outside is what it reads inside, pair by pair."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vmad.cli.main import main
from vmad.errors import ProcessGone, VmadError
from vmad.lab.errors import LabError
from vmad.lab.guest.machine import Machine
from vmad.lab.run import run_streaming
from vmad.model.process import Evidence, ProcessId
from vmad.sources.capture import CaptureSource
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.qmp import Monitor
from vmad.sources.guest.source import GuestSource

INSIDE = "tests.vm.guest_inside"
#: columns that procfs shows as they are: the evidence inside of kernels before 5.15
SHOWN_BY_PROCFS = ("start", "end", "perms", "kind", "pair")
KILLS = 20

#: reads a guest again and again, each process while the guest stands still
READER = """
import sys
from vmad.model.process import ProcessId
from vmad.sources.guest.source import GuestSource
source = GuestSource(sys.argv[1], consistent=True)
print("reading", flush=True)
while True:
    for row in source.census()[["pid", "start_time"]].tolist():
        list(source.summarise([ProcessId(*row)]))
"""


@dataclass
class Both:
    """A guest that stands still: its socket, what was seen inside, whose layouts there are."""

    socket: Path
    inside: CaptureSource
    pids: list[int]
    cache: AnchorCache

    def open(self, consistent: bool = False) -> GuestSource:
        return GuestSource(str(self.socket), cache=self.cache, consistent=consistent)

    def quiet(self) -> list[ProcessId]:
        """Processes of the record, apart from the one that made it."""
        census = self.inside.census()[["pid", "start_time"]].tolist()
        return [ProcessId(*row) for row in census if row[0] <= max(self.pids)]


@pytest.fixture(scope="module")
def both(kernel: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    directory = tmp_path_factory.mktemp("guest")
    said = bytearray()
    news = threading.Event()
    failure: list[BaseException] = []

    def hear(part: bytes) -> None:
        said.extend(part)
        if b"ready" in said and said.endswith(b"\n"):
            news.set()

    def boot() -> None:
        try:
            run_streaming(
                kernel,
                [sys.executable, "-m", INSIDE, str(directory / "out")],
                machine=Machine(cpus=1, qmp=directory / "qmp"),
                timeout=1800,
                out_dir=directory / "out",
                stdin=b"",
                stdout=hear,
                stderr=lambda part: None,
            )
        except LabError as error:
            failure.append(error)
        finally:
            news.set()

    lab = threading.Thread(target=boot, daemon=True)  # QEMU ends with this process at the latest
    lab.start()
    news.wait()
    assert b"ready" in said, failure
    pids = json.loads(said[said.index(b"ready") + 5 :])
    inside = CaptureSource(str(directory / "out" / "inside.vmad"))
    yield Both(directory / "qmp", inside, pids, AnchorCache(directory / "cache"))
    inside.close()
    with suppress(VmadError), closing(Monitor(str(directory / "qmp"))) as monitor:
        monitor.execute("quit")
    lab.join(30)


def test_every_pair_has_the_same_facts_from_outside(both: Both) -> None:
    with closing(both.open()) as source:
        exact = both.inside.evidence is Evidence.KERNEL
        pairs = 0
        for process in both.quiet():
            inside, outside = both.inside.table(process), source.table(process)
            for column in inside.rows.dtype.names or () if exact else SHOWN_BY_PROCFS:
                differing = np.flatnonzero(inside.rows[column] != outside.rows[column])
                assert not len(differing), (process, column, differing[:5])
            # maps of a process whose first thread has exited is empty
            assert outside.paths == inside.paths or (outside.paths and not inside.paths)
            assert outside.map_count == inside.map_count
            assert outside.comm == inside.comm
            assert outside.consistent
            pairs += int(inside.rows["pair"].sum())
        # procfs may have given up the large one: smaps of 20,000 VMAs, emulated
        assert pairs > (20_000 if exact else 30)


def test_the_guest_says_the_same_of_itself(both: Both, kernel: str) -> None:
    with closing(both.open()) as source:
        assert source.kernel == both.inside.kernel
        assert source.max_map_count == both.inside.max_map_count
        assert source.hostname == "vmad-lab"
        there = {tuple(row) for row in source.census()[["pid", "start_time"]].tolist()}
        assert set(both.quiet()) <= there
        with pytest.raises(ProcessGone):
            source.table(ProcessId(max(both.pids), 1))


def test_a_scan_from_outside_is_the_scan_of_the_record(
    both: Both, capsys: pytest.CaptureFixture[str]
) -> None:
    pids = [str(process.pid) for process in both.quiet()]
    answers = []
    for source in (["--target", f"qemu:{both.socket}"], ["--from", str(both.inside._path)]):
        assert main(["scan", *pids, *source, "--format", "json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    outside, inside = answers
    if both.inside.evidence is Evidence.KERNEL:
        assert outside["processes"] == inside["processes"]
    assert outside["kernel"] == inside["kernel"]
    assert outside["evidence"] == "kernel"
    assert not outside["unreadable"]


def test_a_guest_that_stood_still_goes_on(both: Both) -> None:
    with closing(both.open(consistent=True)) as source:
        processes = both.quiet()
        for process in processes:
            assert len(source.table(process).rows) == len(both.inside.table(process).rows)
        assert source.stops is not None
        assert source.stops.count == len(processes)
        assert source.guest.monitor.execute("query-status")["status"] == "running"


def test_a_guest_goes_on_whenever_vmad_is_killed(both: Both) -> None:
    chance = random.Random(7)
    for _ in range(KILLS):
        words = [sys.executable, "-c", READER, str(both.socket)]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"reading\n"
            with suppress(subprocess.TimeoutExpired):
                reader.wait(chance.random() / 2)  # any moment of it
            reader.send_signal(signal.SIGKILL)
        with closing(Monitor(str(both.socket))) as monitor:
            # QEMU may take the next client before the dump that held the guest has ended
            deadline = time.monotonic() + 10
            while monitor.execute("query-status")["status"] != "running":
                assert time.monotonic() < deadline
                time.sleep(0.01)
