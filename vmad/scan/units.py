# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which systemd units are worth a group of their own, and under which lasting name."""

from __future__ import annotations

import re

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

#: Units that are made anew for every login, command or tab: a group each would be a new series
#: each. Their processes are grouped by command.
_PASSING = re.compile(
    r"session-.+\.scope"  # logind, one per login (also session-c3.scope)
    # systemd-run: by invocation id, bus id, pid, and pid with inode (systemd 257)
    r"|run-(?:r[0-9a-f]{32}|u[0-9]+|p[0-9]+-i[0-9]+|[0-9]+)\.(?:scope|service)"
    r"|(?:libpod|crio)-conmon-[0-9a-f]{64}\.scope"  # watches one container
    rf"|(?:vte|tmux|kitty|ptyxis)-spawn-{_UUID}\.scope",  # one per terminal tab
)

#: Units whose name has a lasting part and one of each start; the first pattern that fits decides.
_LASTING: tuple[tuple[re.Pattern[str], str], ...] = (
    # a user's manager and what logind starts beside it: one instance per uid
    (re.compile(r"(user|user-runtime-dir)@[0-9]+\.service"), r"\1@.service"),
    # Accept=yes sockets, one instance per connection: NR-LOCAL:PORT-REMOTE:PORT, NR-PID-UID,
    # NR-unknown, from 256 with the socket's cookie (instance_from_socket, src/core/socket.c)
    (re.compile(r"(.+)@[0-9]+-(?:.*:[0-9]+.*|[0-9_]+-.+|unknown)\.service"), r"\1@.service"),
    # dbus-broker: dbus-:1.2-org.example.Name@0.service, bus id and start counter
    (re.compile(r"dbus-:[0-9.]+-(.+)@[0-9]+\.service"), r"dbus-\1.service"),
    # desktop applications: app[-LAUNCHER]-ID-RANDOM.scope, app[-LAUNCHER]-ID@RANDOM.service
    # (systemd.io, "Desktop Environment Integration"). Only a RANDOM with a digit is told from ID
    (re.compile(r"(app-.+)-[0-9a-f]*[0-9][0-9a-f]*\.scope"), r"\1.scope"),
    (re.compile(r"(app-.+)@(?:[0-9a-f]*[0-9][0-9a-f]*|autostart)\.service"), r"\1.service"),
    (re.compile(rf"(snap\..+?)[.-]{_UUID}\.scope"), r"\1.scope"),
)


def lasting_unit(unit: str) -> str | None:
    """The name of a unit without what differs from one start to the next.

    None for a unit that says nothing but "somebody logged in" or "somebody ran a command". An
    ordinary instance (``getty@tty1.service``, ``ceph-UUID@osd.3.service``) keeps its name.
    """
    if _PASSING.fullmatch(unit):
        return None
    for pattern, lasting in _LASTING:
        match = pattern.fullmatch(unit)
        if match is not None:
            return match.expand(lasting)
    return unit
