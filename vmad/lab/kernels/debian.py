# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Debian's kernel packages: which of them a guest can be booted with, and from what source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vmad.architecture.architecture import Architecture
from vmad.lab.apt.indices import Package, packages_named, version_key
from vmad.lab.machines import suffix


@dataclass(frozen=True)
class DebianKernel:
    """A kernel with everything that it takes to boot it.

    ``name`` is its series, such as 6.1, and, where it is for another machine than this one, that
    (6.1-arm64); one with larger pages says so (6.12-arm64-16k).
    """

    name: str
    release: str
    machine: str  #: as uname(2) names it
    packages: tuple[Package, ...]


# Up to 6.18 one package holds the image and the modules. From 6.19 on linux-image is empty and
# depends on linux-binary (the image), linux-modules, and linux-base (modules.builtin). Meta
# packages (linux-image-6.12-cloud-amd64) have no third number and are left out.
_PARTS = r"linux-(?P<part>image|binary|modules|base)-(?P<release>\d+\.\d+\.\d\S*-(?:FLAVOURS))"
_SPLIT_SINCE = (6, 19)
_SOURCE_PACKAGE = re.compile(r"linux-source-(?P<series>\d+\.\d+)")


def kernel_package(architecture: Architecture) -> re.Pattern[str]:
    """What the packages of an architecture's kernels are called."""
    flavours = "|".join(map(re.escape, architecture.kernel_flavours))
    return re.compile(_PARTS.replace("FLAVOURS", flavours))


def lab_packages(lines: Iterable[str], architecture: Architecture) -> Iterator[Package]:
    """The kernels' packages, their sources, and the one that the initramfs is made of."""
    patterns = f"{kernel_package(architecture).pattern}|{_SOURCE_PACKAGE.pattern}|busybox-static"
    return packages_named(lines, re.compile(patterns))


def sources(packages: Iterable[Package], series_name: str) -> list[Package]:
    """Debian's source packages of one series, oldest first, each version once."""
    by_version = {p.version: p for p in packages if p.name == f"linux-source-{series_name}"}
    return sorted(by_version.values(), key=lambda package: version_key(package.version))


def series(release: str) -> tuple[int, int]:
    """Major and minor number of a kernel release."""
    major, minor = release.split(".")[:2]
    return int(major), int(minor)


def bootable(packages: Iterable[Package], architecture: Architecture) -> list[DebianKernel]:
    """Every kernel of which all parts are there, oldest first.

    Backports keep some of the split kernels without their modules (6.19 to 7.1 as of late 2026);
    without virtiofs.ko there is no root file system, so those do not count.
    """
    parts: dict[str, dict[str, Package]] = {}
    pattern = kernel_package(architecture)
    for package in packages:
        match = pattern.fullmatch(package.name)
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
            name = f"{major}.{minor}{suffix(architecture)}"
            if not release.endswith(f"cloud-{architecture.debian}"):  # -arm64-16k
                name += release.rpartition(f"-{architecture.debian}")[2]
            kernels.append(DebianKernel(name, release, architecture.machine, chosen))
    return sorted(kernels, key=_age)


def newest_of_each_series(kernels: Iterable[DebianKernel]) -> list[DebianKernel]:
    """For each series the newest kernel, oldest series first."""
    newest = {kernel.name: kernel for kernel in sorted(kernels, key=_age)}
    return sorted(newest.values(), key=_age)


def _age(kernel: DebianKernel) -> tuple[tuple[int, int], tuple[tuple[int, int, str], ...]]:
    return series(kernel.release), version_key(kernel.packages[0].version)
