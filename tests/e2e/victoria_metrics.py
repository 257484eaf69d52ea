# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""VictoriaMetrics as people run it: vmagent scrapes and writes to it, vmalert asks it.

As deploy/fetch_tools.py fetches them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.prometheus_server import TimeSeriesServer, answer, every_second, free_port

TOOLS = Path(__file__).parents[2] / "build" / "tools-of-users"


class VictoriaMetrics(TimeSeriesServer):
    """Scrapes and evaluates every second. ``targets`` are addresses by job."""

    def __init__(self, directory: Path, targets: Mapping[str, str], rules: Sequence[Path]) -> None:
        super().__init__("victoria-metrics", directory)
        config = directory / "vmagent.yml"
        scraping = every_second(targets)
        del scraping["global"]["evaluation_interval"]
        config.write_text(yaml.safe_dump(scraping))
        self._alerts = f"http://127.0.0.1:{free_port()}"
        self.start(
            TOOLS / "victoria-metrics",
            f"-storageDataPath={directory / 'stored'}",
            f"-httpListenAddr={_address(self.url)}",
            # answers tell of now, as Prometheus's do, not of half a minute ago
            "-search.latencyOffset=0s",
            "-search.disableCache",
        )
        self.start(
            TOOLS / "vmagent",
            f"-promscrape.config={config}",
            f"-remoteWrite.url={self.url}/api/v1/write",
            f"-remoteWrite.tmpDataPath={directory / 'unsent'}",
            "-remoteWrite.flushInterval=1s",
            f"-httpListenAddr=127.0.0.1:{free_port()}",
        )
        self.start(
            TOOLS / "vmalert",
            *(f"-rule={file}" for file in rules),
            f"-datasource.url={self.url}",
            f"-remoteWrite.url={self.url}",
            "-evaluationInterval=1s",
            "-rule.evalDelay=0s",
            "-notifier.blackhole",
            f"-httpListenAddr={_address(self._alerts)}",
        )

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, as vmalert tells of it."""
        groups = answer(self._alerts, "rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]


def _address(url: str) -> str:
    return url.removeprefix("http://")
