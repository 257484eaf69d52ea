# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The lab's apt: real apt-get, without a network, in directories that are nobody else's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vmad.lab.apt.apt import Apt, complaints, unpack
from vmad.lab.errors import LabError


def setting(apt: Apt, name: str) -> str:
    """What apt takes a setting for."""
    argv = ["apt-config", *apt.options, "dump", "--format", "%v", name]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("apart", [True, False])
def test_nothing_is_written_outside_its_directory(apart: bool, tmp_path: Path) -> None:
    apt = Apt.apart(tmp_path, "amd64") if apart else Apt.of_this_machine(tmp_path)
    for name in ("Dir::State", "Dir::State::lists", "Dir::Cache"):
        assert Path(setting(apt, name)).is_relative_to(tmp_path)


def test_what_is_installed_here_counts_for_one_of_this_machine_only(tmp_path: Path) -> None:
    installed = setting(Apt.of_this_machine(tmp_path), "Dir::State::status")
    assert installed == "/var/lib/dpkg/status"
    assert setting(Apt.apart(tmp_path, "arm64"), "Dir::State::status") == f"{tmp_path}/status"


def test_one_that_stands_apart_has_the_sources_it_is_given_and_no_others(tmp_path: Path) -> None:
    apt = Apt.apart(tmp_path, "arm64").made()
    assert apt.run("update", "--print-uris") == ""
    apt = apt.with_sources("one", ["deb http://127.0.0.1:1/debian sid main"])
    addresses = {line.split("'")[1] for line in apt.run("update", "--print-uris").splitlines()}
    assert addresses
    assert all(address.startswith("http://127.0.0.1:1/debian/dists/sid/") for address in addresses)


def test_first_error_of_apt_and_the_remedy_are_told(tmp_path: Path) -> None:
    apt = Apt.apart(tmp_path, "arm64").made()
    told = r"apt-get download failed \(E: Unable to locate package no-such\); look elsewhere"
    with pytest.raises(LabError, match=told):
        apt.run("-q", "download", "no-such", cwd=tmp_path, remedy="look elsewhere")


def test_complaints_are_the_lines_of_the_kinds_asked_for() -> None:
    said = "W: old\nReading lists\nE: gone\n"
    assert complaints(said, "E:") == ["E: gone"]
    assert complaints(said, "E:", "W:") == ["W: old", "E: gone"]


def test_package_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.deb").write_bytes(b"no package")
    with pytest.raises(LabError, match=r"dpkg-deb cannot unpack a\.deb"):
        unpack(tmp_path / "a.deb", tmp_path)
