# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which Debian mirror to ask: the one that this machine's own apt sources name, and no other."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from vmad.lab.errors import LabError


@dataclass(frozen=True)
class Mirror:
    """Base addresses of the archive and, where the machine has one, of its security updates."""

    archive: str
    security: str | None


# 'http://HOST/debian/dists/bookworm-security/InRelease' FILE SIZE HASH
_RELEASE_FILE = re.compile(r"'(?P<base>[^']+)/dists/(?P<suite>[^/']+)(?:/updates)?/InRelease'")
_SUITES = (
    "buster|bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable"
)


def this_machines_mirror() -> Mirror:
    """Ask apt for the addresses that it would fetch release files from (apt-get(8), --print-uris).

    Raises ``LabError`` when there is no apt, or none of its sources is a Debian archive.
    """
    try:
        ran = subprocess.run(
            ["apt-get", "--print-uris", "update"],
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise LabError(
            "no apt-get on this machine", "the lab fetches Debian kernels with apt: use Debian"
        ) from error
    except subprocess.CalledProcessError as error:
        raise LabError(
            f"apt cannot read its sources ({error.stderr.strip().splitlines()[-1:]})",
            "see apt-get --print-uris update",
        ) from error
    return mirror_among(ran.stdout)


def mirror_among(uris: str) -> Mirror:
    """The Debian archive among the addresses that ``apt-get --print-uris update`` printed.

    Other vendors name their suites after Debian's too. An archive that also carries the updates
    suite, or whose address ends in /debian, is preferred; signatures are checked in any case, with
    Debian's own keys only.
    """
    archives: dict[str, int] = {}
    security: str | None = None
    for match in _RELEASE_FILE.finditer(uris):
        base, suite = match["base"], match["suite"]
        if re.fullmatch(f"({_SUITES})-security", suite):
            security = security or base
        elif updates := re.fullmatch(f"({_SUITES})(-updates)?", suite):
            weight = 2 if updates[2] else 0
            weight += 1 if base.rstrip("/").endswith("/debian") else 0
            archives[base] = archives.get(base, 0) + weight
    if not archives:
        raise LabError(
            "apt's sources on this machine name no Debian archive",
            "add one to /etc/apt/sources.list (deb ADDRESS bookworm main)",
        )
    return Mirror(max(archives, key=lambda base: archives[base]), security)
