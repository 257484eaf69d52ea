# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""apt-get with its lists, downloads and locks in a directory of the lab's own.

Two kinds differ in where sources and installed packages come from: ``of_this_machine`` asks for
what the machine lacks, by its own sources; ``apart`` has sources of its own and nothing installed,
and serves other suites than the machine's. In both, the machine's apt.conf counts, for it may hold
the proxy that leads out, and packages are checked by apt against the signed index.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vmad.lab.cache import no_space_explained, write_whole
from vmad.lab.errors import LabError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_NO_SPACE = re.compile(r"No space left|enough free space")


@dataclass(frozen=True)
class Apt:
    """One apt: ``state`` is the only directory that it writes to, besides where it downloads to."""

    state: Path
    options: tuple[str, ...]

    @classmethod
    def of_this_machine(cls, state: Path) -> Apt:
        """The machine's sources and list of installed packages; the rest below ``state``."""
        return cls(
            state,
            (*_common(state), "-oDir::State::status=/var/lib/dpkg/status", "-oDebug::NoLocking=1"),
        )

    @classmethod
    def apart(cls, state: Path, debian: str) -> Apt:
        """Sources that are written to it (``write_sources``), and nothing installed.

        ``debian``: of that architecture only, as Debian calls it.
        """
        return cls(
            state,
            (
                *_common(state),
                f"-oDir::Etc::sourcelist={state}/sources.list",
                "-oDir::Etc::sourceparts=/dev/null",
                "-oDir::Etc::preferences=/dev/null",
                "-oDir::Etc::preferencesparts=/dev/null",
                f"-oDir::State::status={state}/status",
                f"-oAPT::Architecture={debian}",
                f"-oAPT::Architectures={debian}",
                "-oAcquire::GzipIndexes=true",
            ),
        )

    def made(self) -> Apt:
        """Itself, with the directories that apt wants to find. Raises ``LabError``."""
        with no_space_explained(self.state):
            for name in ("lists/partial", "cache/archives/partial"):
                (self.state / name).mkdir(parents=True, exist_ok=True)
            (self.state / "status").touch()
        return self

    def with_sources(self, name: str, lines: Sequence[str]) -> Apt:
        """The same with nothing but ``lines`` as its sources, whose lists are kept by ``name``."""
        lists = self.state / f"{name}-lists"
        with no_space_explained(self.state):
            (lists / "partial").mkdir(parents=True, exist_ok=True)
        sources = self.state / f"{name}.list"
        write_whole(sources, _text(lines))
        return replace(
            self,
            options=(
                *self.options,
                f"-oDir::Etc::sourcelist={sources}",
                "-oDir::Etc::sourceparts=/dev/null",
                f"-oDir::State::lists={lists}",
            ),
        )

    def write_sources(self, lines: Sequence[str]) -> None:
        """Give an apt that stands apart its sources; one that the machine's keyring signs."""
        if not KEYRING.exists():
            raise LabError(f"no {KEYRING}", "apt-get install debian-archive-keyring")
        write_whole(self.state / "sources.list", _text(lines))

    def tried(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run apt-get, whatever its status. Raises ``LabError`` where there is none."""
        try:
            return subprocess.run(
                ["apt-get", *self.options, *words],
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                cwd=cwd,
            )
        except FileNotFoundError as error:
            raise LabError(
                "no apt-get on this machine", "the lab fetches with apt: use Debian"
            ) from error

    def run(
        self,
        *words: str,
        cwd: Path | None = None,
        remedy: str = "check the network and the package's name",
    ) -> str:
        """Run apt-get; its standard output. Raises ``LabError`` with the first of its errors."""
        done = self.tried(*words, cwd=cwd)
        if done.returncode != 0:
            if _NO_SPACE.search(done.stderr):
                raise LabError(
                    f"no space left below {cwd or self.state}", "free some and try again"
                )
            why = next(iter(complaints(done.stderr, "E:")), "") or done.stderr.strip()[-200:]
            command = next(word for word in words if not word.startswith("-"))
            raise LabError(f"apt-get {command} failed ({why or 'no word why'})", remedy)
        return done.stdout


def complaints(stderr: str, *kinds: str) -> list[str]:
    """The lines of apt's standard error that begin with one of ``kinds``, such as ``E:``."""
    return [line for line in stderr.splitlines() if line.startswith(kinds)]


def unpack(deb: Path, into: Path) -> None:
    """Lay a package's files below ``into``; its scripts do not run. Raises ``LabError``."""
    done = subprocess.run(
        ["dpkg-deb", "-x", str(deb), str(into)], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return
    if _NO_SPACE.search(done.stderr):
        raise LabError(f"no space left below {into.parent}", "free some and try again")
    raise LabError(
        f"dpkg-deb cannot unpack {deb.name} ({done.stderr.strip()})", "delete it and try again"
    )


def _common(state: Path) -> tuple[str, ...]:
    return (
        f"-oDir::State={state}",
        f"-oDir::State::lists={state}/lists",
        f"-oDir::Cache={state}/cache",
        "-oAPT::Sandbox::User=root",
        "-oAcquire::Languages=none",
        "-oAcquire::Retries=2",
        "-oAcquire::http::Timeout=30",
        "-oAcquire::https::Timeout=30",
    )


def _text(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
