# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A root file system of another architecture: Debian packages, unpacked here, never run here.

Their scripts would need emulation, which takes many minutes; what of them a guest of the lab needs
(users, byte-compiled Python) is done here instead. Python's compiled packages come as wheels for
that architecture, in the versions that this vmad runs with.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from vmad.architecture.architecture import Architecture
from vmad.lab.apt.apt import KEYRING, Apt, unpack
from vmad.lab.apt.mirror import this_machines_mirror
from vmad.lab.cache import Cache, directory_made_whole
from vmad.lab.errors import LabError

#: a shell, Python, what vmad loads and its tests call, and a compiler for their small programs
PACKAGES = (
    "base-files", "base-passwd", "bash", "coreutils", "dash", "findutils", "gcc", "grep",
    "hostname", "iproute2", "kmod", "libbpf1", "libc-bin", "libc6-dev", "libdw1",
    "linux-libc-dev", "make", "mount", "procps", "python3", "sed", "util-linux",
)  # fmt: skip
#: Python packages with compiled parts; those of the tests only where they are installed here
WHEELS = ("numpy", "bcrypt", "PyYAML")
TEST_WHEELS = ("hypothesis",)
#: below the root; on PYTHONPATH in the guest
WHEELS_AT = "usr/local/lib/vmad-wheels"
_MERGED = ("bin", "sbin", "lib", "lib64")
#: the packages' files and how they are laid: with another number the root is made anew
_MADE = 1


def root_of(cache: Cache, architecture: Architecture) -> Path:
    """The root for guests of this architecture; made once, which takes a minute or two.

    Raises ``LabError``.
    """
    ingredients = repr((_MADE, PACKAGES, _wheels(None)))
    key = hashlib.sha256(ingredients.encode()).hexdigest()[:16]
    home = cache.root / "roots" / f"{architecture.debian}-{key}"
    if not home.exists():
        with cache.locked(f"root-{architecture.debian}.lock"):
            if not home.exists():
                with directory_made_whole(home) as work:
                    _make(cache, architecture, work)
    return home


def _make(cache: Cache, architecture: Architecture, root: Path) -> None:
    apt = Apt.apart(cache.root / f"apt-root-{architecture.debian}", architecture.debian).made()
    mirror = this_machines_mirror()
    lines = [f"deb [signed-by={KEYRING}] {mirror.archive} bookworm main"]
    if mirror.security is not None:
        lines.append(f"deb [signed-by={KEYRING}] {mirror.security} bookworm-security main")
    apt.write_sources(lines)
    apt.run("update", remedy="check the network")
    downloads = Path(tempfile.mkdtemp(dir=cache.root, prefix=".downloads."))
    try:
        (downloads / "partial").mkdir()
        apt.run(
            "install", "-y", "--no-install-recommends", "--download-only",
            f"-oDir::Cache::archives={downloads}", *PACKAGES,
        )  # fmt: skip
        for deb in sorted(downloads.glob("*.deb")):
            unpack(deb, root)
    finally:
        shutil.rmtree(downloads, ignore_errors=True)
    settle(root)
    _add_wheels(architecture, root)
    _compile(root)


def settle(root: Path) -> None:
    """What the packages' scripts would have done, as far as it is needed."""
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if (root / name).is_dir() and not (root / name).is_symlink():
            shutil.copytree(root / name, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(root / name)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    (root / "etc/hosts").write_text("127.0.0.1 localhost vmad-lab\n", encoding="ascii")
    for name in ("dev", "proc", "sys", "tmp", "run", "root", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    # an alternative, which postinst would have set
    cc = root / "usr/bin/cc"
    if not cc.exists() and (root / "usr/bin/gcc").is_symlink():
        cc.symlink_to("gcc")


def python_version(root: Path) -> tuple[int, int]:
    """Of the root's Python."""
    link = root / "usr/bin/python3"
    match = re.search(r"3\.(\d+)$", str(link.readlink())) if link.is_symlink() else None
    if match is None:
        raise LabError(f"no Python in {root}", f"delete {root}")
    return 3, int(match[1])


def _wheels(version: tuple[int, int] | None) -> list[str]:
    """What pip is asked for, for a root with such a Python (None: one like this)."""
    requirements = [_requirement(name, version) for name in WHEELS]
    for name in TEST_WHEELS:
        with suppress(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version(name)
            requirements.append(_requirement(name, version))
    return requirements


def _requirement(name: str, version: tuple[int, int] | None) -> str:
    """The version that is installed here, if the root's Python is like this one."""
    if version not in (None, sys.version_info[:2]):
        return name
    try:
        return f"{name}=={importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return name


def _add_wheels(architecture: Architecture, root: Path) -> None:
    version = python_version(root)
    platforms = [f"--platform={tag}_{architecture.machine}" for tag in (
        "manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28", "manylinux_2_34"
    )]  # fmt: skip
    argv = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--root-user-action=ignore", "--no-deps", "--no-compile", "--only-binary=:all:",
        *platforms, f"--python-version={version[0]}.{version[1]}",
        f"--target={root / WHEELS_AT}", *_wheels(version),
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1:] or ["no word why"]
        raise LabError(
            f"pip could not fetch wheels for {architecture.machine} ({why[0]})",
            "check the network and that this environment has pip",
        )


def _compile(root: Path) -> None:
    """Byte-compile what a guest imports, where this Python makes what the root's takes."""
    if python_version(root) != sys.version_info[:2]:
        return
    places = [f"usr/lib/python3.{sys.version_info[1]}", WHEELS_AT]
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-q", "-j2", "-s", str(root), "-p", "/",
         *(str(root / place) for place in places)],
        check=False, stdout=subprocess.DEVNULL,
    )  # fmt: skip
