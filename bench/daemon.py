# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A real ``vmad serve`` and a real process exporter: started, scraped, looked at from outside."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bench.children import OUT, CannotMeasure, Children

T = TypeVar("T")

EXPORTER = "prometheus-process-exporter"

_LISTENING = re.compile(rb"listening on (http://\S+/)")


class Daemon:
    """A running daemon with a web address."""

    def __init__(self, process: subprocess.Popen[bytes], address: str) -> None:
        self.process = process
        self.pid = process.pid
        self.address = address

    def get(self, path: str) -> bytes:
        """The answer, whole. Raises OSError."""
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            found: bytes = answer.read()
        return found

    def metric(self, name: str) -> float:
        """The value of one series, its labels in ``name`` as they are written."""
        pattern = rf"^{re.escape(name)} (\S+)$".encode("ascii")
        found = re.search(pattern, self.get("metrics"), re.MULTILINE)
        if found is None:
            raise CannotMeasure(f"{self.address}metrics has no {name}")
        return float(found[1])

    def scans(self, kind: str) -> int:
        """How many scans of that kind it has made."""
        return int(self.metric(f'vmad_scans_total{{kind="{kind}"}}'))

    def peak_rss(self) -> int:
        """Bytes: VmHWM of /proc/PID/status."""
        return self._of_status("VmHWM")

    def rss(self) -> int:
        """Bytes: VmRSS."""
        return self._of_status("VmRSS")

    def _of_status(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text("utf-8")
        found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise CannotMeasure(f"/proc/{self.pid}/status has no {name}", "is it running?")
        return int(found[1]) * 1024


def start_vmad(children: Children, config: str = "") -> Daemon:
    """``vmad serve`` on a free port; returns after its first scan."""
    OUT.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "vmad", "serve", "--web.listen-address", "127.0.0.1:0"]
    if config:
        file = OUT / "vmad.yaml"
        file.write_text(config, "utf-8")
        command += ["--config", str(file)]
    log = OUT / "vmad.log"
    with log.open("wb") as stderr:
        process = children.start(command, stderr=stderr, cwd=OUT.parent.parent)

    def address() -> str | None:
        found = _LISTENING.search(log.read_bytes())
        return None if found is None else found[1].decode("ascii")

    daemon = Daemon(process, _until(address, process, f"vmad serve, see {log}"))
    _until(lambda: b"first scan" in log.read_bytes() or None, process, "the first scan")
    return daemon


def start_exporter(children: Children) -> Daemon:
    """Debian's process exporter with its defaults and its own example, which names every process.

    Fetched from the machine's package mirror and unpacked under bench/out; nothing is installed.
    """
    program, config = _unpacked_exporter()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = children.start(
        [str(program), f"-config.path={config}", f"-web.listen-address=127.0.0.1:{port}"],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    daemon = Daemon(process, f"http://127.0.0.1:{port}/")

    def answers() -> bool | None:
        try:
            return bool(daemon.get(""))
        except (urllib.error.URLError, OSError):
            return None

    _until(answers, process, EXPORTER)
    return daemon


def _unpacked_exporter() -> tuple[Path, Path]:
    where = OUT / EXPORTER
    program = where / "usr/bin" / EXPORTER
    config = where / "usr/share/doc" / EXPORTER / "examples/all.yaml"
    if not program.exists():
        where.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", EXPORTER],
                cwd=where,
                check=True,
            )
            package = next(where.glob("*.deb"))
            subprocess.run(["dpkg", "-x", str(package), str(where)], check=True)
        except (OSError, subprocess.CalledProcessError, StopIteration) as error:
            raise CannotMeasure(
                f"the Debian package {EXPORTER} cannot be fetched: {error}",
                "needs apt-get, dpkg and a package mirror",
            ) from error
    return program, config


def _until(look: Callable[[], T | None], process: subprocess.Popen[bytes], what: str) -> T:
    """Wait for the condition; a minute at most."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise CannotMeasure(f"{what} does not come up")
