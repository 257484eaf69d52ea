# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where this vmad lies, and whether a checkout with its tests and patches is around it."""

from __future__ import annotations

from pathlib import Path

import vmad
from vmad.lab.errors import LabError


def package_root() -> str:
    """The directory that has to be on the path for ``import vmad``."""
    return str(Path(next(iter(vmad.__path__))).absolute().parent)


def checkout() -> Path:
    """The directory with the tests that belong to this vmad. Raises ``LabError``."""
    root = Path(package_root())
    if not (root / "tests" / "live").is_dir():
        raise LabError(f"no tests beside {root}/vmad", "run the matrix from a checkout")
    return root
