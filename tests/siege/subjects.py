# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who is besieged: vmad, and the exporters of Debian beside it; and a herd of processes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from tests.e2e.daemons import VMAD, wait_for
from tests.siege.programs import compiled

#: where `make peers` unpacks Debian's packages
PEERS = Path(__file__).parents[2] / "build/peers/usr/bin"


class Subject:
    """A running exporter."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], address: str) -> None:
        self.name = name
        self.process = process
        self.address = address

    @property
    def resident(self) -> int:
        """Bytes, at most since it started."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) * 1024

    @property
    def cpu_seconds(self) -> float:
        """All threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def _running(
    name: str,
    command: list[str],
    address: str,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Subject]:
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stderr=log, env={**os.environ, **environment}) as process,
    ):
        try:

            def listens() -> bool:
                assert process.poll() is None, f"{name} ended"
                host, _, port = address.partition(":")
                with socket.socket() as one:
                    return one.connect_ex((host, int(port))) == 0

            wait_for(f"{name} to listen", listens)
            yield Subject(name, process, address)
        finally:
            process.terminate()


@contextmanager
def vmad(config: str = "", state: Path | None = None) -> Iterator[Subject]:
    """The daemon, by default configuration unless told otherwise; ``state`` is its directory."""
    address = f"127.0.0.1:{_free_port()}"
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(config)
        file.flush()
        command = [VMAD, "serve", "--config", file.name, "--web.listen-address", address]
        environment = {} if state is None else {"STATE_DIRECTORY": str(state)}
        with _running("vmad", command, address, environment) as subject:
            wait_for("the first scan", lambda: _status(address, "/-/ready") == 200)
            yield subject


def _status(address: str, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


@contextmanager
def process_exporter() -> Iterator[Subject]:
    """Debian's prometheus-process-exporter: every process, grouped by command, as it is shipped."""
    address = f"127.0.0.1:{_free_port()}"
    program = str(PEERS / "prometheus-process-exporter")
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write("process_names:\n  - name: '{{.Comm}}'\n    cmdline: ['.+']\n")
        file.flush()
        command = [program, f"--web.listen-address={address}", f"--config.path={file.name}"]
        with _running("process-exporter", command, address) as subject:
            yield subject


@contextmanager
def node_exporter() -> Iterator[Subject]:
    """Debian's prometheus-node-exporter by default configuration: it looks at no process."""
    address = f"127.0.0.1:{_free_port()}"
    command = [str(PEERS / "prometheus-node-exporter"), f"--web.listen-address={address}"]
    with _running("node_exporter", command, address) as subject:
        yield subject


@contextmanager
def herd(number: int) -> Iterator[int]:
    """So many processes that exist, or as many as there can be; gives how many."""
    if not number:
        yield 0
        return
    with (
        compiled("herd") as program,
        subprocess.Popen(
            [program, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as parent,
    ):
        assert parent.stdout is not None
        yield int(parent.stdout.readline())
