# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who is besieged: vmad, and the exporters of Debian beside it; and a herd of processes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from tests.e2e.daemons import VMAD, wait_for
from tests.siege.programs import compiled

#: where `make peers` unpacks Debian's packages
UNPACKED = Path(__file__).parents[2] / "build/peers"
PEERS = UNPACKED / "usr/bin"


class Subject:
    """A running exporter; ``path`` is where it is scraped."""

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], address: str, path: str = "/metrics"
    ) -> None:
        self.name = name
        self.process = process
        self.address = address
        self.path = path

    @property
    def _processes(self) -> list[Path]:
        """It, and those that it has started to read for it."""
        found = [Path(f"/proc/{self.process.pid}")]
        for proc in found:
            with suppress(OSError):
                for task in (proc / "task").iterdir():
                    pids = (task / "children").read_text().split()
                    found += [Path(f"/proc/{pid}") for pid in pids]
        return found

    @property
    def resident(self) -> int:
        """Bytes, at most since it started."""
        texts = [(proc / "status").read_text() for proc in self._processes]
        found = [re.search(r"VmHWM:\s+(\d+) kB", text) for text in texts]
        return sum(int(high[1]) * 1024 for high in found if high is not None)

    @property
    def cpu_seconds(self) -> float:
        """All threads."""
        texts = [(proc / "stat").read_text() for proc in self._processes]
        fields = [text.rpartition(") ")[2].split() for text in texts]
        ticks = sum(int(one[11]) + int(one[12]) for one in fields)
        return ticks / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def _running(
    name: str,
    command: list[str],
    address: str,
    environment: Mapping[str, str] = MappingProxyType({}),
    path: str = "/metrics",
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
            yield Subject(name, process, address, path)
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


#: what reads processes and control groups, and nothing that speaks to other machines
NETDATA = """\
[global]
    run as user = root
[directories]
    config = {folder}
    stock config = {unpacked}/usr/lib/netdata/conf.d
    log = {folder}
    cache = {folder}
    lib = {folder}
    home = {folder}
    web = {unpacked}/usr/share/netdata/web
    plugins = {unpacked}/usr/lib/netdata/plugins.d
[db]
    mode = ram
[web]
    bind to = {address}
[cloud]
    enabled = no
[health]
    enabled = no
[ml]
    enabled = no
[plugins]
    statsd = no
"""


@contextmanager
def netdata() -> Iterator[Subject]:
    """Debian's netdata-core, which like cAdvisor reads control groups, and processes by what they
    run, in the background; scraped where it exports for Prometheus.
    """
    address = f"127.0.0.1:{_free_port()}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        (Path(folder) / ".opt-out-from-anonymous-statistics").touch()
        config = Path(folder) / "netdata.conf"
        config.write_text(NETDATA.format(folder=folder, unpacked=UNPACKED, address=address))
        command = [str(UNPACKED / "usr/sbin/netdata"), "-D", "-c", str(config)]
        command += ["-P", f"{folder}/pid"]
        path = "/api/v1/allmetrics?format=prometheus"
        with _running("netdata", command, address, path=path) as subject:
            yield subject


def herd(number: int) -> AbstractContextManager[int]:
    """So many processes that exist, or as many as there can be; gives how many."""
    return _held("herd", number)


def areas(number: int) -> AbstractContextManager[int]:
    """So many VMAs in a few processes; gives how many."""
    return _held("areas", number)


def restless(number: int) -> AbstractContextManager[int]:
    """A process of so many VMAs that maps and unmaps without a pause."""
    return _held("restless", number)


@contextmanager
def _held(name: str, number: int) -> Iterator[int]:
    if not number:
        yield 0
        return
    with (
        compiled(name) as program,
        subprocess.Popen(
            [program, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as parent,
    ):
        assert parent.stdout is not None
        yield int(parent.stdout.readline())


@contextmanager
def churn(rate: int) -> Iterator[None]:
    """``rate`` processes a second that are born and end; as many as there were is printed."""
    if not rate:
        yield
        return
    with (
        compiled("churn") as program,
        subprocess.Popen(
            [program, str(rate)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as running,
    ):
        began = time.monotonic()
        yield
        made = int(running.communicate()[0])
        rate_then = made / (time.monotonic() - began)
        print(f"{made} short processes, {rate_then:.0f} a second", file=sys.stderr)
