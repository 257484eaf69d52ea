# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""An apt of the lab's own: its sources, indices and downloads, apart from the machine's."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from vmad.lab.apt_indices import Package, lab_packages
from vmad.lab.cache import no_space_explained, sha256_of, write_whole
from vmad.lab.errors import LabError
from vmad.lab.mirror import Mirror

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_APT_HELPER = "/usr/lib/apt/apt-helper"
# 5.10 from bullseye, 6.1 and 6.12 from bookworm, later ones from trixie-backports and sid.
_SECURITY_SUITES = ("bullseye-security", "bookworm-security", "trixie-security")
_SUITES = ("trixie-backports", "sid")
# Without the security archive the release's own suites still hold a (older) 5.10, 6.1 and 6.12.
_SUITES_INSTEAD_OF_SECURITY = ("bullseye", "bookworm", "trixie")


class PrivateApt:
    """apt with every directory moved below ``state``; nothing it does can touch the machine's own.

    The machine's apt.conf still counts, for it may hold the proxy that leads out.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._options = [
            f"-oDir::Etc::sourcelist={state}/sources.list",
            "-oDir::Etc::sourceparts=/dev/null",
            "-oDir::Etc::preferences=/dev/null",
            "-oDir::Etc::preferencesparts=/dev/null",
            f"-oDir::State={state}",
            f"-oDir::State::lists={state}/lists",
            f"-oDir::State::status={state}/status",
            f"-oDir::Cache={state}/cache",
            "-oAPT::Sandbox::User=root",
            "-oAPT::Architecture=amd64",
            "-oAPT::Architectures=amd64",
            "-oAcquire::Languages=none",
            "-oAcquire::GzipIndexes=true",
            "-oAcquire::Retries=2",
            "-oAcquire::http::Timeout=30",
            "-oAcquire::https::Timeout=30",
        ]

    def update(self, mirror: Mirror) -> list[str]:
        """Fetch the indices of all suites; returns apt's complaints about single suites.

        A suite that has gone (old ones move to an archive of their own) costs its kernels only.
        Raises ``LabError`` when no suite at all could be had.
        """
        if not _KEYRING.exists():
            raise LabError(f"no {_KEYRING}", "apt-get install debian-archive-keyring")
        with no_space_explained(self._state):
            (self._state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
            (self._state / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
            (self._state / "status").touch()
        lines = [f"deb [signed-by={_KEYRING}] {mirror.archive} {s} main" for s in _SUITES]
        if mirror.security is not None:
            lines += [
                f"deb [signed-by={_KEYRING}] {mirror.security} {s} main" for s in _SECURITY_SUITES
            ]
        else:
            lines += [
                f"deb [signed-by={_KEYRING}] {mirror.archive} {s} main"
                for s in _SUITES_INSTEAD_OF_SECURITY
            ]
        write_whole(self._state / "sources.list", ("\n".join(lines) + "\n").encode())
        done = self._apt("apt-get", "update")
        complaints = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
        if not self._index_files():
            raise LabError(
                "apt could not fetch any package index"
                + (f" ({complaints[0]})" if complaints else ""),
                "check the network, and that the machine's own apt-get update works",
            )
        return complaints

    def packages(self) -> Iterator[Package]:
        """What the fetched indices say about the packages that the lab can use."""
        for index in self._index_files():
            shown = subprocess.Popen(
                [_APT_HELPER, "cat-file", index], stdout=subprocess.PIPE, text=True
            )
            assert shown.stdout is not None
            with shown:
                yield from lab_packages(shown.stdout)
            if shown.returncode != 0:
                raise LabError(f"apt cannot read its index {index}", f"delete {self._state}")

    def download(self, package: Package, into: Path) -> Path:
        """Fetch one package below ``into``, check it against the signed index, return its path."""
        wanted = f"{package.name}={package.version}"
        with no_space_explained(into):
            before = set(into.iterdir())
        done = self._apt("apt-get", "download", wanted, cwd=into)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            if re.search(r"No space left|enough free space", done.stderr):
                raise LabError(f"no space left below {into}", "free some and try again")
            raise LabError(
                f"apt could not fetch {wanted} ({errors[0] if errors else 'no word why'})",
                "check the network; vmad lab kernels --refresh renews the indices",
            )
        debs = sorted(set(into.iterdir()) - before)
        if len(debs) != 1:
            raise LabError(f"apt left {len(debs)} files for {wanted}", f"delete {self._state}")
        check(debs[0], package)
        return debs[0]

    def _index_files(self) -> list[str]:
        done = self._apt(
            "apt-get", "indextargets", "--format", "$(FILENAME)", "Identifier: Packages"
        )
        return sorted(set(done.stdout.split()))

    def _apt(
        self, program: str, *arguments: str, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        argv: Sequence[str] = [program, *self._options, *arguments]
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=cwd
        )


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
