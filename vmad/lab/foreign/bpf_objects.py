# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad's BPF programs for another architecture, compiled here: clang needs nothing of it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from vmad.architecture.architecture import Architecture
from vmad.lab.cache import Cache, directory_made_whole
from vmad.lab.checkout import package_root
from vmad.lab.errors import LabError

#: below the directory that has vmad
PLACE = "vmad/sources/bpf"


def bpf_objects(cache: Cache, architecture: Architecture) -> dict[str, bytes]:
    """Name -> content; compiled once per state of their sources. Raises ``LabError``."""
    here = Path(package_root(), PLACE)
    sources = [here / "Makefile", *sorted(here.glob("*.bpf.[ch]"))]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    home = cache.root / "bpf" / f"{architecture.bpf}-{digest.hexdigest()[:16]}"
    if not home.exists():
        with cache.locked(f"bpf-{architecture.bpf}.lock"):
            if not home.exists():
                with directory_made_whole(home) as work:
                    for source in sources:
                        shutil.copy(source, work)
                    _make(architecture, work)
    return {path.name: path.read_bytes() for path in sorted(home.glob("*.bpf.o"))}


def _make(architecture: Architecture, work: Path) -> None:
    argv = ["make", "-s", "-C", str(work), f"ARCH={architecture.bpf}"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LabError("no make on this machine", "apt-get install make clang llvm") from error
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1:] or ["no word why"]
        raise LabError(
            f"the BPF programs do not compile for {architecture.title} ({why[0]})",
            "apt-get install make clang llvm libbpf-dev",
        )
