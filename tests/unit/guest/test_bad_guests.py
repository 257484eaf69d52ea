# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Sockets that are no guest, and guests that cannot be read: one line each."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import pytest

from tests.unit.guest.conftest import Recorded
from tests.unit.guest.fake_qemu import GREETING, Memory, without_paging
from vmad.cli.main import main
from vmad.errors import TargetUnavailable
from vmad.sources.guest import qmp
from vmad.sources.guest.attach import NOT_THERE
from vmad.sources.guest.cache import AnchorCache


def refused(guest: Recorded, **options: object) -> str:
    with pytest.raises(TargetUnavailable) as caught:
        guest.open(**options)
    assert "\n" not in str(caught.value)
    assert guest.path in str(caught.value)
    return str(caught.value)


@contextmanager
def listening(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(1)

        def serve() -> None:
            client, _ = server.accept()
            with client:
                answer(client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(10)


def test_no_socket_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--target", f"qemu:{tmp_path}/absent"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"vmad: qemu:{tmp_path}/absent: no such socket; is the guest running?\n"


def test_a_file_is_no_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["scan", "--target", f"qemu:{tmp_path}/file"]) == 3
    assert "nobody listens on it" in capsys.readouterr().err


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.1 400 Bad Request\r\n", b'{"hello": 1}\r\n', b"[]\n"]
)
def test_what_is_not_qmp_is_told(
    tmp_path: Path, greeting: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qmp, "GREETING_TIMEOUT", 0.3)
    with (
        listening(tmp_path / "s", lambda client: client.sendall(greeting)),
        pytest.raises(TargetUnavailable, match="does not speak QMP; name a socket of qemu's"),
    ):
        qmp.Monitor(str(tmp_path / "s"))


@pytest.mark.parametrize("left_over", [b'{"return": {}, "id": 1}\r\n', b'{"return": "abc', b"\r\n"])
def test_what_a_killed_client_left_is_passed_over(guest: Recorded, left_over: bytes) -> None:
    guest.qemu.greeting = left_over + guest.qemu.greeting
    source = guest.open()
    assert len(source.census())
    source.close()


def test_answers_to_another_client_are_passed_over(guest: Recorded) -> None:
    source = guest.open()
    guest.qemu.events += [b'{"return": {"status": "shutdown"}, "id": 1}\r\n', b'{"error": {}}\r\n']
    assert len(source.census())
    source.close()


def test_a_socket_in_use_is_told(guest: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "GREETING_TIMEOUT", 0.2)
    first = qmp.Monitor(guest.path)
    assert "another client is connected, and QMP serves one" in refused(guest)
    first.close()


@pytest.mark.parametrize("command", ["query-status", "human-monitor-command", "add-fd", "pmemsave"])
def test_a_connection_that_ends_in_the_middle_is_told(guest: Recorded, command: str) -> None:
    guest.qemu.hang_up_at = command
    assert "QEMU closed the connection; has the guest ended?" in refused(guest)


def test_a_connection_that_ends_later_is_told(guest: Recorded) -> None:
    source = guest.open()
    guest.qemu.hang_up_at = "pmemsave"
    with pytest.raises(TargetUnavailable, match="QEMU closed the connection"):
        source.census()
    source.close()


def test_a_qemu_that_hangs_is_given_up(guest: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    source = guest.open()
    over = threading.Event()

    def hang(start: int, size: int) -> None:
        over.wait(10)

    guest.qemu.before_read = hang
    monkeypatch.setattr(qmp, "TIMEOUT", 0.2)
    source.guest.monitor._socket.settimeout(0.2)
    with pytest.raises(TargetUnavailable, match=r"QEMU has not answered for 0\.2 s"):
        source.census()
    over.set()
    source.close()


@pytest.mark.parametrize("status", NOT_THERE)
def test_a_guest_that_is_not_there_is_told(guest: Recorded, status: str) -> None:
    guest.qemu.answers["query-status"] = {"status": status}
    assert f"QEMU {NOT_THERE[status]}" in refused(guest)


def test_a_guest_that_migrates_away_is_told(guest: Recorded) -> None:
    source = guest.open()
    guest.qemu.answers["query-status"] = {"status": "postmigrate"}
    with pytest.raises(TargetUnavailable, match="has let its guest migrate away"):
        source.census()
    source.close()


def test_a_paused_guest_is_read(guest: Recorded) -> None:
    guest.qemu.answers["query-status"] = {"status": "paused"}
    source = guest.open()
    assert len(source.census())
    assert source.status == "paused"
    source.close()


def test_a_guest_that_rebooted_is_told(guest: Recorded) -> None:
    source = guest.open()
    guest.qemu.events.append(b'{"event": "RESET", "data": {}}\r\n')
    with pytest.raises(TargetUnavailable, match="the guest has rebooted"):
        source.census()
    source.close()


def test_another_kernel_in_its_place_is_told(guest: Recorded) -> None:
    """It was started anew while nobody looked: no event was seen, the banner is another one."""
    source = guest.open()
    image, anchors = source.guest.space.image, guest.anchors
    guest.qemu.memory.put(image.physical + anchors.banner_offset, b"Linux version 9.9.9")
    with pytest.raises(TargetUnavailable, match="the guest has rebooted"):
        source.census()
    source.close()


def test_another_machine_is_told(guest: Recorded) -> None:
    guest.qemu.answers["query-target"] = {"arch": "riscv64"}
    said = "the guest's machine is riscv64; only guests of x86-64 and 64-bit Arm can be read"
    assert said in refused(guest)


def test_memory_of_another_machine_holds_no_kernel(guest: Recorded) -> None:
    guest.qemu.answers["query-target"] = {"arch": "aarch64"}
    assert "no image of one is in it" in refused(guest)


def test_a_32_bit_guest_is_told(guest: Recorded) -> None:
    guest.qemu.human["info registers"] = without_paging(guest.meta["registers"])
    assert "not in 64-bit mode" in refused(guest)


def test_memory_without_linux_is_told(guest: Recorded) -> None:
    guest.qemu.memory.pages.clear()
    assert "no Linux kernel is found in the guest's memory" in refused(guest)


def test_a_kernel_that_is_not_linux_is_told(guest: Recorded, tmp_path: Path) -> None:
    """Something is mapped where Linux would be, but nothing in it has its name."""
    guest.cache = AnchorCache(tmp_path / "empty")
    image_pages = Memory()
    for page, raw in guest.qemu.memory.pages.items():
        image_pages.pages[page] = bytearray(raw.replace(b"Linux version", b"Other version"))
    guest.qemu.memory.pages = image_pages.pages
    assert "nothing in it has the name of one" in refused(guest)


@pytest.mark.parametrize("command", ["human-monitor-command", "add-fd", "pmemsave", "query-status"])
def test_a_command_that_qemu_refuses_is_told(guest: Recorded, command: str) -> None:
    guest.qemu.answers[command] = "not for you"
    assert "not for you" in refused(guest)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("query-status", {}),
        ("query-status", []),
        ("query-status", {"status": {"running": True}}),
        ("query-target", {}),
        ("query-target", {"arch": 64}),
        ("add-fd", {}),
        ("add-fd", {"fd": "7; rm"}),
        ("add-fd", {"fd": True}),
    ],
)
def test_answers_of_another_shape_are_told(guest: Recorded, command: str, answer: object) -> None:
    guest.qemu.answers[command] = answer
    assert f"QEMU answers {command} with something else" in refused(guest)


def talking(*lines: bytes, every: float | None = None) -> Callable[[socket.socket], None]:
    """A QEMU that greets and then says this whatever it is asked; a byte at a time if told so."""

    def talk(client: socket.socket) -> None:
        with suppress(OSError):
            if every is None:
                client.sendall(GREETING)
            text = b"".join(lines)
            while True:
                if every is None:
                    client.sendall(text)
                    continue
                for byte in text:
                    client.sendall(bytes([byte]))
                    if Event().wait(every):
                        return

    return talk


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"event": "STOP", "timestamp": {"seconds": 1}}\n', id="events"),
        pytest.param(b'{"event": "STOP", "timestamp": [1]}\n', id="stamps of another type"),
        pytest.param(b'{"event": "E", "timestamp": {"seconds": "x", "microseconds": 1e999}}\n',
                     id="stamps that are no numbers"),
        pytest.param(b'{"return": {}, "id": 0}\n', id="answers to others"),
        pytest.param(b'{"error": "x"}\n', id="errors to others"),
    ],
)  # fmt: skip
def test_a_flood_ends_with_the_deadline_and_keeps_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    monkeypatch.setattr(qmp, "TIMEOUT", 0.3)
    with (
        listening(tmp_path / "s", talking(line * 100)),
        pytest.raises(TargetUnavailable, match=r"has not answered for 0\.3 s"),
    ):
        qmp.Monitor(str(tmp_path / "s"))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"[" * 200_000 + b"\n", id="nesting without end"),
        pytest.param(b"null\n", id="no object"),
        pytest.param(b'{"neither": 1}\n', id="neither answer nor event"),
        pytest.param(b"x" * (9 << 20), id="a line without end"),
    ],
)
def test_what_no_qemu_says_ends_the_connection(tmp_path: Path, line: bytes) -> None:
    with (
        listening(tmp_path / "s", talking(line)),
        pytest.raises(TargetUnavailable, match="does not speak QMP"),
    ):
        qmp.Monitor(str(tmp_path / "s"))


def test_a_greeting_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "GREETING_TIMEOUT", 0.3)
    with (
        listening(tmp_path / "s", talking(b" " * 1000, every=0.02)),
        pytest.raises(TargetUnavailable, match="does not speak QMP"),
    ):
        qmp.Monitor(str(tmp_path / "s"))


def test_an_error_of_another_shape_is_an_error(guest: Recorded) -> None:
    guest.qemu.raw_answers["query-status"] = {"error": "x"}
    assert "QEMU refuses: no description" in refused(guest)


def test_events_are_kept_in_bounded_number(guest: Recorded) -> None:
    source = guest.open()
    event = b'{"event": "STOP", "timestamp": {"seconds": 5, "microseconds": 250000}}\r\n'
    guest.qemu.events += [event] * 1000
    monitor = source.guest.monitor
    monitor.execute("query-status")
    assert monitor.take_events() == [("STOP", 5.25)] * qmp.MOST_EVENTS
    source.close()


def test_memory_in_thousands_of_pieces_is_no_guest(guest: Recorded) -> None:
    lines = "".join(
        f"  {at:016x}-{at + 0xFFF:016x} (prio 0, ram): r\n" for at in range(0, 1 << 24, 1 << 13)
    )
    guest.qemu.human["info mtree -f"] = f'FlatView #0\n AS "memory", root: system\n{lines}'
    refused(guest)
