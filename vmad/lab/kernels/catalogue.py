# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which kernels the mirror offers: asked at most once a day, remembered in between."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vmad.architecture.architecture import Architecture
from vmad.lab.apt.indices import Package, version_key
from vmad.lab.apt.mirror import this_machines_mirror
from vmad.lab.cache import Cache, write_whole
from vmad.lab.errors import LabError
from vmad.lab.kernels.archive import KernelArchive
from vmad.lab.kernels.debian import DebianKernel, bootable, newest_of_each_series, sources
from vmad.lab.machines import suffix, this_machine

_SCHEMA = 3
#: the series that the patched kernel is built from (docs/patched-kernel.md)
SOURCE_SERIES = "6.12"
_FRESH_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Catalogue:
    """The offer of the mirror at a time (seconds since the epoch), for one kind of machine.

    ``sources`` are the source packages of ``SOURCE_SERIES``, oldest first.
    """

    made_at: float
    kernels: tuple[DebianKernel, ...]
    busybox: Package
    complaints: tuple[str, ...] = ()
    sources: tuple[Package, ...] = ()

    def find(self, name: str) -> DebianKernel:
        """The kernel that a person means: a series (6.1, 6.12-arm64), a release, or ``newest``.

        Raises ``LabError`` that lists the names there are.
        """
        choice = newest_of_each_series(self.kernels)
        if name.partition("-")[0] == "newest":
            # the newest of those with the small pages, or, "-16k", of the others
            large = name.endswith("k")
            choice = [kernel for kernel in choice if kernel.name.endswith("k") is large] or choice
            return choice[-1]
        for kernel in (*choice, *self.kernels):
            if name in (kernel.name, kernel.release):
                return kernel
        names = " ".join(kernel.name for kernel in choice)
        raise LabError(f"no kernel is called {name!r}", f"there is: {names} (or a whole release)")


def catalogue(
    cache: Cache, architecture: Architecture | None = None, *, refresh: bool = False
) -> Catalogue:
    """The catalogue, fetched anew when it is older than a day or ``refresh`` asks for it.

    ``architecture``: whose kernels, None for this machine's. When the mirror cannot be reached,
    one that is out of date is better than none.
    """
    architecture = architecture or this_machine()
    known = _read(cache, architecture)
    if known is not None and not refresh and time.time() - known.made_at < _FRESH_SECONDS:
        return known
    with cache.locked():
        again = _read(cache, architecture)
        if again is not None and known is not None and again.made_at > known.made_at:
            return again  # another lab fetched it while we waited for the lock
        try:
            return _fetch(cache, architecture)
        except LabError:
            if known is None or refresh:
                raise
            return known


def _fetch(cache: Cache, architecture: Architecture) -> Catalogue:
    archive = KernelArchive(cache, architecture)
    complaints = archive.update(this_machines_mirror())
    packages = list(archive.packages())
    kernels = bootable(packages, architecture)
    busyboxes = sorted(
        (package for package in packages if package.name == "busybox-static"),
        key=lambda package: version_key(package.version),
    )
    if not kernels or not busyboxes:
        raise LabError(
            f"the mirror offers no cloud-{architecture.debian} kernel or no busybox-static"
            + (f" ({complaints[0]})" if complaints else ""),
            "check that apt's sources name a whole Debian mirror",
        )
    made = Catalogue(
        time.time(),
        tuple(kernels),
        busyboxes[-1],
        tuple(complaints),
        tuple(sources(packages, SOURCE_SERIES)),
    )
    text = json.dumps({"schema": _SCHEMA, **asdict(made)}, indent=1)
    write_whole(_place(cache, architecture), text.encode())
    return made


def _place(cache: Cache, architecture: Architecture) -> Path:
    return cache.root / f"catalogue{suffix(architecture)}.json"


def _read(cache: Cache, architecture: Architecture) -> Catalogue | None:
    try:
        stored = json.loads(_place(cache, architecture).read_text())
        if stored["schema"] != _SCHEMA:
            return None
        return Catalogue(
            float(stored["made_at"]),
            tuple(
                DebianKernel(k["name"], k["release"], k["machine"], _packages(k["packages"]))
                for k in stored["kernels"]
            ),
            Package(**stored["busybox"]),
            tuple(stored["complaints"]),
            _packages(stored["sources"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        # Of another vmad, or damaged by hand: it can be made again.
        return None


def _packages(stored: Sequence[dict[str, object]]) -> tuple[Package, ...]:
    return tuple(
        Package(str(p["name"]), str(p["version"]), int(str(p["size"])), str(p["sha256"]))
        for p in stored
    )
