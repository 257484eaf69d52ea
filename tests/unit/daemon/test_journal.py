# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Records as journald gets them: a datagram of fields, or a line where it cannot be had."""

from __future__ import annotations

import io
import logging
import os
import socket
import struct
import sys
from pathlib import Path

import pytest

from vmad.daemon.journal import LONGEST, JournalHandler, datagram, is_journal
from vmad.daemon.messages import ATTRIBUTE, FIELDS, MESSAGES, Message

ROOT = Path(__file__).parents[3]


def parsed(data: bytes) -> dict[str, str]:
    """What journald reads in a datagram (docs/JOURNAL_NATIVE_PROTOCOL.md)."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            (length,) = struct.unpack_from("<Q", rest)
            name, value, rest = line, rest[8 : 8 + length], rest[9 + length :]
        fields[name.decode()] = value.decode("utf-8", "surrogateescape")
        data = rest
    return fields


def record(text: str, **fields: str) -> logging.LogRecord:
    made = logging.LogRecord("vmad", logging.WARNING, "", 0, text, (), None)
    setattr(made, ATTRIBUTE, fields)
    return made


@pytest.fixture
def journal(tmp_path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "socket"))
    listening.settimeout(10)
    return listening


def test_a_record_arrives_with_its_fields(journal: socket.socket, tmp_path: Path) -> None:
    handler = JournalHandler(logging.NullHandler(), str(tmp_path / "socket"))
    handler.handle(record("near", VMAD_PID="12", VMAD_COMM="two\nlines"))

    assert parsed(journal.recv(1 << 16)) == {
        "MESSAGE": "near",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "vmad",
        "THREAD_NAME": "MainThread",
        "VMAD_PID": "12",
        "VMAD_COMM": "two\nlines",
    }
    handler.close()


def test_a_record_without_fields_arrives_too(journal: socket.socket, tmp_path: Path) -> None:
    handler = JournalHandler(logging.NullHandler(), str(tmp_path / "socket"))
    handler.handle(logging.LogRecord("vmad", logging.ERROR, "", 0, "%s", ("x",), None))

    assert parsed(journal.recv(1 << 16))["PRIORITY"] == "3"
    handler.close()


@pytest.mark.parametrize("value", ["", "=", "a=b", "\n", "x\n\ny\n", "ä\udcff", "\0"])
def test_any_value_comes_through(value: str) -> None:
    assert parsed(datagram({"A": value, "B": "end"})) == {"A": value, "B": "end"}


def test_a_value_is_bounded() -> None:
    assert len(datagram({"A": "x" * (10 * LONGEST)})) < LONGEST + 10


def test_where_nobody_listens_the_line_goes_elsewhere(tmp_path: Path) -> None:
    written = io.StringIO()
    handler = JournalHandler(logging.StreamHandler(written), str(tmp_path / "nowhere"))
    handler.handle(record("near"))

    assert written.getvalue() == "near\n"
    handler.close()


def test_a_journal_that_does_not_read_holds_nobody_up(
    journal: socket.socket, tmp_path: Path
) -> None:
    written = io.StringIO()
    handler = JournalHandler(logging.StreamHandler(written), str(tmp_path / "socket"))
    for _ in range(5000):
        handler.handle(record("x" * 1000))

    assert written.getvalue().startswith("x")
    handler.close()


def test_only_a_stream_that_leads_there_is_the_journal(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        there = f"{status.st_dev}:{status.st_ino}"
        assert is_journal(stream, {"JOURNAL_STREAM": there})
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:1"})
        assert not is_journal(stream, {})
        assert not is_journal(stream, {"JOURNAL_STREAM": "nonsense"})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": there})
    assert not is_journal(sys.stderr, {"JOURNAL_STREAM": ":"})


def test_ids_are_128_bits_and_nobody_elses() -> None:
    ids = [message.id for message in MESSAGES]

    assert len(set(ids)) == len(ids)
    assert all(len(each) == 32 and int(each, 16) for each in ids)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_a_message_is_documented(message: Message) -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    level = logging.getLevelName(message.level).lower()

    assert f"| `{message.name}` | {level} | {message.tells} | `{message.id}` |" in text


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_documented(field: str) -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

    assert f"| `{field}` | {FIELDS[field]} |" in text
