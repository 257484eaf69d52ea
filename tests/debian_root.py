# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A release of Debian, unpacked by mmdebstrap from this machine's mirror and kept."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from vmad.lab.apt.mirror import this_machines_mirror
from vmad.lab.cache import directory_made_whole

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_FRESH_SECONDS = 7 * 24 * 3600
#: the machine's own settings for the way to a mirror; the rest of its apt.conf is not the guest's
_APT_SETTING = re.compile(r'^Acquire::(?:Check-|https?|ftp|Retries|Force)\S* ".+";$', re.MULTILINE)


def debian_root(
    folder: Path, suite: str, packages: Sequence[str], options: Sequence[str] = ()
) -> Path:
    """The unpacked system below ``folder``: made when there is none or when it is a week old.

    ``options`` are mmdebstrap's. Takes root, and a minute or two.
    """
    settings = _APT_SETTING.findall(
        subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    )
    mirror = this_machines_mirror()
    lines = [f"deb [signed-by={_KEYRING}] {mirror.archive} {suite} main"]
    # what is unstable has no security updates of its own
    if mirror.security is not None and suite != "sid":
        lines.append(f"deb [signed-by={_KEYRING}] {mirror.security} {suite}-security main")
    wanted = (tuple(packages), tuple(options), settings, lines)
    key = hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]
    home = folder / f"{suite}-{key}"
    if not home.exists() or time.time() - home.stat().st_mtime > _FRESH_SECONDS:
        with directory_made_whole(home) as work:
            subprocess.run(
                [
                    *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", *options),
                    *(f"--aptopt={setting}" for setting in settings),
                    *(f"--include={','.join(packages)}", suite, str(work), *lines),
                ],
                check=True,
            )
    return home
