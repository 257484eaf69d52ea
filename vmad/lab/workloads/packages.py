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

from vmad.lab.apt.apt import Apt, unpack
from vmad.lab.apt.mirror import this_machines_mirror
from vmad.lab.cache import Cache, directory_made_whole, write_whole
from vmad.lab.errors import LabError

_FRESH_SECONDS = 24 * 3600
# Until Debian 12 packages still have files in /bin and /lib, which the host's links lead to /usr.
_MERGED = ("bin", "sbin", "lib", "lib64")
# 'http://HOST/...deb' NAME SIZE HASH, from apt-get --print-uris
_TO_FETCH = re.compile(r"^'[^']+' (\S+\.deb) \d+ \S+$", re.MULTILINE)

_INSTALL = ("install", "-y", "--no-install-recommends")


class HostPackages:
    """What this machine's own sources offer, and what of it is not installed here."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._apt = Apt.of_this_machine(cache.root / "apt-host")

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
            line = f"deb-src {this_machines_mirror().archive} {_codename()} main"
            apt = self._apt.made().with_sources("source", [line])
            apt.run("update")
            work = Path(tempfile.mkdtemp(dir=self._cache.root, prefix=".source."))
            try:
                apt.run("source", "--download-only", "-qq", name, cwd=work)
                (archive,) = work.glob("*.orig.tar.*")
                with directory_made_whole(home) as made:
                    _untar(archive, made)
            except ValueError as error:
                raise LabError(f"{name} has no single upstream archive", "name another") from error
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return home

    def _missing(self, names: Sequence[str]) -> list[str]:
        """What apt would fetch; the answer, which takes seconds, is kept while nothing changes."""
        ingredients = hashlib.sha256(Path("/var/lib/dpkg/status").read_bytes())
        ingredients.update(str((self._apt.state / "updated").stat().st_mtime_ns).encode())
        ingredients.update(" ".join(names).encode())
        answer = self._apt.state / "answers" / ingredients.hexdigest()[:16]
        if not answer.exists():
            printed = self._apt.run(*_INSTALL, "--print-uris", "-qq", *names)
            write_whole(answer, "\n".join(_TO_FETCH.findall(printed)).encode())
        return answer.read_text(encoding="utf-8").split()

    def _update(self) -> None:
        stamp = self._apt.state / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < _FRESH_SECONDS:
            return
        self._apt.made().run("update")
        write_whole(stamp, b"")

    def _fetch(self, names: Sequence[str], into: Path) -> None:
        downloads = Path(tempfile.mkdtemp(dir=self._cache.root, prefix=".downloads."))
        try:
            (downloads / "partial").mkdir()
            kept = f"-oDir::Cache::archives={downloads}"
            self._apt.run(*_INSTALL, "--download-only", kept, *names)
            for deb in sorted(downloads.glob("*.deb")):
                unpack(deb, into)
        finally:
            shutil.rmtree(downloads, ignore_errors=True)
        for name in _MERGED:
            if (into / name).is_dir():
                target = into / "usr" / name
                shutil.copytree(into / name, target, symlinks=True, dirs_exist_ok=True)
                shutil.rmtree(into / name)


def _untar(archive: Path, into: Path) -> None:
    argv = ["tar", "-xf", str(archive), "-C", str(into), "--strip-components=1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = done.stderr.strip()[-200:] or "no word why"
        raise LabError(f"cannot unpack {archive.name} ({why})", "see that there is room")


def _codename() -> str:
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    match = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)
    if match is None:
        raise LabError("/etc/os-release names no Debian release", "workloads need Debian")
    return match[1]
