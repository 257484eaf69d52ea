# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Daemons started as a user starts them, and scraped over HTTP. Conditions are waited for."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from tests.other_users import vmad_for_all

T = TypeVar("T")
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]

#: seconds that a condition may take on a machine that does much else
PATIENCE = 180.0
#: seconds that stopping may take on such a machine (a second on an idle one); what must not be
#: waited for when one stops is made to last longer
STOPS = 60.0
VMAD = str(Path(sys.executable).with_name("vmad"))


def wait_for(what: str, condition: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """What ``condition`` gives once it gives something."""
    deadline = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.02)


class Daemon:
    """``vmad serve`` with a configuration, on a port that the kernel chooses.

    ``prefix`` runs it under other rights (setpriv …), ``environment`` is added to ours.
    """

    def __init__(
        self,
        tmp_path: Path,
        config: str = "",
        *words: str,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.config = tmp_path / "vmad.yml"
        self.configure(config)
        self._lines: list[str] = []
        command = [vmad_for_all() if prefix else VMAD, "serve", "--config", str(self.config)]
        command += ["--web.listen-address", "127.0.0.1:0", *words]
        self.process = subprocess.Popen(
            [*prefix, *command],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line)

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()

    def configure(self, config: str) -> None:
        """Write the configuration file; see :meth:`reload`."""
        self.config.write_text(config)
        os.chmod(self.config, 0o644)

    def reload(self) -> None:
        """SIGHUP."""
        self.process.send_signal(signal.SIGHUP)

    @property
    def log(self) -> str:
        """Everything that it wrote to stderr so far."""
        return "".join(self._lines)

    def logged(self, pattern: str) -> re.Match[str]:
        """Wait for a line of the log, as long as there can be another one."""

        def found() -> re.Match[str] | None:
            no_more = not self._reader.is_alive()
            line = re.search(pattern, self.log)
            assert line or not no_more, f"it ended without {pattern!r} in its log: {self.log}"
            return line

        return wait_for(f"{pattern!r} in the log", found)

    @property
    def address(self) -> str:
        """HOST:PORT, from the log."""
        return self.logged(r"listening on http://([^/]+)/")[1]

    def ready(self) -> Daemon:
        """Wait for the first scan."""
        wait_for("readiness", lambda: self.status("/-/ready") == 200)
        return self

    def get(self, path: str) -> bytes:
        """The body."""
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=30) as reply:
            body: bytes = reply.read()
        return body

    def status(self, path: str) -> int:
        """The status."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=30) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    def json(self, path: str) -> dict[str, Any]:
        """The body as JSON."""
        thing: dict[str, Any] = json.loads(self.get(path))
        return thing

    def series(self) -> Series:
        """The metrics by name and labels."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.get("/metrics").decode())
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """One sample, None where it is absent."""
        return self.series().get((name, frozenset(labels.items())))

    def wait_for_value(self, name: str, condition: Callable[[float], bool], **labels: str) -> float:
        """The sample once it is as wanted."""

        def found() -> tuple[float] | None:
            value = self.value(name, **labels)
            return (value,) if value is not None and condition(value) else None

        return wait_for(f"{name}{labels}", found)[0]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit status, of a daemon that ends within ``STOPS``."""
        self.process.send_signal(number)
        return self.process.wait(STOPS)


class Manager:
    """A service manager's end of $NOTIFY_SOCKET."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = str(tmp_path / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(PATIENCE)

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def environment(self, watchdog_seconds: float | None = None) -> dict[str, str]:
        """What the service is started with."""
        found = {"NOTIFY_SOCKET": self.path}
        if watchdog_seconds is not None:
            found["WATCHDOG_USEC"] = str(int(watchdog_seconds * 1e6))
        return found

    def message(self) -> list[str]:
        """The lines of the next datagram."""
        return self._socket.recv(4096).decode().splitlines()

    def until(self, line: str) -> list[list[str]]:
        """All messages up to the one with this line."""
        messages = [self.message()]
        while line not in messages[-1]:
            messages.append(self.message())
        return messages
