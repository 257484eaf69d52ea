# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What of this process's surroundings a command takes along into a guest."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vmad.lab.cache import no_space_explained
from vmad.lab.checkout import package_root
from vmad.lab.errors import LabError
from vmad.lab.guest.initramfs import Request

# Directories that a fresh tmpfs covers in the guest (init_script.py).
_COVERED = ("/tmp", "/run", "/dev/shm")
# Beyond these, variables of the host tend to name things that the guest does not have: sockets,
# sessions, temporary directories.
_TAKEN = ("HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "TERM", "TZ", "USER", "VIRTUAL_ENV")


def request_for(
    argv: Sequence[str], out_dir: Path | None, environment: Mapping[str, str] | None = None
) -> Request:
    """The request to run ``argv`` from here; ``environment`` adds variables. Makes ``out_dir``."""
    here = os.getcwd()
    out = None
    if out_dir is not None:
        out = str(out_dir.absolute())
        if out == "/" or "\n" in out:
            raise LabError(f"{out!r} cannot be --out", "name a directory of its own")
        with no_space_explained(out_dir):
            out_dir.mkdir(parents=True, exist_ok=True)
    variables = guest_environment(os.environ, package_root())
    variables.update(environment or {})
    needed = [here, *library_paths(package_root()), sys.executable, sys.prefix]
    needed += [sys.base_prefix, *(word for word in argv if os.path.isabs(word))]
    return Request(
        argv=argv,
        directory=here,
        environment=variables,
        python=sys.executable,
        hidden=covered(needed, out),
        out=out,
    )


def library_paths(root: str) -> list[str]:
    """The directories that PYTHONPATH names in the guest: vmad's first, then those named here.

    What Python finds by itself (its own and the environment's site-packages) it finds there too.
    """
    named = [entry for entry in os.environ.get("PYTHONPATH", "").split(":") if entry]
    return list(dict.fromkeys([root, *(os.path.abspath(entry) for entry in named)]))


def guest_environment(environment: Mapping[str, str], root: str) -> dict[str, str]:
    """The variables of the command, among them a PATH that finds this very Python first."""
    taken = {
        name: value
        for name, value in environment.items()
        if name in _TAKEN or name.startswith("LC_")
    }
    taken.setdefault("HOME", "/root")
    own = os.path.dirname(sys.executable)
    places = [own, *taken.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").split(":")]
    taken["PATH"] = ":".join(dict.fromkeys(places))
    taken["PYTHONPATH"] = ":".join(library_paths(root))
    return taken


def covered(paths: Iterable[str], out: str | None) -> list[str]:
    """Those of ``paths`` that exist below a covered directory, each once and none inside another.

    ``out`` is left out: it is mounted for itself.
    """
    outer: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths}):
        below = any(path.startswith(place + "/") for place in _COVERED)
        inside = any(path == known or path.startswith(known + "/") for known in outer)
        if below and not inside and path != out and os.path.exists(path) and "\n" not in path:
            outer.append(path)
    return outer
