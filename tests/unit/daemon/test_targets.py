# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Guests beside the host: each scanned by itself, told of when it cannot be, changed by reload."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.guest.conftest import RECORDINGS, Recorded, start
from tests.unit.guest.test_torn import Place
from vmad.config.schema import Config, ScanConfig, TargetConfig
from vmad.daemon.targets import Guest, Guests
from vmad.errors import CannotRead, TargetUnavailable
from vmad.sources.guest.source import GuestSource
from vmad.web.viewer import Viewer

PATIENCE = 30.0
ROOT = Viewer(trusted=True)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    found = start(RECORDINGS[-1], tmp_path)
    # the daemon's own memory of kernels
    (tmp_path / "guests").symlink_to(tmp_path / "cache")
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    with found.qemu:
        yield found


@pytest.fixture
def guests(guest: Recorded) -> Iterator[Guests]:
    made = Guests()
    yield made
    made.go_by(Config())


def config(*targets: TargetConfig) -> Config:
    return Config(scan=ScanConfig(interval=0.2, budget=0.9), targets=targets)


def test_a_guest_is_scanned_beside_one_that_is_not_there(
    guest: Recorded, guests: Guests, tmp_path: Path
) -> None:
    there, absent = TargetConfig("there", guest.path), TargetConfig("absent", f"{tmp_path}/none")
    guests.go_by(config(there, absent))
    contents = guests.contents()
    until(lambda: contents["there"].ready() is None)
    until(lambda: "no such socket" in (guests.problems()["absent"] or ""))
    assert guests.problems()["there"] is None
    text = contents["there"].metrics(False, False).decode()
    assert 'vmad_kernel_info{patched="false",release="' in text
    assert all('target="there"' in line for line in text.splitlines() if line[0] != "#")
    scan = json.loads("".join(contents["there"].scan_json() or ()))
    assert {one["pid"] for one in scan["processes"]} >= {one.pid for one in guest.processes}
    pid = guest.processes[0].pid
    explained = json.loads("".join(contents["there"].explain_json(pid, ROOT, pairs=True)))
    with pytest.raises(CannotRead, match="its addresses are for those who may read its maps"):
        contents["there"].explain_json(pid, Viewer(uid=1000, gid=1000), pairs=True)
    assert explained["evidence"] == "kernel"
    assert b"exact, from the guest" in contents["there"].page()

    assert contents["absent"].scan_json() is None
    assert "no such socket" in (contents["absent"].ready() or "")
    assert b"It cannot be read" in contents["absent"].page()
    assert (
        'vmad_source_up{source="kernel",target="absent"} 0.0'
        in contents["absent"].metrics(False, False).decode()
    )
    with pytest.raises(TargetUnavailable, match="no such socket"):
        contents["absent"].explain_json(1, ROOT, pairs=True)


def test_a_guest_that_reboots_is_attached_to_anew(guest: Recorded, guests: Guests) -> None:
    guests.go_by(config(TargetConfig("there", guest.path)))
    content = guests.contents()["there"]
    until(lambda: content.ready() is None)
    guest.qemu.answers["query-status"] = {"status": "shutdown"}
    until(lambda: "was shut down" in (content.ready() or ""))
    assert content.scan_json() is None  # old numbers are not shown
    guest.qemu.answers["query-status"] = {"status": "running"}
    until(lambda: content.ready() is None)


def test_a_target_that_is_no_longer_configured_is_let_go(guest: Recorded, guests: Guests) -> None:
    target = TargetConfig("there", guest.path)
    guests.go_by(config(target))
    content = guests.contents()["there"]
    until(lambda: content.ready() is None)
    guests.go_by(config(target))
    assert guests.contents()["there"] is content
    guests.go_by(config())
    assert not guests.contents()
    guests.go_by(config(TargetConfig("renamed", guest.path)))
    until(lambda: guests.contents()["renamed"].ready() is None)


def test_what_a_hostile_qemu_says_is_told_and_tried_again(guest: Recorded, guests: Guests) -> None:
    guest.qemu.answers["query-status"] = {}
    guests.go_by(config(TargetConfig("there", guest.path)))
    content = guests.contents()["there"]
    until(lambda: "something else than QEMU does" in (content.ready() or ""))
    guest.qemu.answers["query-status"] = {"status": "running"}
    until(lambda: content.ready() is None)


def test_a_mistake_of_ours_does_not_end_a_watch(
    guest: Recorded, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [ZeroDivisionError("one"), KeyError("two")]

    def mistaken(*words: object, **named: object) -> GuestSource:
        if left:
            raise left.pop()
        return GuestSource(*words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("vmad.sources.guest.source.GuestSource", mistaken)
    guests.go_by(config(TargetConfig("there", guest.path)))
    content = guests.contents()["there"]
    until(lambda: "vmad made a mistake on it: KeyError" in (content.ready() or ""))
    until(lambda: content.ready() is None)


def test_memory_that_ends_while_a_failure_is_told_does_not_end_a_watch(
    guest: Recorded, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [MemoryError(), MemoryError()]
    forget = Guest.forget

    def short(self: Guest, why: str) -> None:
        if left:
            raise left.pop()
        forget(self, why)

    monkeypatch.setattr(Guest, "forget", short)
    guest.qemu.answers["query-status"] = {"status": "shutdown"}
    guests.go_by(config(TargetConfig("there", guest.path)))
    content = guests.contents()["there"]
    until(lambda: not left and "was shut down" in (content.ready() or ""))
    guest.qemu.answers["query-status"] = {"status": "running"}
    until(lambda: content.ready() is None)


def test_what_a_guest_calls_its_processes_is_told_as_text(guest: Recorded, guests: Guests) -> None:
    harm = b'a\n\x1b[31m"\\<b>\xff'
    source = guest.open()
    for process in guest.processes:
        place = Place(guest, source, process)
        guest.qemu.memory.put(place.field(place.task, "task_struct.comm"), harm.ljust(16, b"\0"))
    source.close()
    guests.go_by(config(TargetConfig("there", guest.path)))
    content = guests.contents()["there"]
    until(lambda: content.ready() is None)
    pid = guest.processes[0].pid
    metrics = content.metrics(False, False).decode()
    pages = content.page() + content.process_page(pid, ROOT)
    documents = "".join(
        [*(content.scan_json() or ()), *content.explain_json(pid, ROOT, pairs=True)]
    )

    families = list(text_string_to_metric_families(metrics))
    groups = {
        sample.labels["group"]
        for family in families
        for sample in family.samples
        if "group" in sample.labels
    }
    assert any("\\x0a\\x1b[31m" in group for group in groups)
    for text in (metrics, pages.decode(), documents):
        assert "\x1b" not in text
        assert "\udcff" not in text
    assert b"\\<b>" not in pages
    assert b"\\&lt;b&gt;" in pages
    assert {one["pid"] for one in json.loads("".join(content.scan_json() or ()))["processes"]}
