# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A real Prometheus on loopback: Debian's, unpacked into build/tools by `make setup-test`."""

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
from typing import Any

import yaml

from tests.e2e.daemons import wait_for


def free_port() -> int:
    """A port that nobody listens on now."""
    # Prometheus 2.42 does not say which port it got for port 0
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


class Prometheus:
    """Scrapes and evaluates every second. ``targets`` are addresses by job.

    ``config``: a whole configuration instead.
    """

    def __init__(
        self,
        directory: Path,
        targets: Mapping[str, str],
        rules: Sequence[Path],
        config: Mapping[str, Any] | None = None,
    ) -> None:
        program = shutil.which("prometheus")
        assert program, "prometheus is not in PATH; it is in Debian's package prometheus"
        file = directory / "prometheus.yml"
        file.write_text(
            yaml.safe_dump(
                config
                or {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(file) for file in rules],
                    "scrape_configs": [
                        {"job_name": job, "static_configs": [{"targets": [address]}]}
                        for job, address in targets.items()
                    ],
                }
            )
        )
        self._url = f"http://127.0.0.1:{free_port()}"
        self._log = (directory / "prometheus.log").open("w+")
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address={self._url.removeprefix('http://')}",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Prometheus:
        wait_for("Prometheus", self._ready)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            self._log.seek(0)
            raise AssertionError(f"Prometheus ended:\n{self._log.read()}")
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def api(self, path: str, **parameters: str) -> Any:
        """What /api/v1/PATH says under ``data``."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self._url}/api/v1/{path}?{query}", timeout=30) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from error
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression now, each with ``metric`` and ``value``."""
        data = self.api("query", query=expr)
        found: list[dict[str, Any]] = data["result"]
        return found if data["resultType"] == "vector" else [{"metric": {}, "value": found}]
