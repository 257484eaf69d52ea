# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""For all tests here one virtual machine with the package, one Prometheus and one Alertmanager to
each release of Debian that VMAD_TEST_SUITES names (`make test-e2e SUITES="bookworm trixie"`).

Named on the command line alone (`make test-e2e`): a boot and a march take a quarter of an hour.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.daemons import wait_for
from tests.e2e.prometheus_server import Prometheus, free_port
from tests.machines.machine import machine
from tests.package.alertmanager import Alertmanager
from tests.package.guest import SystemdGuest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
#: Debian 12 by default
SUITES = os.environ.get("VMAD_TEST_SUITES", "bookworm").split()
KERNEL = os.environ.get("VMAD_TEST_KERNELS", "6.12").split()[0]
UPGRADE = "0.1.0+upgrade"
VERSIONS = ("0.1.0", UPGRADE)

#: the limit in the guest: so many steps an emulator makes in time
LIMIT = 8_000

CONFIG = """\
# an emulator is some 18 times slower than what it runs on: the budget goes with it
scan: {interval: 5s, full_every: 6, budget: 50%}
web: {listen: ["0.0.0.0:19797"]}
"""

#: what a test changes in the unit: the emulator's slowness, and less patience with a scan
DROP_IN = """\
[Service]
CPUQuota=
WatchdogSec=15s
RestartSec=2s
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """The guest, where its port 19797 is here, and who watches it."""

    suite: str
    guest: SystemdGuest
    web: str
    prometheus: Prometheus
    alertmanager: Alertmanager

    def value(self, expr: str) -> float | None:
        """One sample of Prometheus, None without."""
        found = self.prometheus.query(expr)
        return float(found[0]["value"][1]) if found else None

    def alerts(self) -> set[tuple[str, str]]:
        """Alerts that Alertmanager holds, with their group."""
        return {
            (one["labels"]["alertname"], one["labels"].get("group", ""))
            for one in self.alertmanager.alerts()
        }

    def active(self) -> None:
        """Wait until systemd calls the service active: it says so itself, after a scan."""
        wait_for(
            "the service to be active",
            lambda: (
                self.guest.property("ActiveState") == "active"
                and self.guest.property("SubState") == "running"
            ),
            300,
        )


@pytest.fixture(scope="session", params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """The release of Debian."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def packages(suite: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The package, as that release builds it, and the same as a later version."""
    directory = tmp_path_factory.mktemp("packages")
    if f"VERSION_CODENAME={suite}\n" in Path("/etc/os-release").read_text():
        for version in VERSIONS:
            done = subprocess.run(
                [ROOT / "deploy/deb.sh", version], capture_output=True, text=True, check=True
            )
            shutil.copy(done.stdout.strip(), directory)
    else:
        with machine(suite) as builder:
            for version in VERSIONS:
                builder.sh(f"cd /root/vmad && deploy/deb.sh {version}").well()
            for made in builder.path("/root/vmad/build/deb").glob("*.deb"):
                shutil.copy(made, directory)
    first, later = (next(directory.glob(f"vmad_{version}_*.deb")) for version in VERSIONS)
    return first, later


@pytest.fixture(scope="session")
def guest_web(
    suite: str, packages: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SystemdGuest, str]]:
    """The guest, booted, without vmad; and where it would be found."""
    port = free_port()
    files = {
        "/root/vmad.deb": packages[0],
        "/root/upgrade.deb": packages[1],
        "/root/marcher.py": HERE / "marcher.py",
        "/root/hang.py": HERE / "hang.py",
    }
    guest = SystemdGuest(tmp_path_factory.mktemp("guest"), suite, KERNEL, port, files)
    yield guest, f"127.0.0.1:{port}"
    guest.close()


@pytest.fixture(scope="session")
def scene(
    suite: str, guest_web: tuple[SystemdGuest, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """All of it, with the shipped configurations, changed in their addresses alone."""
    guest, web = guest_web
    directory = tmp_path_factory.mktemp("watchers")
    with (
        Alertmanager(directory, ROOT / "deploy/prometheus/alertmanager.yml") as alertmanager,
        Prometheus(
            directory, {}, [], _shipped_configuration(directory, web, alertmanager.address)
        ) as prometheus,
    ):
        yield Scene(suite, guest, web, prometheus, alertmanager)


def _shipped_configuration(directory: Path, web: str, alertmanager: str) -> dict[str, Any]:
    shipped = ROOT / "deploy" / "prometheus"
    targets = directory / "targets"
    targets.mkdir()
    (targets / "guest.yml").write_text(yaml.safe_dump([{"targets": [web]}]))
    config: dict[str, Any] = yaml.safe_load((shipped / "prometheus.yml").read_text())
    config["rule_files"] = [str(shipped / name) for name in config["rule_files"]]
    (job,) = config["scrape_configs"]
    job["file_sd_configs"] = [{"files": [str(targets / "*.yml")]}]
    config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return config
