# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad by pip and pipx: what the wheel holds, where it says it runs, and how it goes again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.setup.conftest import ENVIRONMENT, tracked

HERE = f"linux_{os.uname().machine}"
ELSEWHERE = "linux_aarch64" if HERE == "linux_x86_64" else "linux_x86_64"


def pip(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_a_wheel_holds_the_program_with_its_bpf_objects_for_this_architecture_alone(
    fresh_checkout: Callable[[str], Path], tmp_path: Path
) -> None:
    checkout = fresh_checkout("checkout")
    left_over = checkout / "build/lib/vmad/of_an_earlier_build.py"
    left_over.parent.mkdir(parents=True)
    left_over.touch()
    made = pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, checkout)
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("*.whl")

    assert wheel.name.endswith(f"-py3-none-{HERE}.whl")
    program = {path for path in tracked() if path.startswith("vmad/")}
    objects = {path[:-1] + "o" for path in program if path.endswith(".bpf.c")}
    assert objects
    built = objects | {f"vmad/probe/payload/rebuild.{os.uname().machine}.bin"}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == program | built

    there: list[str | Path] = ["install", "--dry-run", "--no-deps", "--target", tmp_path / "there"]
    assert pip(*there, "--platform", HERE, "--only-binary", ":all:", wheel).returncode == 0
    refused = pip(*there, "--platform", ELSEWHERE, "--only-binary", ":all:", wheel)
    assert "is not a supported wheel on this platform" in refused.stderr


def test_pipx_installs_a_checkout_and_takes_it_away_again(
    fresh_checkout: Callable[[str], Path], tmp_path: Path
) -> None:
    places = {"PIPX_HOME": tmp_path / "home", "PIPX_BIN_DIR": tmp_path / "bin"}

    def pipx(*words: str | Path) -> None:
        command = [sys.executable, "-m", "pipx", *words]
        environment = ENVIRONMENT | {name: str(place) for name, place in places.items()}
        subprocess.run(command, env=environment, check=True, cwd="/")

    pipx("install", fresh_checkout("checkout"))
    scan = [str(tmp_path / "bin/vmad"), "scan", "--evidence", "kernel", "--format", "json"]
    seen = json.loads(subprocess.run(scan, check=True, cwd="/", stdout=subprocess.PIPE).stdout)
    pipx("uninstall", "vmad-inspector")

    assert seen["evidence"] == "kernel"
    assert len(seen["processes"]) > 0
    assert list(places["PIPX_BIN_DIR"].iterdir()) == []
    assert not (places["PIPX_HOME"] / "venvs/vmad-inspector").exists()
