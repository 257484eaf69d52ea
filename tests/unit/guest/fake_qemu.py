# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A QMP server over memory of ours: what vmad asks of QEMU, and nothing more.

It serves one client at a time, as QEMU does. Memory is recorded words, zeroes between them, and
may be changed by ``before_read``, which is called with each range that is read.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

GREETING = b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 9}}}}\r\n'


class Memory:
    """Physical memory by page; what was never written is zero."""

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {}

    def put(self, address: int, raw: bytes) -> None:
        for at, byte in enumerate(raw, address):
            self.pages.setdefault(at >> 12, bytearray(4096))[at & 4095] = byte

    def put_words(self, places: Any, words: Any) -> None:
        raw = words.tobytes()
        for number, place in enumerate(places.tolist()):
            page = self.pages.setdefault(place >> 12, bytearray(4096))
            page[place & 4095 : (place & 4095) + 8] = raw[8 * number : 8 * number + 8]

    def get(self, address: int, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            at = address + len(found)
            page = self.pages.get(at >> 12, bytes(4096))
            found += page[at & 4095 :][: size - len(found)]
        return bytes(found)

    def word(self, address: int) -> int:
        return int.from_bytes(self.get(address, 8), "little")

    def put_word(self, address: int, value: int) -> None:
        self.put(address, (value & (1 << 64) - 1).to_bytes(8, "little"))


class FakeQemu:
    """Context manager. ``answers`` are added to, or replace, those to plain commands."""

    def __init__(self, path: Path, memory: Memory, human: dict[str, str], **answers: Any) -> None:
        self.path = path
        self.memory = memory
        self.human = human
        self.answers: dict[str, Any] = {
            "qmp_capabilities": {},
            "query-status": {"status": "running", "running": True},
            "query-target": {"arch": "x86_64"},
            "query-dump": {"status": "none"},
            "query-version": {"qemu": {"major": 9, "minor": 0, "micro": 0}},
            **answers,
        }
        self.raw_answers: dict[str, dict[str, Any]] = {}
        self.before_read: Callable[[int, int], None] = lambda start, size: None
        self.asked: list[str] = []
        self.events: list[bytes] = []
        self.greeting = GREETING
        self.hang_up_at: str | None = None  #: the command that the connection is closed at
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(4)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # wakes accept(2), which close(2) alone does not
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client:
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        fds: list[int] = []
        try:
            client.sendall(self.greeting)
            received = b""
            while True:
                part, came, _, _ = socket.recv_fds(client, 1 << 16, 4)
                if not part:
                    return
                fds += came
                received += part
                while b"\n" in received:
                    line, _, received = received.partition(b"\n")
                    request = json.loads(line)
                    if request["execute"] == self.hang_up_at:
                        return
                    for event in self.events:
                        client.sendall(event)
                    self.events.clear()
                    answer = {**self._answer(request, fds), "id": request["id"]}
                    client.sendall(json.dumps(answer).encode() + b"\r\n")
        except OSError:
            return
        finally:
            for fd in fds:
                os.close(fd)

    def _answer(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        name, arguments = request["execute"], request.get("arguments", {})
        self.asked.append(name)
        if name in self.raw_answers:
            return self.raw_answers[name]
        if name in self.answers:
            answer = self.answers[name]
            if isinstance(answer, str):
                return {"error": {"class": "GenericError", "desc": answer}}
            return {"return": answer}
        if name == "add-fd":
            return {"return": {"fdset-id": 0, "fd": fds[-1]}}
        if name == "pmemsave":
            self.before_read(arguments["val"], arguments["size"])
            raw = self.memory.get(arguments["val"], arguments["size"])
            Path(arguments["filename"]).write_bytes(raw)
            return {"return": {}}
        if name == "human-monitor-command":
            line = arguments["command-line"]
            return {"return": self.human.get(line, "Cannot do that\r\n")}
        return {"error": {"class": "CommandNotFound", "desc": f"no command {name}"}}


def recorded(path: Path) -> tuple[Memory, dict[str, str], dict[str, Any], dict[str, Any]]:
    """(memory, answers of the human monitor, meta, arrays) of a file that record.py wrote."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    meta = json.loads(arrays["meta"].tobytes())
    memory = Memory()
    memory.put_words(arrays["places"], arrays["words"])
    human = {"info mtree -f": meta["mtree"], "info registers": meta["registers"]}
    return memory, human, meta, arrays


def without_paging(registers: str) -> str:
    """Registers of a processor that is not in 64-bit mode."""
    return re.sub(r"EFER=[0-9a-f]+", "EFER=0000000000000000", registers)
