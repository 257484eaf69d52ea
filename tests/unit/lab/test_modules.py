# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Module order from the modules themselves."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from vmad.lab.errors import LabError
from vmad.lab.kernels.modules import depends, load_order, module_name


def module(tree: Path, name: str, needs: str = "", *, packed: bool = False) -> None:
    elf = b"\x7fELF.\0license=GPL\0depends=" + needs.encode() + b"\0intree=Y\0"
    folder = tree / "kernel"
    folder.mkdir(exist_ok=True)
    if packed:
        (folder / f"{name}.ko.xz").write_bytes(lzma.compress(elf))
    else:
        (folder / f"{name}.ko").write_bytes(elf)


def names(tree: Path, required: list[str], optional: tuple[str, ...] = ()) -> list[str]:
    return [module.name for module in load_order(tree, required, optional)]


def test_dependencies_come_first_and_once(tmp_path: Path) -> None:
    module(tmp_path, "virtio_pci", "virtio,virtio_ring")
    module(tmp_path, "virtio", "virtio_ring")
    module(tmp_path, "virtio_ring")
    module(tmp_path, "virtiofs", "fuse,virtio")
    module(tmp_path, "fuse")
    assert names(tmp_path, ["virtio_pci", "virtiofs"]) == [
        "virtio_ring",
        "virtio",
        "virtio_pci",
        "fuse",
        "virtiofs",
    ]


def test_packed_modules_and_dashes_in_names_are_understood(tmp_path: Path) -> None:
    module(tmp_path, "virtio-rng", "rng-core", packed=True)
    module(tmp_path, "rng-core", packed=True)
    assert names(tmp_path, ["virtio_rng"]) == ["rng_core", "virtio_rng"]


def test_built_in_modules_are_not_loaded(tmp_path: Path) -> None:
    module(tmp_path, "overlay")
    (tmp_path / "modules.builtin").write_text("kernel/fs/fuse/virtiofs.ko\n")
    assert names(tmp_path, ["overlay", "virtiofs"]) == ["overlay"]


def test_missing_optional_module_is_passed_over(tmp_path: Path) -> None:
    module(tmp_path, "overlay")
    assert names(tmp_path, ["overlay"], ("virtio_net",)) == ["overlay"]


def test_missing_required_module_is_an_error(tmp_path: Path) -> None:
    module(tmp_path, "overlay", "gone")
    with pytest.raises(LabError, match="has no module gone"):
        load_order(tmp_path, ["overlay"])


def test_module_without_depends_field_needs_nothing() -> None:
    assert depends(b"\x7fELF\0license=GPL\0") == []


@pytest.mark.parametrize("file", ["virtio-rng.ko", "virtio_rng.ko.xz", "virtio-rng.ko.gz"])
def test_module_names_are_the_kernels(file: str) -> None:
    assert module_name(file) == "virtio_rng"
