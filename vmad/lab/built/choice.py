# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which source version a kernel is built from when nobody names one.

Debian moves on, and a version that the series was never proved on may make something else of it
without a hunk that fails. So one that it was proved on goes before a newer one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path


def proved_versions(home: Path) -> tuple[str, ...]:
    """The versions in ``VERSION`` beside the series: those that it was proved on, newest first."""
    return tuple((home / "VERSION").read_text(encoding="utf-8").split())


def is_proved(version: str, proved: Collection[str]) -> bool:
    """Whether a version is one of these, or Debian's own backport of one (``~deb12u1``)."""
    return any(version == known or version.startswith(f"{known}~") for known in proved)


def chosen(
    proved: Sequence[str], offered: Sequence[str], here: Collection[str]
) -> tuple[str, str | None]:
    """The version to build from, and the line that says why where it is not simply the newest.

    ``offered`` are the versions on the mirror, oldest first, not empty; ``here`` those that are
    unpacked already.
    """
    newest = offered[-1]
    if is_proved(newest, proved):
        return newest, None
    for version in proved:
        held = [had for had in (*here, *reversed(offered)) if is_proved(had, (version,))]
        if held:
            return held[0], (
                f"Debian's newest is {newest}, on which the series was not proved: "
                f"taking {held[0]} (--source newest takes the newest)"
            )
    return newest, (
        f"the series was proved on {', '.join(proved)}, which cannot be had any more: "
        f"taking Debian's newest, {newest}"
    )
