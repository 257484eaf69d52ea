# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The suites that hold kernels, asked by an apt that stands apart from the machine's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from vmad.architecture.architecture import Architecture
from vmad.lab.apt.apt import KEYRING, Apt, complaints
from vmad.lab.apt.indices import Package
from vmad.lab.apt.mirror import Mirror
from vmad.lab.cache import Cache, no_space_explained, sha256_of
from vmad.lab.errors import LabError
from vmad.lab.kernels.debian import lab_packages
from vmad.lab.machines import this_machine

_APT_HELPER = "/usr/lib/apt/apt-helper"
# 5.10 from bullseye, 6.1 and 6.12 from bookworm, later ones from trixie-backports and sid.
_SECURITY_SUITES = ("bullseye-security", "bookworm-security", "trixie-security")
_SUITES = ("trixie-backports", "sid")
# Without the security archive the release's own suites still hold a (older) 5.10, 6.1 and 6.12.
_SUITES_INSTEAD_OF_SECURITY = ("bullseye", "bookworm", "trixie")


class KernelArchive:
    """Debian's suites with kernels; nothing that is done here can touch the machine's own apt."""

    def __init__(self, cache: Cache, architecture: Architecture) -> None:
        own = architecture is this_machine()
        state = cache.apt if own else cache.root / f"apt-{architecture.debian}"
        self._architecture = architecture
        self._apt = Apt.apart(state, architecture.debian)

    def update(self, mirror: Mirror) -> list[str]:
        """Fetch the indices of all suites; returns apt's complaints about single suites.

        A suite that has gone (old ones move to an archive of their own) costs its kernels only.
        Raises ``LabError`` when no suite at all could be had.
        """
        suites = [(mirror.archive, suite) for suite in _SUITES]
        if mirror.security is not None:
            suites += [(mirror.security, suite) for suite in _SECURITY_SUITES]
        else:
            suites += [(mirror.archive, suite) for suite in _SUITES_INSTEAD_OF_SECURITY]
        apt = self._apt.made()
        apt.write_sources(
            [f"deb [signed-by={KEYRING}] {base} {suite} main" for base, suite in suites]
        )
        said = complaints(apt.tried("update").stderr, "E:", "W:")
        if not self._index_files():
            raise LabError(
                "apt could not fetch any package index" + (f" ({said[0]})" if said else ""),
                "check the network, and that the machine's own apt-get update works",
            )
        return said

    def packages(self) -> Iterator[Package]:
        """What the fetched indices say about the packages that the lab can use."""
        for index in self._index_files():
            shown = subprocess.Popen(
                [_APT_HELPER, "cat-file", index], stdout=subprocess.PIPE, text=True
            )
            assert shown.stdout is not None
            with shown:
                yield from lab_packages(shown.stdout, self._architecture)
            if shown.returncode != 0:
                raise LabError(f"apt cannot read its index {index}", f"delete {self._apt.state}")

    def download(self, package: Package, into: Path) -> Path:
        """Fetch one package below ``into``, check it against the signed index, return its path."""
        versioned = f"{package.name}={package.version}"
        with no_space_explained(into):
            before = set(into.iterdir())
        renew = "check the network; vmad lab kernels --refresh renews the indices"
        self._apt.run("download", versioned, cwd=into, remedy=renew)
        debs = sorted(set(into.iterdir()) - before)
        if len(debs) != 1:
            raise LabError(
                f"apt left {len(debs)} files for {versioned}", f"delete {self._apt.state}"
            )
        check(debs[0], package)
        return debs[0]

    def _index_files(self) -> list[str]:
        format_ = ("--format", "$(FILENAME)", "Identifier: Packages")
        return sorted(set(self._apt.tried("indextargets", *format_).stdout.split()))


def check(deb: Path, package: Package) -> None:
    """Compare a file with the index's size and hash; a file that differs is deleted."""
    size = deb.stat().st_size
    if size == package.size and sha256_of(deb) == package.sha256:
        return
    deb.unlink()
    raise LabError(
        f"{package.name} {package.version} arrived with {size} bytes and another hash than the"
        f" index's ({package.size} bytes)",
        "vmad lab kernels --refresh renews the indices; then try again",
    )
