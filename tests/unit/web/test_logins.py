# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Wrong passwords are bounded for each client and in all, and tell nothing of who exists."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import bcrypt
import pytest

from tests.unit.web.serving import connect, get, parse_reply, read_all, serving
from tests.unit.web.test_budget import Clock
from tests.unit.web.test_web_config import basic, hashed
from vmad.errors import BadConfig
from vmad.web import logins
from vmad.web.basic_auth import Users
from vmad.web.connection import Connection
from vmad.web.logins import AGAIN, FAILURES, Failures, Login, Logins
from vmad.web.web_config import WebConfigFile, read_web_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: {hashed(b'sesame')}}}\n")
    return path


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that passwords were checked against."""
    found: list[bytes] = []
    plain = bcrypt.checkpw

    def checkpw(password: bytes, stored: bytes) -> bool:
        found.append(stored)
        return plain(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    return found


def test_wrong_passwords_are_soon_not_looked_at_and_known_ones_still_are(
    config: Path, checked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "AGAIN", 3600.0)
    with serving(web_config=str(config)) as address:
        assert get(address, "/metrics", basic("ann", "sesame")).status == 200
        replies = [
            get(address, "/metrics", basic("ann", f"guess {number}")) for number in range(60)
        ]
        known = [get(address, "/metrics", basic("ann", "sesame")).status for _ in range(20)]

    statuses = [reply.status for reply in replies]
    assert statuses == [401] * FAILURES + [429] * (60 - FAILURES)
    assert len(checked) == 1 + FAILURES
    assert int(next(r for r in replies if r.status == 429).headers["retry-after"]) >= 1
    assert known == [200] * 20


def test_correct_password_of_another_client_does_not_wait_for_the_wrong_ones(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failures count against where they come from: here, another address of this host."""
    monkeypatch.setattr(logins, "AGAIN", 3600.0)
    ann = basic("ann", "sesame")
    message = f"GET /metrics HTTP/1.0\r\nAuthorization: {ann['Authorization']}\r\n\r\n".encode()
    with serving(web_config=str(config)) as address:
        for number in range(FAILURES + 20):
            get(address, "/metrics", basic("ann", f"guess {number}"))
        refused = get(address, "/metrics", ann).status
        port = int(address.rpartition(":")[2])
        where = ("127.0.0.1", port)
        with socket.create_connection(where, source_address=("127.0.0.2", 0)) as other:
            other.sendall(message)
            answered = parse_reply(read_all(other)).status

    assert (refused, answered) == (429, 200)


def test_failures_fade_one_by_one() -> None:
    clock = Clock()
    failures = Failures(clock)
    for _ in range(FAILURES - 1):
        failures.add("10.0.0.1")
    assert failures.wait("10.0.0.1") == 0
    failures.add("10.0.0.1")
    assert failures.wait("10.0.0.1") == pytest.approx(AGAIN)
    assert failures.wait("10.0.0.2") == 0
    clock.now += AGAIN
    assert failures.wait("10.0.0.1") == 0
    failures.add("10.0.0.1")
    assert failures.wait("10.0.0.1") == pytest.approx(AGAIN)


def test_no_more_origins_are_remembered_than_some_thousands() -> None:
    failures = Failures()
    for number in range(20_000):
        failures.add(f"10.0.{number >> 8}.{number & 255}")

    assert len(failures._charged) <= 4096


class Slow:
    """Users whose passwords take a quarter of a second of CPU to check, by a counter of ours."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spent = 0.0
        monkeypatch.setattr(logins, "cpu_seconds", lambda: self.spent)

    def remembered(self, header: str | None) -> bool:
        return False

    def worth_checking(self, header: str | None) -> bool:
        return True

    def verify(self, header: str | None) -> bool:
        self.spent += 0.25
        return header == "right"


def test_who_never_failed_comes_in_while_others_try_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, users = Clock(), Slow(monkeypatch)
    checks = Logins(0.015, clock)

    def login(origin: str, header: str) -> Login:
        client = cast(Connection, SimpleNamespace(origin=origin, left=False))
        return asyncio.run(checks.check(cast(Users, users), header, client))

    came_in_after = None
    for second in range(600):
        clock.now += 1
        for number in range(3):
            login(f"10.0.0.{number}", "wrong")
        if second >= 60 and second % 15 == 0 and login("10.9.9.9", "right") is Login.RIGHT:
            came_in_after = second - 60
            break

    assert came_in_after is not None
    assert came_in_after <= 15
    # what a minute had saved, what there was since, and at most a check of each kind too much
    assert users.spent <= 0.015 * (60 + second) + 0.5


def test_user_who_does_not_exist_costs_what_one_who_does_costs(checked: list[bytes]) -> None:
    """The same hash at each try, so that the time is that of a user, not of a stranger."""
    dear, cheap = bcrypt.hashpw(b"a", bcrypt.gensalt(5)), bcrypt.hashpw(b"b", bcrypt.gensalt(4))
    users = Users({"ann": dear.decode(), "ben": cheap.decode()})
    for name in (f"stranger {number}" for number in range(40)):
        checked.clear()
        for _ in range(3):
            assert not users.verify(basic(name, "a")["Authorization"])
        assert checked == [checked[0]] * 3
        assert checked[0] in (dear, cheap)


def test_wrong_passwords_that_wait_do_not_pile_up(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    def checkpw(password: bytes, stored: bytes) -> bool:
        entered.release()
        leave.wait()
        return False

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    with serving(web_config=str(config), max_connections=64) as address:
        clients = [connect(address) for _ in range(30)]
        head = "\r\n".join(f"{k}: {v}" for k, v in basic("ann", "x").items())
        for one in clients:
            one.sendall(f"GET /metrics HTTP/1.0\r\n{head}\r\n\r\n".encode())
        entered.acquire()
        # one is looked at, eight wait; all others are told to come back
        replies: list[int] = []
        while len(replies) < len(clients) - 9:
            replies += [parse_reply(read_all(one)).status for one in ready(clients)]
        # those who left are not looked at when it comes to them
        for one in clients:
            one.close()
        leave.set()
        assert get(address, "/-/healthy").status == 401

    assert set(replies) == {429}


def ready(clients: list) -> list:  # type: ignore[type-arg]
    """Those that were answered; they are taken out."""
    import select  # noqa: PLC0415

    found, _, _ = select.select(clients, [], [], 20)
    for one in found:
        clients.remove(one)
    return found


@pytest.mark.parametrize("cost", [15, 31])
def test_hash_that_takes_seconds_or_days_is_refused_with_file_and_line(
    config: Path, cost: int
) -> None:
    stored = f"$2y${cost:02}{hashed(b'x')[6:]}"
    config.write_text(f"basic_auth_users:\n  ann: {hashed(b'x')}\n  ben: {stored}\n")

    with pytest.raises(BadConfig) as refusal:
        read_web_config(str(config))

    assert str(refusal.value).startswith(f"{config}:3: ben: cost {cost} takes too long: at most 14")
    assert "\n" not in str(refusal.value)


def test_who_was_let_in_still_is_after_a_change_that_is_not_about_users(config: Path) -> None:
    file = WebConfigFile(str(config))
    before = file.current().users
    config.write_text(config.read_text() + "http_server_config: {http2: false}\n")
    assert file.current().users is before
    config.write_text(f"basic_auth_users: {{ann: {hashed(b'other')}}}\n")
    assert file.current().users is not before
