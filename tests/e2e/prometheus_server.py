# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A real Prometheus on loopback: Debian's, unpacked into build/tools by `make setup-test`.

``TimeSeriesServer`` is what it has in common with another that answers as Prometheus does.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from tests.e2e.daemons import wait_for


def free_port() -> int:
    """A port that nobody listens on now."""
    # Prometheus 2.42 does not say which port it got for port 0
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


class TimeSeriesServer:
    """A server of loopback that answers Prometheus's API, and the programs that make it up."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = (directory / f"{name}.log").open("w+")
        self._programs: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str | Path) -> None:
        """One of the programs."""
        self._programs.append(
            subprocess.Popen(
                [str(word) for word in command], stdout=self._log, stderr=subprocess.STDOUT
            )
        )

    def __enter__(self) -> Self:
        wait_for(self.name, self._ready)
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            program.kill()
            program.wait()
        self._log.close()

    def _ready(self) -> bool:
        if any(program.poll() is not None for program in self._programs):
            self._log.seek(0)
            raise AssertionError(f"{self.name} ended:\n{self._log.read()}")
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def api(self, path: str, **parameters: str) -> Any:
        """What /api/v1/PATH says under ``data``."""
        return answer(self.url, path, **parameters)

    def rules(self) -> list[dict[str, Any]]:
        """Every rule that is evaluated, with its ``name`` and ``lastError``."""
        return [rule for group in self.api("rules")["groups"] for rule in group["rules"]]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression now, each with ``metric`` and ``value``."""
        data = self.api("query", query=expr)
        series: list[dict[str, Any]] = data["result"]
        return series if data["resultType"] == "vector" else [{"metric": {}, "value": series}]


def answer(url: str, path: str, **parameters: str) -> Any:
    """What the server at ``url`` says at /api/v1/PATH, under ``data``."""
    query = urllib.parse.urlencode(parameters)
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{path}?{query}", timeout=30) as reply:
            said = json.load(reply)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from error
    assert said["status"] == "success", said
    return said["data"]


def every_second(targets: Mapping[str, str]) -> dict[str, Any]:
    """A configuration that scrapes and evaluates every second. ``targets``: addresses by job."""
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]}
            for job, address in targets.items()
        ],
    }


class Prometheus(TimeSeriesServer):
    """Scrapes and evaluates every second. ``targets`` are addresses by job.

    ``config``: a whole configuration instead. ``program``: another than the one in PATH.
    """

    def __init__(
        self,
        directory: Path,
        targets: Mapping[str, str],
        rules: Sequence[Path],
        config: Mapping[str, Any] | None = None,
        program: Path | None = None,
    ) -> None:
        super().__init__("prometheus", directory)
        found = program or shutil.which("prometheus")
        assert found, "prometheus is not in PATH; it is in Debian's package prometheus"
        file = directory / "prometheus.yml"
        written = config or {
            **every_second(targets),
            "rule_files": [str(file) for file in rules],
        }
        file.write_text(yaml.safe_dump(written))
        self.start(
            found,
            f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        )
