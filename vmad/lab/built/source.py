# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kernel's source: Debian's package fetched and unpacked, and trees to build in.

The pristine tree is unpacked once. Trees to build in share its files by hard links, which cost
nothing; whatever changes a file in one of them must put a new file in its place.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vmad.lab.apt.indices import Package
from vmad.lab.cache import Cache, directory_made_whole, no_space_explained, write_whole
from vmad.lab.errors import LabError
from vmad.lab.kernels.catalogue import SOURCE_SERIES, catalogue
from vmad.lab.kernels.store import downloaded

_VERSION_FILE = ".vmad-source"


@dataclass(frozen=True)
class Source:
    """An unpacked source package: its version as Debian counts, and where the tree is."""

    version: str
    tree: Path


def offered(cache: Cache) -> list[str]:
    """The versions that the mirror offers, oldest first. Raises ``LabError`` if there is none."""
    known = catalogue(cache)
    if not known.sources:
        raise LabError(
            f"the mirror offers no linux-source-{SOURCE_SERIES}", "vmad lab kernels --refresh"
        )
    return [package.version for package in known.sources]


def unpacked(cache: Cache) -> list[str]:
    """The versions whose source is in the cache, for which no network is needed."""
    trees = (cache.root / "kernel-source").glob("linux-*")
    return sorted(tree.name.removeprefix("linux-") for tree in trees)


def source(cache: Cache, version: str) -> Source:
    """The source of one version; fetched when it is not here.

    Raises ``LabError``, which lists the versions on offer when there is no such one.
    """
    home = cache.root / "kernel-source" / f"linux-{version}"
    if not home.exists():
        on_offer = offered(cache)
        versions = [package for package in catalogue(cache).sources if package.version == version]
        if not versions:
            raise LabError(f"no source has version {version!r}", f"there is: {' '.join(on_offer)}")
        with cache.locked():
            if not home.exists():
                _unpack(cache, versions[-1], home)
    return Source(version, home)


def build_tree(cache: Cache, pristine: Source, name: str, alike: str | None = None) -> Path:
    """A tree to build in, kept from one build to the next; made anew for another source.

    It begins as a copy of the tree called ``alike``, objects included, if there is one of the same
    source; nobody may build in that meanwhile.
    """
    tree = cache.root / "kernel-build" / name
    if _version_in(tree) == pristine.version:
        return tree
    model = tree.with_name(alike) if alike is not None else None
    if model is not None and _version_in(model) != pristine.version:
        model = None
    # Objects are really copied, with their times: make takes them as they are, and some tools
    # write into theirs.
    how, origin = ("-al", pristine.tree) if model is None else ("-a", model)
    with directory_made_whole(tree) as work:
        with no_space_explained(work):
            done = subprocess.run(
                ["cp", how, f"{origin}/.", str(work)],
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode != 0:
            raise LabError(
                f"cannot link the source tree ({done.stderr.strip()[-200:]})", "try again"
            )
        if model is not None:
            _say_new_place(work / "tools", str(model), str(tree))
        write_whole(work / _VERSION_FILE, pristine.version.encode())
    return tree


def _say_new_place(tools: Path, old: str, new: str) -> None:
    """Tools are built with absolute paths, and anew when the command of last time differs.

    Every object depends on objtool, so that the whole kernel would follow.
    """
    for command in tools.rglob(".*.cmd"):
        text = command.read_bytes()
        if old.encode() in text:
            times = command.stat()
            command.write_bytes(text.replace(old.encode(), new.encode()))
            os.utime(command, ns=(times.st_atime_ns, times.st_mtime_ns))


def _version_in(tree: Path) -> str | None:
    try:
        return (tree / _VERSION_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None  # nothing was built in it yet


def _unpack(cache: Cache, package: Package, home: Path) -> None:
    inside = f"./usr/src/{package.name}.tar.xz"
    with downloaded(cache, package) as deb, directory_made_whole(home) as work:
        # Three programs in a row: neither the package nor the archive inside is written out. What
        # root unpacks must be root's, whoever packed it; others cannot but own what they unpack.
        stages = (
            ["dpkg-deb", "--fsys-tarfile", str(deb)],
            ["tar", "-xO", inside],
            ["tar", "-xJ", "--no-same-owner", "--strip-components=1", "-C", str(work)],
        )
        running: list[subprocess.Popen[bytes]] = []
        for number, stage in enumerate(stages):
            running.append(
                subprocess.Popen(
                    stage,
                    stdin=running[-1].stdout if running else subprocess.DEVNULL,
                    stdout=subprocess.PIPE if number < len(stages) - 1 else subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            )
        for process in running[:-1]:
            assert process.stdout is not None
            process.stdout.close()  # the next one has it; it must see the end
        said = b"".join(process.communicate()[1] for process in reversed(running)).decode()
        if any(process.returncode for process in running):
            raise LabError(
                f"cannot unpack {package.name} ({said.strip()[-200:] or 'no word why'})",
                "a source tree takes 1.8 GB; see that there is room and try again",
            )
