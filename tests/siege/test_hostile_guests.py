# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A daemon within its unit's memory, whose guests and QEMUs say what they like: it goes on, tells
why, and reads them again as soon as they can be read.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemons import Daemon, wait_for
from tests.memory_group import memory_group
from tests.other_users import open_to_everybody
from tests.siege.test_faults import scans, wait_for_scans
from tests.unit.guest.conftest import RECORDINGS, Recorded, start
from tests.unit.guest.fake_qemu import GREETING
from tests.unit.guest.test_hostile_qemu import HARM, REGISTERS, tree, with_an_image

#: of the unit
MEMORY_MAX = 256 << 20
REBOOT = b'{"event": "RESET", "data": {}}\r\n'
CONFIG = """\
scan: {{interval: 1s, budget: 50%}}
targets:
- {{name: there, qemu: {there}}}
- {{name: dripping, qemu: {dripping}}}
- {{name: flooding, qemu: {flooding}}}
"""


def drip(client: socket.socket, over: threading.Event) -> None:
    """A byte of a greeting at a time."""
    for byte in GREETING * 1_000:
        client.sendall(bytes([byte]))
        if over.wait(0.1):
            return


def flood(client: socket.socket, over: threading.Event) -> None:
    """Events, as many as are taken."""
    client.sendall(GREETING)
    events = b'{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}\n' * 100
    while not over.is_set():
        client.sendall(events)


@contextmanager
def serving(path: Path, talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[None]:
    """Whoever connects is talked to so."""
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(4)

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, suppress(OSError):
                    talk(client, over)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(30)


class Changes:
    """What a recorded guest says otherwise, until it is ``honest`` again."""

    def __init__(self, guest: Recorded) -> None:
        self._qemu = guest.qemu
        self._honest = dict(vars(guest.qemu))
        self._dicts = {
            name: dict(value) for name, value in self._honest.items() if isinstance(value, dict)
        }

    def honest(self) -> None:
        for name in ("memory", "greeting", "before_read"):
            setattr(self._qemu, name, self._honest[name])
        for name, value in self._dicts.items():
            getattr(self._qemu, name).clear()
            getattr(self._qemu, name).update(value)

    def image_of_any_size(self, mebibytes: int) -> None:
        self._qemu.memory = with_an_image(1 << 30, mebibytes)
        self._qemu.human |= {
            "info mtree -f": tree((0, (1 << 31) - 1)),
            "info registers": REGISTERS,
        }

    def answer(self, command: str, said: Any) -> None:
        self._qemu.answers[command] = said

    def error(self, command: str, said: Any) -> None:
        self._qemu.raw_answers[command] = {"error": said}

    def print(self, line: str, text: str) -> None:
        self._qemu.human[line] = text


LIES: list[tuple[Callable[[Changes], None], str]] = [
    (lambda it: it.image_of_any_size(256), "image of the guest's kernel takes 256 MiB of memory"),
    (lambda it: it.image_of_any_size(64), "nothing in it has the name of one"),
    (lambda it: it.answer("query-target", {"arch": HARM}), r"machine is one\\x0atwo"),
    (lambda it: it.error("qmp_capabilities", {"desc": HARM}), r"QEMU refuses: one\\x0atwo"),
    (lambda it: it.answer("query-status", []), "answers query-status with something else"),
    (lambda it: it.print("info registers", "CR3=" + "f" * 100_000), "not in 64-bit mode"),
    (lambda it: it.print("info mtree -f", tree((0, (1 << 64) - 1))), "the guest claims"),
    (lambda it: it.answer("add-fd", {"fd": 10**40}), "cannot hand over memory|no Linux"),
    (lambda it: it.answer("pmemsave", "no"), "cannot hand over memory: no"),
]  # fmt: skip


@pytest.mark.memory_group
@pytest.mark.root
def test_what_guests_and_their_qemus_do_costs_nobody_else_and_ends_with_it(tmp_path: Path) -> None:
    open_to_everybody(tmp_path)
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    guest = start(RECORDINGS[-1], recorded)
    (recorded / "guests").symlink_to(recorded / "cache")
    changes = Changes(guest)
    paths = {name: tmp_path / name for name in ("dripping", "flooding")}
    config = CONFIG.format(there=guest.path, **paths)
    environment = {"CACHE_DIRECTORY": str(recorded)}
    with (
        memory_group(MEMORY_MAX) as group,
        guest.qemu,
        serving(paths["dripping"], drip),
        serving(paths["flooding"], flood),
        Daemon(tmp_path, config, prefix=group.enter, environment=environment).ready() as daemon,
    ):

        def up(name: str) -> float | None:
            return daemon.value("vmad_target_up", target=name)

        wait_for("the guest", lambda: up("there") == 1)
        for lie, said in LIES:
            lie(changes)
            guest.qemu.events.append(REBOOT)  # so that it is attached to anew
            daemon.logged(f"target there: .*(?:{said})")
            wait_for("the failure", lambda: up("there") == 0)
            assert daemon.status("/metrics?target=there") == 200
            assert daemon.status("/?target=there") == 200
            changes.honest()
            wait_for("the guest again", lambda: up("there") == 1)
        daemon.logged("target dripping: .*does not speak QMP")
        daemon.logged("target flooding: .*has not answered for 10 s")
        before = scans(daemon)
        wait_for_scans(daemon)
        assert scans(daemon) > before
        assert up("dripping") == up("flooding") == 0
        assert daemon.value("vmad_scan_interval_seconds", kind="effective") == 1
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
    assert "made a mistake" not in daemon.log
    assert all(line.isprintable() for line in daemon.log.split("\n"))
