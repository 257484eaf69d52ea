# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""deploy/grafana/*.json, written from the dashboards.

``python -m vmad.operations.dashboards.files DIRECTORY``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from vmad.operations.dashboards.fleet import fleet
from vmad.operations.dashboards.group import group
from vmad.operations.dashboards.host import host
from vmad.operations.dashboards.kernels import kernels

FILES: dict[str, Callable[[], Dashboard]] = {
    "vmad-fleet.json": fleet,
    "vmad-host.json": host,
    "vmad-group.json": group,
    "vmad-kernels.json": kernels,
}


def dashboard_file(name: str) -> str:
    """The text of one of FILES: a dashboard as Grafana imports and provisions it."""
    return JSONEncoder(sort_keys=True, indent=2).encode(FILES[name]().build()) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write all files into a directory."""
    parser = argparse.ArgumentParser(description="Writes vmad's Grafana dashboards.")
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args(arguments).directory
    for name in FILES:
        (directory / name).write_text(dashboard_file(name), encoding="utf-8")


if __name__ == "__main__":
    main()
