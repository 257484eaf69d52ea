# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Programs for workloads: Debian packages fetched and unpacked in the cache, never installed.

What the host has is not fetched. The rest becomes a tree that a guest lays over its own /usr and
/etc, so that programs find their files where they expect them.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from vmad.lab.cache import Cache, directory_made_whole, no_space_explained, write_whole
from vmad.lab.errors import LabError
from vmad.lab.mirror import this_machines_mirror

_FRESH_SECONDS = 24 * 3600
# Until Debian 12 packages still have files in /bin and /lib, which the host's links lead to /usr.
_MERGED = ("bin", "sbin", "lib", "lib64")
# 'http://HOST/...deb' NAME SIZE HASH, from apt-get --print-uris
_TO_FETCH = re.compile(r"^'[^']+' (\S+\.deb) \d+ \S+$", re.MULTILINE)


class HostPackages:
    """The machine's own apt sources and list of installed packages, with lists of our own.

    Nothing is written outside the cache; packages are checked by apt against the signed index.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._state = cache.root / "apt-host"
        self._options = [
            f"-oDir::State={self._state}",
            "-oDir::State::status=/var/lib/dpkg/status",
            f"-oDir::Cache={self._state}/cache",
            "-oAPT::Sandbox::User=root",
            "-oAcquire::Languages=none",
            "-oAcquire::Retries=2",
            "-oDebug::NoLocking=1",
        ]

    def tree(self, names: Sequence[str]) -> Path | None:
        """A directory with what the host lacks of these packages and all that they depend on.

        None when it lacks nothing. Raises ``LabError``.
        """
        with self._cache.locked():
            self._update()
            missing = self._missing(names)
            if not missing:
                return None
            key = hashlib.sha256("\n".join(sorted(missing)).encode()).hexdigest()[:16]
            home = self._cache.root / "packages" / f"{names[0]}-{key}"
            if not home.exists():
                with directory_made_whole(home) as work:
                    self._fetch(names, work)
            return home

    def source(self, name: str) -> Path:
        """The unpacked upstream source of a Debian source package. Raises ``LabError``."""
        home = self._cache.root / "sources" / name
        if home.exists():
            return home
        with self._cache.locked():
            lines = f"deb-src {this_machines_mirror().archive} {_codename()} main\n"
            write_whole(self._state / "source.list", lines.encode())
            self._made()
            sources = [f"-oDir::Etc::sourcelist={self._state}/source.list"]
            sources += ["-oDir::Etc::sourceparts=/dev/null"]
            sources += [f"-oDir::State::lists={self._state}/source-lists"]
            (self._state / "source-lists" / "partial").mkdir(parents=True, exist_ok=True)
            self._apt("update", *sources)
            work = Path(tempfile.mkdtemp(dir=self._cache.root, prefix=".source."))
            try:
                self._apt("source", "--download-only", "-qq", *sources, name, cwd=work)
                (archive,) = work.glob("*.orig.tar.*")
                with directory_made_whole(home) as made:
                    _run(["tar", "-xf", str(archive), "-C", str(made), "--strip-components=1"])
            except ValueError as error:
                raise LabError(f"{name} has no single upstream archive", "name another") from error
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return home

    def _missing(self, names: Sequence[str]) -> list[str]:
        """What apt would fetch; the answer, which takes seconds, is kept while nothing changes."""
        ingredients = hashlib.sha256(Path("/var/lib/dpkg/status").read_bytes())
        ingredients.update(str((self._state / "updated").stat().st_mtime_ns).encode())
        ingredients.update(" ".join(names).encode())
        answer = self._state / "answers" / ingredients.hexdigest()[:16]
        if not answer.exists():
            printed = self._apt("install", "--print-uris", "-qq", *names)
            write_whole(answer, "\n".join(_TO_FETCH.findall(printed)).encode())
        return answer.read_text(encoding="utf-8").split()

    def _made(self) -> None:
        with no_space_explained(self._state):
            (self._state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
            (self._state / "cache").mkdir(parents=True, exist_ok=True)

    def _update(self) -> None:
        stamp = self._state / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < _FRESH_SECONDS:
            return
        self._made()
        self._apt("update")
        write_whole(stamp, b"")

    def _fetch(self, names: Sequence[str], into: Path) -> None:
        downloads = Path(tempfile.mkdtemp(dir=self._cache.root, prefix=".downloads."))
        try:
            (downloads / "partial").mkdir()
            self._apt("install", "--download-only", f"-oDir::Cache::archives={downloads}", *names)
            for deb in sorted(downloads.glob("*.deb")):
                _run(["dpkg-deb", "-x", str(deb), str(into)])
        finally:
            shutil.rmtree(downloads, ignore_errors=True)
        for name in _MERGED:
            if (into / name).is_dir():
                target = into / "usr" / name
                shutil.copytree(into / name, target, symlinks=True, dirs_exist_ok=True)
                shutil.rmtree(into / name)

    def _apt(self, command: str, *words: str, cwd: Path | None = None) -> str:
        options = ["-y", "--no-install-recommends"] if command == "install" else []
        return _run(["apt-get", *self._options, command, *options, *words], cwd)


def _run(argv: Sequence[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=cwd
        )
    except FileNotFoundError as error:
        raise LabError(f"no {argv[0]} on this machine", "workloads need Debian") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        why = lines[0] if lines else done.stderr.strip()[-200:] or "no word why"
        if "No space left" in done.stderr or "enough free space" in done.stderr:
            raise LabError("no space left in the lab's cache", "free some and try again")
        raise LabError(f"{argv[0]} failed ({why})", "check the network and the package's name")
    return done.stdout


def _codename() -> str:
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)
    if found is None:
        raise LabError("/etc/os-release names no Debian release", "workloads need Debian")
    return found[1]
