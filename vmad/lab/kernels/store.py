# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernels on disk: fetched, unpacked, checked; from Debian or built here."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmad.architecture.architecture import Architecture
from vmad.architecture.known import needed
from vmad.architecture.x86_64 import X86_64
from vmad.lab.apt.apt import unpack
from vmad.lab.apt.indices import Package
from vmad.lab.cache import Cache, directory_made_whole, no_space_explained, sha256_of
from vmad.lab.errors import LabError
from vmad.lab.kernels.archive import KernelArchive
from vmad.lab.kernels.catalogue import catalogue
from vmad.lab.kernels.debian import DebianKernel
from vmad.lab.machines import architecture_named, this_machine


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted now.

    ``machine`` as uname(2) names it; ``digest`` is its image's SHA256; ``modules`` a
    lib/modules/RELEASE directory, or None when everything is built in; ``home`` the directory that
    holds it all.
    """

    name: str
    release: str
    machine: str
    patched: bool
    image: Path
    digest: str
    modules: Path | None
    home: Path

    @property
    def architecture(self) -> Architecture:
        """What it runs on."""
        return needed(self.machine, "the lab")


def kernel_named(cache: Cache, name: str) -> Kernel:
    """The kernel that a person means, fetched first when it is not here yet.

    A kernel built here goes before one of Debian with the same name. Raises ``LabError``.
    """
    built = cache.built / name
    if "/" not in name and (built / "kernel.json").exists():
        return _read(built, name)
    known = catalogue(cache, architecture_named(name))
    return fetched(cache, known.find(name))


def built_here(cache: Cache) -> list[Kernel]:
    """The kernels below the cache's ``built`` directory (docs/lab.md says what is in one)."""
    manifests = sorted(cache.built.glob("*/kernel.json"))
    return [_read(manifest.parent, manifest.parent.name) for manifest in manifests]


def is_fetched(cache: Cache, kernel: DebianKernel) -> bool:
    """Whether booting this kernel needs no network."""
    return (cache.kernels / kernel.release / "kernel.json").exists()


def fetched(cache: Cache, kernel: DebianKernel) -> Kernel:
    """Fetch and unpack one of Debian's kernels, unless that is done already."""
    home = cache.kernels / kernel.release
    if not is_fetched(cache, kernel):
        with cache.locked():
            if not is_fetched(cache, kernel):  # another lab may have been quicker
                _unpack_kernel(cache, kernel, home)
    return _read(home, kernel.name)


def busybox(cache: Cache, architecture: Architecture | None = None) -> Path:
    """Debian's statically linked busybox for a machine (None: this one), once per version."""
    architecture = architecture or this_machine()
    package = catalogue(cache, architecture).busybox
    home = cache.root / "busybox" / package.sha256[:16]
    if not home.exists():
        with cache.locked():
            if not home.exists():
                with directory_made_whole(home) as work:
                    _unpack(cache, [package], work, architecture)
    for path in (home / "usr/bin/busybox", home / "bin/busybox"):
        if path.exists():
            return path
    raise LabError(f"no busybox in {home}", "delete that directory and try again")


def _unpack_kernel(cache: Cache, kernel: DebianKernel, home: Path) -> None:
    with directory_made_whole(home) as work:
        _unpack(cache, kernel.packages, work, needed(kernel.machine, "the lab"))
        # usr/lib since Debian 13, boot/ up to 6.18: packaging changes, seen in the packages.
        places = (
            work / f"usr/lib/modules/{kernel.release}/vmlinuz",
            work / f"boot/vmlinuz-{kernel.release}",
        )
        image = next((place for place in places if place.is_file()), None)
        trees = (work / "usr/lib/modules" / kernel.release, work / "lib/modules" / kernel.release)
        modules = next((tree for tree in trees if (tree / "kernel").is_dir()), None)
        if image is None or modules is None:
            raise LabError(
                f"{kernel.packages[0].name} holds no image or no modules", "take another kernel"
            )
        manifest = {
            "release": kernel.release,
            "machine": kernel.machine,
            "patched": False,
            "image": str(image.relative_to(work)),
            "sha256": sha256_of(image),
            "modules": str(modules.relative_to(work)),
        }
        (work / "kernel.json").write_text(json.dumps(manifest, indent=1) + "\n")


@contextlib.contextmanager
def downloaded(
    cache: Cache, package: Package, architecture: Architecture | None = None
) -> Iterator[Path]:
    """A package's file, fetched and checked, there for as long as the context lasts."""
    downloads = Path(tempfile.mkdtemp(dir=cache.root, prefix=".downloads."))
    try:
        yield KernelArchive(cache, architecture or this_machine()).download(package, downloads)
    finally:
        shutil.rmtree(downloads, ignore_errors=True)


def _unpack(
    cache: Cache, packages: Sequence[Package], into: Path, architecture: Architecture
) -> None:
    for package in packages:
        with downloaded(cache, package, architecture) as deb:
            unpack(deb, into)


def _read(home: Path, name: str) -> Kernel:
    with no_space_explained(home):
        text = (home / "kernel.json").read_text()
    try:
        manifest = json.loads(text)
        image = home / manifest["image"]
        modules = manifest.get("modules")
        kernel = Kernel(
            name,
            manifest["release"],
            # built here, where a kernel for another machine cannot be built
            manifest.get("machine", X86_64.machine),
            bool(manifest.get("patched", False)),
            image,
            manifest["sha256"],
            home / modules if modules else None,
            home,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"{home}/kernel.json is damaged", f"delete {home}") from error
    return kernel


def check_image(kernel: Kernel) -> None:
    """Compare the image with the hash that was noted when it came; takes some 20 ms."""
    if not kernel.image.is_file() or sha256_of(kernel.image) != kernel.digest:
        raise LabError(
            f"{kernel.image} is not what was unpacked there", f"delete {kernel.home} and try again"
        )
