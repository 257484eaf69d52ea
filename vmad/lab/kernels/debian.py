# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Debian's kernel packages: which of them a guest can be booted with, and from what source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vmad.lab.apt.indices import Package, packages_named, version_key


@dataclass(frozen=True)
class DebianKernel:
    """A kernel with everything that it takes to boot it; ``name`` is its series, such as 6.1."""

    name: str
    release: str
    packages: tuple[Package, ...]


# Up to 6.18 one package holds the image and the modules. From 6.19 on linux-image is empty and
# depends on linux-binary (the image), linux-modules, and linux-base (modules.builtin). Meta
# packages (linux-image-6.12-cloud-amd64) have no third number and are left out.
_KERNEL_PACKAGE = re.compile(
    r"linux-(?P<part>image|binary|modules|base)-(?P<release>\d+\.\d+\.\d\S*-cloud-amd64)"
)
_SPLIT_SINCE = (6, 19)
_SOURCE_PACKAGE = re.compile(r"linux-source-(?P<series>\d+\.\d+)")


def lab_packages(lines: Iterable[str]) -> Iterator[Package]:
    """The kernels' packages, their sources, and the one that the initramfs is made of."""
    wanted = f"{_KERNEL_PACKAGE.pattern}|{_SOURCE_PACKAGE.pattern}|busybox-static"
    return packages_named(lines, re.compile(wanted))


def sources(packages: Iterable[Package], series_name: str) -> list[Package]:
    """Debian's source packages of one series, oldest first, each version once."""
    found = {p.version: p for p in packages if p.name == f"linux-source-{series_name}"}
    return sorted(found.values(), key=lambda package: version_key(package.version))


def series(release: str) -> tuple[int, int]:
    """Major and minor number of a kernel release."""
    major, minor = release.split(".")[:2]
    return int(major), int(minor)


def bootable(packages: Iterable[Package]) -> list[DebianKernel]:
    """Every kernel of which all parts are there, oldest first.

    Backports keep some of the split kernels without their modules (6.19 to 7.1 as of late 2026);
    without virtiofs.ko there is no root file system, so those do not count.
    """
    parts: dict[str, dict[str, Package]] = {}
    for package in packages:
        match = _KERNEL_PACKAGE.fullmatch(package.name)
        if match is None:
            continue
        have = parts.setdefault(match["release"], {})
        known = have.get(match["part"])
        if known is None or version_key(known.version) < version_key(package.version):
            have[match["part"]] = package
    kernels = []
    for release, have in parts.items():
        needed = ("binary", "modules", "base") if series(release) >= _SPLIT_SINCE else ("image",)
        if all(part in have for part in needed):
            major, minor = series(release)
            chosen = tuple(have[part] for part in needed)
            kernels.append(DebianKernel(f"{major}.{minor}", release, chosen))
    return sorted(kernels, key=_age)


def newest_of_each_series(kernels: Iterable[DebianKernel]) -> list[DebianKernel]:
    """For each series the newest kernel, oldest series first."""
    newest = {kernel.name: kernel for kernel in sorted(kernels, key=_age)}
    return sorted(newest.values(), key=_age)


def _age(kernel: DebianKernel) -> tuple[tuple[int, int], tuple[tuple[int, int, str], ...]]:
    return series(kernel.release), version_key(kernel.packages[0].version)
