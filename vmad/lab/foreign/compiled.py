# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What of vmad is compiled, for another architecture: BPF programs, and the code of a rebuild.

Compiled here: clang needs nothing of it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from vmad.architecture.architecture import Architecture
from vmad.lab.cache import Cache, directory_made_whole
from vmad.lab.checkout import package_root
from vmad.lab.errors import LabError

_BPF, _PAYLOAD = "vmad/sources/bpf", "vmad/probe/payload"
#: directories with sources, below the one that has vmad; the last is there in a checkout only
_SOURCES = (_BPF, _PAYLOAD, "examples/rebuild")


def compiled(cache: Cache, architecture: Architecture) -> dict[str, bytes]:
    """Content by path below the directory that has vmad; made once per state of the sources.

    Raises ``LabError``. Without the sources of a rebuild its code is not there; it is then missed
    where it is to run.
    """
    here = Path(package_root())
    sources = [
        path
        for place in _SOURCES
        for path in sorted(here.joinpath(place).rglob("*"))
        if path.name == "Makefile" or path.suffix in (".c", ".h")
    ]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(bytes(source.relative_to(here)) + b"\0" + source.read_bytes())
    home = cache.root / "compiled" / f"{architecture.bpf}-{digest.hexdigest()[:16]}"
    if not home.exists():
        with cache.locked(f"compiled-{architecture.bpf}.lock"):
            if not home.exists():
                with directory_made_whole(home) as work:
                    for source in sources:
                        copy = work / source.relative_to(here)
                        copy.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy(source, copy)
                    _make(architecture, work / _BPF, f"ARCH={architecture.bpf}")
                    if (here / _SOURCES[-1]).is_dir():
                        _make(architecture, work / _PAYLOAD, f"MACHINE={architecture.machine}")
    made = [*home.joinpath(_BPF).glob("*.bpf.o"), *home.joinpath(_PAYLOAD).glob("*.bin")]
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(made)}


def _make(architecture: Architecture, work: Path, variable: str) -> None:
    argv = ["make", "-s", "-C", str(work), variable]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LabError("no make on this machine", "apt-get install make clang llvm") from error
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1:] or ["no word why"]
        raise LabError(
            f"vmad's C does not compile for {architecture.title} ({why[0]})",
            "apt-get install make clang llvm libbpf-dev",
        )
