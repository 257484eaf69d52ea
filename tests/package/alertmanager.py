# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A real Alertmanager on loopback: Debian's, unpacked into build/tools, with our configuration."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.e2e.daemons import wait_for
from tests.e2e.prometheus_server import free_port

ROOT = Path(__file__).parents[2]
SHARE = ROOT / "build" / "tools" / "usr" / "share"

#: Debian's build has the path of its templates compiled in; lay the unpacked ones over
_LAID_OVER = (
    "mount --make-rprivate / && "
    'mount -t overlay overlay -o "lowerdir=$1:/usr/share" /usr/share && shift && exec "$@"'
)


class Alertmanager:
    """Runs with a configuration file of ours."""

    def __init__(self, directory: Path, config: Path) -> None:
        program = shutil.which("prometheus-alertmanager")
        assert program, "prometheus-alertmanager is not in PATH; make test-e2e fetches it"
        self.address = f"127.0.0.1:{free_port()}"
        self._log = (directory / "alertmanager.log").open("w")
        self._process = subprocess.Popen(
            [
                *("unshare", "--mount", "sh", "-c", _LAID_OVER, "sh", str(SHARE), program),
                f"--config.file={config}",
                f"--storage.path={directory / 'alertmanager'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Alertmanager:
        wait_for("Alertmanager", self._ready, 60)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _ready(self) -> bool:
        assert self._process.poll() is None, "Alertmanager ended, see its log"
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def alerts(self) -> list[dict[str, Any]]:
        """Those that it holds now, silenced and inhibited ones too."""
        with urllib.request.urlopen(f"http://{self.address}/api/v2/alerts", timeout=30) as reply:
            found: list[dict[str, Any]] = json.load(reply)
        return found
