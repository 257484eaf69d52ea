# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reading Debian's package indices: which kernels count as bootable, and which is newest."""

from __future__ import annotations

import pytest

from vmad.lab.apt.indices import version_key
from vmad.lab.errors import LabError
from vmad.lab.kernels.debian import bootable, lab_packages, newest_of_each_series


def paragraph(name: str, version: str) -> str:
    return (
        f"Package: {name}\nSource: linux\nVersion: {version}\nArchitecture: amd64\n"
        f"Description: of {name}\n two lines\nSize: 1000\nSHA256: {'ab' * 32}\n\n"
    )


def kernels_of(*paragraphs: str) -> list[str]:
    lines = "".join(paragraphs).splitlines(keepends=True)
    return [kernel.release for kernel in newest_of_each_series(bootable(lab_packages(lines)))]


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
