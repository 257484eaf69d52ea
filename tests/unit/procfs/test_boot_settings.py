# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Files of sysctl.d are found in their order, each name once, also through links of the host."""

from __future__ import annotations

from pathlib import Path

from vmad.rules.limit_origin import BootSettings
from vmad.sources.boot_settings import read_boot_settings


def written(root: Path, path: str, text: str) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def read(root: Path) -> BootSettings:
    found = read_boot_settings(str(root / "proc"), str(root))
    assert found is not None
    return found


def test_names_are_in_order_whatever_their_directory(tmp_path: Path) -> None:
    written(tmp_path, "/usr/lib/sysctl.d/50-b.conf", "b")
    written(tmp_path, "/etc/sysctl.d/10-a.conf", "a")
    written(tmp_path, "/run/sysctl.d/60-c.conf", "c")
    written(tmp_path, "/etc/sysctl.d/README", "no")

    assert [file.text for file in read(tmp_path).files] == ["a", "b", "c"]


def test_a_name_counts_once_where_it_is_nearest_to_the_administrator(tmp_path: Path) -> None:
    written(tmp_path, "/usr/lib/sysctl.d/50-b.conf", "package")
    written(tmp_path, "/etc/sysctl.d/50-b.conf", "administrator")

    (file,) = read(tmp_path).files
    assert (file.path, file.text) == ("/etc/sysctl.d/50-b.conf", "administrator")


def test_a_link_to_dev_null_hides_a_file(tmp_path: Path) -> None:
    written(tmp_path, "/usr/lib/sysctl.d/50-b.conf", "package")
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "etc/sysctl.d/50-b.conf").symlink_to("/dev/null")

    (file,) = read(tmp_path).files
    assert file.text == ""


def test_links_are_those_of_the_host(tmp_path: Path) -> None:
    written(tmp_path, "/store/sysctl.conf", "vm.max_map_count=1")
    written(tmp_path, "/etc/sysctl.conf", "vm.max_map_count=2")
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "etc/sysctl.d/60-nixos.conf").symlink_to("/store/sysctl.conf")
    (tmp_path / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")

    texts = [file.text for file in read(tmp_path).files]
    assert texts == ["vm.max_map_count=1", "vm.max_map_count=2"]


def test_a_host_without_any_file_has_none(tmp_path: Path) -> None:
    assert read(tmp_path) == BootSettings((), None, "")
