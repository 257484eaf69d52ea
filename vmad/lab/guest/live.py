# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Guests for people: one that serves vmad's pages on a port of this machine, one with a shell."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import sys
import termios
import tty
from collections.abc import Iterator

from vmad.lab.errors import LabError

GUEST_PORT = 19797
# QEMU's user-mode network gives this address to the first guest; forwarded ports arrive there.
GUEST_ADDRESS = "10.0.2.15"


def serve_command() -> list[str]:
    """``vmad serve`` in the guest, reachable through a forwarded port."""
    listen = f"--web.listen-address={GUEST_ADDRESS}:{GUEST_PORT}"
    return [sys.executable, "-m", "vmad", "serve", listen]


def free_port(wanted: int) -> int:
    """``wanted``, or any free port of the loopback for 0; ``LabError`` when it is taken.

    QEMU binds it a moment later; another program may be quicker, and then QEMU says so.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise LabError(
                f"port {wanted} of the loopback cannot be had ({error.strerror})",
                "name another --port, or 0 for any",
            ) from error
        port: int = trial.getsockname()[1]
        return port


def shell_command(shell: str = "bash") -> list[str]:
    """A shell on a terminal of the guest's own; script(1) makes it, since a port is none."""
    size = shutil.get_terminal_size()
    start = f"stty rows {size.lines} cols {size.columns}; exec {shlex.quote(shell)} -i"
    return ["script", "--quiet", "--flush", "--return", "--command", start, "/dev/null"]


@contextlib.contextmanager
def raw_terminal() -> Iterator[None]:
    """Hand every key to the guest, Ctrl-C included, while standard input is a terminal."""
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
