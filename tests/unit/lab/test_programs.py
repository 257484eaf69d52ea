# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the lab makes of the programs that a Debian release has."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmad.lab.guest.programs import shares_mounts_as_one_tree

#: parts of what --help prints: Debian 12's, of QEMU 7.2, and Debian 13's 1.13.2
HELP_OF_QEMU_7_2 = "    -o announce_submounts      Announce sub-mount points to the guest"
HELP_OF_1_13 = """\
      --announce-submounts
          Tell the guest which directories are mount points [default]

      --no-announce-submounts
          Do not tell the guest which directories are mount points
"""


@pytest.mark.parametrize(
    ("said", "options"),
    [(HELP_OF_QEMU_7_2, ()), (HELP_OF_1_13, ("--no-announce-submounts",))],
    ids=["Debian 12", "Debian 13"],
)
def test_virtiofsd_gets_the_option_that_it_knows_and_no_other(
    said: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    program = tmp_path / "virtiofsd"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    program.chmod(0o755)
    assert shares_mounts_as_one_tree(str(program)) == options
