# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a command takes along into a guest of another architecture: text, but no programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from vmad.architecture.architecture import Architecture
from vmad.lab.cache import Cache
from vmad.lab.checkout import package_root
from vmad.lab.foreign.compiled import compiled
from vmad.lab.foreign.root import WHEELS_AT, root_of
from vmad.lab.guest.initramfs import Laid, Request


def foreign(request: Request, cache: Cache, architecture: Architecture) -> Request:
    """The request with a root of that architecture. Raises ``LabError``.

    vmad, the environment that it is installed in and the present directory are shown where they
    are here; Python is the root's, and what is compiled comes from there before what is here.
    """
    root = root_of(cache, architecture)
    own = package_root()
    variables = dict(request.environment)
    here = [path for path in sys.path if path.endswith("site-packages")]
    paths = [own, f"/{WHEELS_AT}", *variables["PYTHONPATH"].split(":")[1:], *here]
    variables["PYTHONPATH"] = ":".join(dict.fromkeys(paths))
    return replace(
        request,
        environment=variables,
        python="/usr/bin/python3",
        hidden=(),
        root=str(root),
        trees=outermost([own, request.directory, sys.prefix, *here]),
        python_links=() if sys.executable.startswith("/usr/bin/") else (sys.executable,),
        laid=Laid(own, compiled(cache, architecture)),
    )


def outermost(paths: Iterable[str]) -> list[str]:
    """Directories of which none lies in another; without those that every root has."""
    outer: list[str] = []
    for path in sorted({os.path.realpath(path) for path in paths}):
        usual = path in {"/", "/usr"} or path.startswith("/usr/lib/")
        inside = any(path.startswith(known + "/") for known in outer)
        if not usual and not inside and Path(path).is_dir():
            outer.append(path)
    return outer
