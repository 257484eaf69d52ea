# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The lab's command line with a catalogue that is already there, and everything that can lack."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pytest

from vmad.architecture.aarch64 import AARCH64
from vmad.architecture.architecture import Architecture
from vmad.architecture.x86_64 import X86_64
from vmad.cli.lab import add_parser
from vmad.lab.errors import LabError
from vmad.lab.guest.programs import qemu

RELEASES = ["5.10.0-46-cloud-amd64", "6.1.0-56-cloud-amd64", "6.1.0-9-cloud-amd64"]


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "vmad" / "lab"
    root.mkdir(parents=True)
    package = {"name": "busybox-static", "version": "1", "size": 1, "sha256": "00"}
    kernels = [
        {
            "name": ".".join(release.split(".")[:2]),
            "release": release,
            "machine": "x86_64",
            "packages": [{**package, "name": f"linux-image-{release}", "version": release}],
        }
        for release in RELEASES
    ]
    catalogue = {
        "schema": 3,
        "sources": [],
        "made_at": time.time(),
        "kernels": kernels,
        "busybox": package,
        "complaints": [],
    }
    (root / "catalogue.json").write_text(json.dumps(catalogue))
    (root / "catalogue-arm64.json").write_text(json.dumps({**catalogue, "kernels": []}))
    return root


def lab(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["lab", *words])
    status: int = args.run(args)
    return status


def test_kernels_in_json_keep_the_contract(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("kernels", "--format", "json") == 0
    listed = json.loads(capsys.readouterr().out)["kernels"]
    assert [(k["name"], k["release"], k["patched"], k["fetched"]) for k in listed] == [
        ("5.10", "5.10.0-46-cloud-amd64", False, False),
        ("6.1", "6.1.0-56-cloud-amd64", False, False),
    ]


def test_kernel_built_here_is_listed_beside_debians(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = cache / "built" / "patched"
    home.mkdir(parents=True)
    manifest = {"release": "6.12.117-vmad", "patched": True, "image": "bzImage", "sha256": "00"}
    (home / "kernel.json").write_text(json.dumps(manifest))
    assert lab("kernels", "--format", "json") == 0
    last = json.loads(capsys.readouterr().out)["kernels"][-1]
    assert (last["name"], last["release"], last["patched"]) == ("patched", "6.12.117-vmad", True)


def test_unknown_kernel_is_answered_with_the_list(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("fetch", "4.19") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "vmad lab: no kernel is called '4.19'; there is: 5.10 6.1 (or a whole release)\n"
    )


def test_damaged_catalogue_is_not_believed(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache / "catalogue.json").write_text("{half")
    monkeypatch.setenv("PATH", "")
    assert lab("kernels") == 1
    assert "no apt-get on this machine" in capsys.readouterr().err


def test_command_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        lab("run", "--kernel", "6.1")
    assert ended.value.code == 2


@pytest.mark.parametrize(("each", "package"), [(X86_64, "x86"), (AARCH64, "arm")])
def test_absent_qemu_is_named_with_its_package(
    each: Architecture, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LabError, match=rf"apt-get install .*qemu-system-{package}"):
        qemu(each)
