# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A walk that hangs: the daemon goes on with procfs, and comes back when the kernel lets go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.e2e.daemons import wait_for
from tests.unit.scan.hosts import Imagined, ImaginedHost
from vmad.config.schema import Config, ScanConfig
from vmad.daemon import host as host_module
from vmad.daemon.evidence import Opened
from vmad.daemon.host import Host
from vmad.daemon.notify import Notify, Watchdog
from vmad.errors import CannotRead, EvidenceUnavailable
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unreadable
from vmad.model.table import VmaTable
from vmad.scan.phases import Phase
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import HostSnapshot
from vmad.sources.deadline import DeadlineSource, Hung
from vmad.sources.events import ProcessEvents
from vmad.sources.source import Census, SourceHealth


class FifoHost(ImaginedHost):
    """Reads block in the kernel, in the open(2) of a FIFO, until :meth:`let_go`."""

    def __init__(self, fifo: Path) -> None:
        super().__init__([Imagined(1), Imagined(2)])
        os.mkfifo(fifo)
        self.fifo = fifo
        self.held = True

    def _read(self) -> None:
        if self.held:
            os.close(os.open(self.fifo, os.O_RDONLY))

    def let_go(self) -> None:
        self.held = False
        # stays open: whoever is just about to open it shall not block either
        self.writer = os.open(self.fifo, os.O_RDWR)

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        self._read()
        return super().summarise(processes)

    def table(self, process: ProcessId) -> VmaTable:
        self._read()
        raise CannotRead("imagined")

    def health(self) -> SourceHealth:
        return SourceHealth("task_vma")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FifoHost]:
    made = FifoHost(tmp_path / "fifo")
    yield made
    if made.held:
        made.let_go()
    os.close(made.writer)


def test_walk_that_hangs_is_given_up_and_said_so(host: FifoHost) -> None:
    source = DeadlineSource(host, 0.05)
    with pytest.raises(Hung, match="task_vma walk hangs"):
        list(source.summarise([ProcessId(1, 1)]))

    assert source.stuck
    with pytest.raises(Hung):  # at once: the one worker is lost
        list(source.summarise([ProcessId(1, 1)]))
    assert len(source.census()) == 2  # takes no lock of a target


def test_person_who_asks_for_one_process_is_told_why(host: FifoHost) -> None:
    with pytest.raises(CannotRead, match="mmap_lock is held; try again later"):
        DeadlineSource(host, 0.05).table(ProcessId(1, 1))


def test_source_serves_again_once_the_kernel_let_go(host: FifoHost) -> None:
    source = DeadlineSource(host, 0.05)
    with pytest.raises(Hung):
        list(source.summarise([ProcessId(1, 1)]))
    host.let_go()
    wait_for("the lost worker to come back", lambda: not source.stuck)

    assert len(list(source.summarise([ProcessId(1, 1), ProcessId(2, 1)]))) == 2


def test_person_and_scan_at_the_same_time_do_not_look_like_a_hang(host: FifoHost) -> None:
    """The worker is busy with one of them; the other waits for its turn."""
    source = DeadlineSource(host, 30.0)
    found: list[ProcessSummary | Unreadable] = []
    scan = threading.Thread(target=lambda: found.extend(source.summarise([ProcessId(1, 1)])))
    scan.start()

    def ask() -> None:
        with pytest.raises(CannotRead, match="imagined"):
            source.table(ProcessId(1, 1))
        answered.append(True)

    answered: list[bool] = []
    person = threading.Thread(target=ask)
    person.start()
    host.let_go()
    scan.join(30)
    person.join(30)

    assert len(found) == 1
    assert answered == [True]
    assert not source.stuck


def test_daemon_falls_back_to_procfs_and_returns(
    host: FifoHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "TRY_AGAIN", 0.0)
    monkeypatch.setattr(host_module, "BREATH", 0.01)
    config = Config(scan=ScanConfig(interval=0.02, budget=1.0, deadline=0.05, events=False))
    # long enough for an honest walk on a machine that does much else
    opened = Opened(DeadlineSource(host, 2.0), {"kernel": None, "procfs": None})
    shown: list[HostSnapshot] = []
    subject = Host(
        config,
        opened,
        Scanner(opened.source, config, "host"),
        events=ProcessEvents(1.0),
        watchdog=Watchdog(Notify(), None),
        shown=lambda snapshot, first: shown.append(snapshot),
    )
    loop = threading.Thread(target=subject.scan_loop)
    loop.start()
    try:
        first = wait_for("a scan by procfs", lambda: shown)[0]
        assert first.evidence is Evidence.PROCFS
        assert os.getpid() in {one.id.pid for one in first.processes}
        assert "hangs" in str(opened.problems["kernel"])
        phases = subject.stats().machine.phases
        assert not phases["kernel", Phase.WALK].succeeded
        assert phases["procfs", Phase.RENDER].succeeded

        host.let_go()
        kernel = wait_for(
            "a scan by the kernel",
            lambda: next((one for one in shown if one.evidence is Evidence.KERNEL), None),
        )
        assert {one.id.pid for one in kernel.processes} == {1, 2}
        assert opened.problems["kernel"] is None
    finally:
        subject.stop()
        loop.join(30)
    assert not loop.is_alive()


class RefusedHost(ImaginedHost):
    """The kernel refuses to run the programs, until it no longer does."""

    refused = True

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        if self.refused:
            raise EvidenceUnavailable("BPF: run refused: Operation not permitted")
        return super().summarise(processes)


def test_programs_refused_half_way_leave_procfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "TRY_AGAIN", 0.0)
    monkeypatch.setattr(host_module, "BREATH", 0.01)
    config = Config(scan=ScanConfig(interval=0.02, budget=1.0, events=False))
    host = RefusedHost([Imagined(1), Imagined(2)])
    opened = Opened(host, {"kernel": None, "procfs": None})
    shown: list[tuple[HostSnapshot, str | None]] = []
    subject = Host(
        config,
        opened,
        Scanner(host, config, "host"),
        events=ProcessEvents(1.0),
        watchdog=Watchdog(Notify(), None),
        # when it is shown: a moment later the kernel is tried again
        shown=lambda snapshot, first: shown.append((snapshot, opened.problems["kernel"])),
    )
    loop = threading.Thread(target=subject.scan_loop)
    loop.start()
    try:
        first, why = wait_for("a scan by procfs", lambda: shown)[0]
        assert first.evidence is Evidence.PROCFS
        assert "run refused" in str(why)
        host.refused = False
        wait_for(
            "a scan by the kernel",
            lambda: any(one.evidence is Evidence.KERNEL for one, _ in list(shown)),
        )
    finally:
        subject.stop()
        loop.join(30)
    assert not loop.is_alive()


class ShutHost(RefusedHost):
    """Everything is refused; counts how often it was asked."""

    asked = 0

    def sample(self) -> Census:
        self.asked += 1
        if self.refused:
            raise EvidenceUnavailable("BPF: iterator refused: Operation not permitted")
        return super().sample()


def test_evidence_that_is_refused_is_asked_for_at_each_interval_and_taken_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_module, "TRY_AGAIN", 3600.0)
    monkeypatch.setattr(host_module, "BREATH", 0.01)
    config = Config(scan=ScanConfig(interval=0.02, budget=1.0, events=False))
    host = ShutHost([Imagined(1), Imagined(2)])
    subject = Host(
        config,
        Opened(host, {"kernel": None, "procfs": None}),
        Scanner(host, config, "host"),
        events=ProcessEvents(1.0),
        watchdog=Watchdog(Notify(), None),
        shown=lambda snapshot, first: shown.append(snapshot.evidence),
    )
    shown: list[Evidence] = []
    loop = threading.Thread(target=subject.scan_loop)
    loop.start()
    try:
        wait_for("some scans by procfs", lambda: len(shown) > 3)
        assert set(shown) == {Evidence.PROCFS}
        assert host.asked > 1
        host.refused = False
        seen = len(shown)
        wait_for("two scans more", lambda: len(shown) > seen + 2)
        assert Evidence.KERNEL in shown[seen : seen + 2]
        # one that comes back and is refused once more is left alone for a while
        host.refused = True
        wait_for("scans by procfs again", lambda: shown[-1] is Evidence.PROCFS)
        host.refused = False
        asked, seen = host.asked, len(shown)
        wait_for("some scans more", lambda: len(shown) > seen + 3)
        assert host.asked == asked
        assert set(shown[seen:]) == {Evidence.PROCFS}
    finally:
        subject.stop()
        loop.join(30)
    assert not loop.is_alive()


def test_watchdog_goes_hungry_while_a_scan_does_not_end(host: FifoHost) -> None:
    """A source that hangs where nothing bounds it: a fault of ours, for the manager to see."""
    now = [0.0]
    config = Config(scan=ScanConfig(interval=1, events=False))
    watchdog = Watchdog(Notify(), 30.0, lambda: now[0])
    subject = Host(
        config,
        Opened(host, {}),
        Scanner(host, config, "host"),
        events=ProcessEvents(1.0),
        watchdog=watchdog,
        shown=lambda snapshot, first: None,
    )
    loop = threading.Thread(target=subject.scan_loop, daemon=True)
    loop.start()
    assert watchdog.feed()
    now[0] = 2 * 1 + host_module.PATIENCE + 1
    assert not watchdog.feed()

    subject.stop()
    host.let_go()
    loop.join(30)
    assert watchdog.feed()  # it ended after all
