# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reading Debian's package indices: which kernels count as bootable, and which is newest."""

from __future__ import annotations

import pytest

from vmad.architecture.aarch64 import AARCH64
from vmad.architecture.architecture import Architecture
from vmad.architecture.x86_64 import X86_64
from vmad.lab.apt.indices import version_key
from vmad.lab.errors import LabError
from vmad.lab.kernels.debian import (
    DebianKernel,
    bootable,
    lab_packages,
    newest_of_each_series,
)
from vmad.lab.machines import architecture_named


def paragraph(name: str, version: str) -> str:
    return (
        f"Package: {name}\nSource: linux\nVersion: {version}\nArchitecture: amd64\n"
        f"Description: of {name}\n two lines\nSize: 1000\nSHA256: {'ab' * 32}\n\n"
    )


def offered(architecture: Architecture, *paragraphs: str) -> list[DebianKernel]:
    lines = "".join(paragraphs).splitlines(keepends=True)
    packages = lab_packages(lines, architecture)
    return newest_of_each_series(bootable(packages, architecture))


def kernels_of(*paragraphs: str) -> list[str]:
    return [kernel.release for kernel in offered(X86_64, *paragraphs)]


def test_kernels_of_another_machine_say_so_in_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmad.lab.machines.this_machine", lambda: X86_64)
    flavours = (
        "6.12.117+deb12-cloud-arm64",
        "6.12.117+deb12-arm64-16k",
        "6.12.117+deb12-arm64",
        "6.12.117+deb12-rt-arm64",
        "6.1.0-57-cloud-arm64",
        "6.12.117+deb12-cloud-amd64",
    )
    index = [paragraph(f"linux-image-{release}", "1") for release in flavours]

    arm = offered(AARCH64, *index)
    assert [(kernel.name, kernel.release, kernel.machine) for kernel in arm] == [
        ("6.1-arm64", "6.1.0-57-cloud-arm64", "aarch64"),
        ("6.12-arm64", "6.12.117+deb12-cloud-arm64", "aarch64"),
        ("6.12-arm64-16k", "6.12.117+deb12-arm64-16k", "aarch64"),
    ]
    assert [kernel.name for kernel in offered(X86_64, *index)] == ["6.12"]


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("6.12-arm64", AARCH64),
        ("newest-arm64-16k", AARCH64),
        ("6.1.0-57-cloud-arm64", AARCH64),
        ("6.12", X86_64),
        ("patched-6.12", X86_64),
        ("6.1.0-57-cloud-amd64", X86_64),
    ],
)
def test_a_name_without_a_machine_means_this_one(
    name: str, machine: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmad.lab.machines.this_machine", lambda: X86_64)
    assert architecture_named(name) is machine


@pytest.mark.parametrize(
    ("field", "instead"),
    [
        ("Version: 1", ""),
        ("Version: 1", "Version: ../../etc\n"),
        ("Size: 1000", ""),
        ("Size: 1000", "Size: many\n"),
        ("Size: 1000", "Size: -1\n"),
        ("SHA256: " + "ab" * 32, "SHA256: ab\n"),
    ],
)
def test_a_paragraph_without_what_a_download_needs_is_one_line(field: str, instead: str) -> None:
    damaged = paragraph("linux-image-6.1.0-56-cloud-amd64", "1").replace(f"{field}\n", instead)
    with pytest.raises(LabError, match=r"index is damaged: linux-image-6\.1\.0-56-cloud-amd64 has"):
        kernels_of(damaged)


def test_one_package_is_enough_up_to_6_18() -> None:
    index = paragraph("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2")
    assert kernels_of(index) == ["6.1.0-56-cloud-amd64"]


def test_split_kernel_without_its_modules_is_left_out() -> None:
    """As trixie-backports has 6.19 to 7.1: the image is there, the modules have gone."""
    image = paragraph("linux-image-7.0.4+deb13-cloud-amd64", "7.0.4-1")
    binary = paragraph("linux-binary-7.0.4+deb13-cloud-amd64", "7.0.4-1")
    assert kernels_of(image, binary) == []


def test_split_kernel_with_all_parts_is_offered() -> None:
    parts = [
        paragraph(f"linux-{part}-7.3.4+deb13-cloud-amd64", "7.3.4-1")
        for part in ("image", "binary", "modules", "base")
    ]
    assert kernels_of(*parts) == ["7.3.4+deb13-cloud-amd64"]


def test_newest_of_a_series_is_taken_and_series_are_in_numeric_order() -> None:
    index = [
        paragraph("linux-image-6.18.9+deb13-cloud-amd64", "6.18.9-1~bpo13+1"),
        paragraph("linux-image-6.18.15+deb13-cloud-amd64", "6.18.15-1~bpo13+1"),
        paragraph("linux-image-6.1.0-9-cloud-amd64", "6.1.27-1"),
        paragraph("linux-image-5.10.0-46-cloud-amd64", "5.10.262-1"),
        paragraph("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2"),
    ]
    assert kernels_of(*index) == [
        "5.10.0-46-cloud-amd64",
        "6.1.0-56-cloud-amd64",
        "6.18.15+deb13-cloud-amd64",
    ]


def test_meta_and_other_flavours_are_left_out() -> None:
    index = [
        paragraph("linux-image-cloud-amd64", "6.1.192-2"),
        paragraph("linux-image-6.12-cloud-amd64", "6.12.117-1"),
        paragraph("linux-image-6.1.0-56-amd64", "6.1.192-2"),
        paragraph("linux-image-6.1.0-56-cloud-amd64-dbg", "6.1.192-2"),
    ]
    assert kernels_of(*index) == []


def test_last_paragraph_counts_without_an_empty_line_after_it() -> None:
    assert kernels_of(paragraph("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2").rstrip()) != []


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("6.1.9-1", "6.1.10-1"),
        ("6.12.117-1~deb12u1", "6.12.117-1"),
        ("7.2.13-1~bpo13+1", "7.2.13-1"),
        ("6.1.192-2", "6.1.192-2+b1"),
        ("6.1.192-2", "6.1.192-10"),
    ],
)
def test_versions_are_ordered_as_dpkg_orders_them(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)
