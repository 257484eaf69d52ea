# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The Debian package says the same as the rest of the project; it is built by `make deb`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from vmad import __version__

ROOT = Path(__file__).parents[3]
DEBIAN = ROOT / "debian"
LIBRARY = "/usr/lib/python3/dist-packages"


def test_package_and_program_have_one_version() -> None:
    done = subprocess.run(
        ["dpkg-parsechangelog", "-l", str(DEBIAN / "changelog"), "-S", "Version"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == __version__


def test_the_service_reaches_neither_the_probe_program_nor_its_library() -> None:
    """It is installed where the unit makes it inaccessible."""
    unit = (ROOT / "systemd" / "vmad.service").read_text()
    hidden = re.findall(r"^InaccessiblePaths=(.*)$", unit, re.MULTILINE)

    assert f"LIBRARY := $(TREE){LIBRARY}" in (DEBIAN / "rules").read_text()
    assert {f"-{LIBRARY}/vmad/probe", f"-{LIBRARY}/ptrace"} <= set(" ".join(hidden).split())


def test_what_the_service_starts_with_is_in_the_package() -> None:
    unit = (ROOT / "systemd" / "vmad.service").read_text()
    rules = (DEBIAN / "rules").read_text()

    assert "ExecStart=/usr/bin/vmad serve --config /etc/vmad/vmad.yaml" in unit
    assert "$(TREE)/usr/bin/vmad" in rules
    assert "$(TREE)/etc/vmad/vmad.yaml" in rules
    assert "EnvironmentFile=-/etc/default/vmad" in unit
    assert (DEBIAN / "vmad.default").exists()
