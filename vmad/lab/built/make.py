# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Configuring and compiling a kernel tree: make with ccache, the same from day to day."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vmad.architecture.x86_64 import X86_64
from vmad.lab.cache import Cache, write_whole
from vmad.lab.errors import LabError

#: what `uname -r` ends in, so that nobody takes one of these kernels for Debian's
LOCAL_VERSION = "-vmad"

# A command, or a file of a library, and the Debian package that brings it.
_NEEDED = {
    "gcc": "gcc",
    "make": "make",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "ccache": "ccache",
    "patch": "patch",
    "pahole": "dwarves",
    "xz": "xz-utils",
    "/usr/include/libelf.h": "libelf-dev",
    "/usr/include/stdlib.h": "libc6-dev",
}
_CONFIGURED = ".vmad-configured"
_SET = re.compile(r"^(?P<name>CONFIG_\w+)=(?P<value>.*)$")
_UNSET = re.compile(r"^# (?P<name>CONFIG_\w+) is not set$")
_OBJECT = re.compile(r"^  (?P<tool>[A-Z][A-Z0-9_ ]*?) +(?P<what>\S+)$")
_SHOWN_EVERY = 30.0

Told = Callable[[str], None]


def check_tools() -> None:
    """Raise ``LabError`` that names every package a build lacks."""
    missing = [
        package
        for needed, package in _NEEDED.items()
        if not (os.path.exists(needed) if needed.startswith("/") else shutil.which(needed))
    ]
    if missing:
        raise LabError(
            f"a kernel build lacks {len(missing)} programs or libraries",
            f"apt-get install --no-install-recommends {' '.join(missing)}",
        )


def compiler() -> str:
    """The compiler's version, one of the ingredients of a build."""
    done = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def options_in(text: str) -> dict[str, str]:
    """The options of a configuration or a fragment of one; what is not set counts as ``n``."""
    options: dict[str, str] = {}
    for line in text.splitlines():
        if match := _SET.match(line):
            options[match["name"]] = match["value"]
        elif match := _UNSET.match(line):
            options[match["name"]] = "n"
    return options


def configure(cache: Cache, tree: Path, fragments: Sequence[Path]) -> list[str]:
    """Write the tree's ``.config`` from fragments, later ones first; nothing if it is that already.

    Returns the options that did not come out as the fragments have them, as ``NAME=WANTED``.
    """
    options: dict[str, str] = {}
    for fragment in fragments:
        options.update(options_in(fragment.read_text(encoding="utf-8")))
    # Kconfig files may come with a patch, so that they count as well.
    ingredients = hashlib.sha256(repr(sorted(options.items())).encode() + compiler().encode())
    for kconfig in ("mm/Kconfig", "mm/Kconfig.debug", "lib/Kconfig.debug", "init/Kconfig"):
        ingredients.update((tree / kconfig).read_bytes())
    key = ingredients.hexdigest()
    stamp = tree / _CONFIGURED
    if not stamp.exists() or stamp.read_text() != key or not (tree / ".config").exists():
        stamp.unlink(missing_ok=True)
        _make(cache, tree, ["-s", "allnoconfig"], "cannot be configured")
        lines = "".join(f"{name}={value}\n" for name, value in options.items())
        with (tree / ".config").open("a", encoding="utf-8") as config:
            config.write(lines)  # of two lines for one option the later counts
        _make(cache, tree, ["-s", "olddefconfig"], "cannot be configured")
        write_whole(stamp, key.encode())
    got = options_in((tree / ".config").read_text(encoding="utf-8"))
    return [f"{name}={value}" for name, value in options.items() if got.get(name, "n") != value]


def compile_tree(cache: Cache, tree: Path, jobs: int, told: Told) -> str:
    """Compile the tree's image and vmlinux; returns the release, as ``uname -r`` will say it.

    What make prints goes to ``build.log`` in the tree. Raises ``LabError`` with the first error.
    """
    _make(cache, tree, [f"-j{jobs}", X86_64.kernel_image], "does not compile", told)
    return (tree / "include/config/kernel.release").read_text(encoding="utf-8").strip()


def _make(
    cache: Cache, tree: Path, words: Sequence[str], failure: str, told: Told | None = None
) -> None:
    log = tree / "build.log"
    argv = ["make", "CC=ccache gcc", f"LOCALVERSION={LOCAL_VERSION}", *words]
    with log.open("w", encoding="utf-8") as written:
        making = subprocess.Popen(
            argv,
            cwd=tree,
            env=_environment(cache),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert making.stdout is not None
        try:
            objects, shown = 0, time.monotonic()
            for line in making.stdout:
                written.write(line)
                match = _OBJECT.match(line)
                objects += match is not None and match["tool"] == "CC"
                if told is not None and match and time.monotonic() - shown >= _SHOWN_EVERY:
                    shown = time.monotonic()
                    told(f"{objects} objects compiled, now {match['what']}")
        finally:
            if making.poll() is None and making.stdout.closed is False:
                making.stdout.close()
            status = making.wait()
    if status != 0:
        errors = first_errors(log.read_text(encoding="utf-8"))
        raise LabError(
            f"the kernel {failure}: {errors[0]}", f"see {log}", console="\n".join(errors)
        )


def first_errors(log: str, count: int = 8) -> list[str]:
    """The lines of a build's output that say what went wrong, the first ones first."""
    lines = log.splitlines()
    wrong = re.compile(r"error:|Error \d+$|\*\*\*|undefined reference|No space left|FAILED")
    for number, line in enumerate(lines):
        if wrong.search(line):
            return lines[number : number + count]
    return lines[-count:] or ["make said nothing"]


def _environment(cache: Cache) -> Mapping[str, str]:
    """The variables of make: no flags of a make around us, and the same date on every day.

    Trees of the cache differ only in their own path. ccache hashes it into each object for the sake
    of debug info (hash_dir, ccache(1)); without that, stock and patched share what is equal.
    """
    kept = ("PATH", "HOME", "TMPDIR", "CCACHE_MAXSIZE")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "LC_ALL": "C",
        "KBUILD_BUILD_TIMESTAMP": "2026-01-01",
        "KBUILD_BUILD_USER": "vmad",
        "KBUILD_BUILD_HOST": "lab",
        "CCACHE_DIR": str(cache.root / "ccache"),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_MAXSIZE": os.environ.get("CCACHE_MAXSIZE", "5G"),
    }
