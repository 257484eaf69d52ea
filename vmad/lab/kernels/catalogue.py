# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which kernels the mirror offers: asked at most once a day, remembered in between."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from vmad.lab.apt.indices import Package, version_key
from vmad.lab.apt.mirror import this_machines_mirror
from vmad.lab.cache import Cache, write_whole
from vmad.lab.errors import LabError
from vmad.lab.kernels.archive import KernelArchive
from vmad.lab.kernels.debian import DebianKernel, bootable, newest_of_each_series, sources

_SCHEMA = 2
#: the series that the patched kernel is built from (docs/patched-kernel.md)
SOURCE_SERIES = "6.12"
_FRESH_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Catalogue:
    """The offer of the mirror at a time (seconds since the epoch), and what could not be had.

    ``sources`` are the source packages of ``SOURCE_SERIES``, oldest first.
    """

    made_at: float
    kernels: tuple[DebianKernel, ...]
    busybox: Package
    complaints: tuple[str, ...] = ()
    sources: tuple[Package, ...] = ()

    def find(self, name: str) -> DebianKernel:
        """The kernel that a person means: a series (6.1), a release, or ``newest``.

        Raises ``LabError`` that lists the names there are.
        """
        choice = newest_of_each_series(self.kernels)
        if name == "newest" and choice:
            return choice[-1]
        for kernel in (*choice, *self.kernels):
            if name in (kernel.name, kernel.release):
                return kernel
        names = " ".join(kernel.name for kernel in choice)
        raise LabError(f"no kernel is called {name!r}", f"there is: {names} (or a whole release)")


def catalogue(cache: Cache, *, refresh: bool = False) -> Catalogue:
    """The catalogue, fetched anew when it is older than a day or ``refresh`` asks for it.

    When the mirror cannot be reached, one that is out of date is better than none.
    """
    known = _read(cache)
    if known is not None and not refresh and time.time() - known.made_at < _FRESH_SECONDS:
        return known
    with cache.locked():
        again = _read(cache)
        if again is not None and known is not None and again.made_at > known.made_at:
            return again  # another lab fetched it while we waited for the lock
        try:
            return _fetch(cache)
        except LabError:
            if known is None or refresh:
                raise
            return known


def _fetch(cache: Cache) -> Catalogue:
    archive = KernelArchive(cache.apt)
    complaints = archive.update(this_machines_mirror())
    packages = list(archive.packages())
    kernels = bootable(packages)
    busyboxes = sorted(
        (package for package in packages if package.name == "busybox-static"),
        key=lambda package: version_key(package.version),
    )
    if not kernels or not busyboxes:
        raise LabError(
            "the mirror offers no cloud-amd64 kernel or no busybox-static"
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
    write_whole(cache.root / "catalogue.json", text.encode())
    return made


def _read(cache: Cache) -> Catalogue | None:
    try:
        stored = json.loads((cache.root / "catalogue.json").read_text())
        if stored["schema"] != _SCHEMA:
            return None
        return Catalogue(
            float(stored["made_at"]),
            tuple(
                DebianKernel(k["name"], k["release"], _packages(k["packages"]))
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
