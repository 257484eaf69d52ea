# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Another release of Debian, entered: its programs on this machine's kernel (enter.sh).

The unpacked systems are kept in build/machines; what a test writes lies in a layer over
them, which goes with the test.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.debian_root import debian_root

CHECKOUT = Path(__file__).parents[2]
BUILD = CHECKOUT / "build" / "machines"
ENTER = Path(__file__).with_name("enter.sh")
#: what a new machine has on which somebody is about to type ``make run``
PACKAGES = ("make", "ca-certificates")
_PIP_SETTINGS = ("PIP_CERT", "PIP_INDEX_URL", "PIP_TRUSTED_HOST", "http_proxy", "https_proxy")


@dataclass(frozen=True)
class Ended:
    """How a script ended, and what it printed on either output, in order."""

    status: int
    output: str

    def well(self) -> str:
        """The output of a script that must succeed."""
        assert self.status == 0, self.output[-6000:]
        return self.output


@dataclass(frozen=True)
class Machine:
    """One system with a layer of its own. ``base``: the unpacked system, which stays as it is."""

    suite: str
    base: Path
    layer: Path

    def sh(self, script: str, *, network: bool = True, timeout: float = 1200) -> Ended:
        """Run a script as root. Without the network its loopback is its own, with free ports."""
        kept = [f"{name}={os.environ[name]}" for name in _PIP_SETTINGS if name in os.environ]
        argv = ["unshare", "--mount"]
        if not network:
            argv += ["--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        argv += [str(ENTER), str(self.base), str(self.layer), "env", "-i", "HOME=/root"]
        argv += ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        argv += ["LANG=C.UTF-8", *kept, "sh", "-euc", script]
        running = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output = running.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            output = running.communicate()[0]
            return Ended(-1, f"{output}\n(killed after {timeout:g} s)")
        return Ended(running.returncode, output)

    def path(self, place: str) -> Path:
        """Where a place of the machine's is from outside: of what was written there, not the base.

        Once a script was run: enter.sh then knows whether it lays the layer over the base.
        """
        copy = self.layer / "copy"
        return (copy if copy.is_dir() else self.layer / "upper") / place.lstrip("/")

    def put_checkout(self, place: str) -> None:
        """Lay the files under version control, as they are now, below ``place``."""
        target = self.path(place)
        names = subprocess.run(
            ["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True, text=True
        ).stdout
        for name in filter(None, names.split("\0")):
            if (CHECKOUT / name).is_symlink() or (CHECKOUT / name).exists():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, target / name, follow_symlinks=False)


@contextmanager
def machine(suite: str) -> Iterator[Machine]:
    """A new machine of a suite, with the checkout at /root/vmad; it is gone afterwards."""
    assert os.geteuid() == 0, "other systems are entered as root: sudo make test-machines"
    layer = BUILD / f"layer-{suite}-{os.getpid()}-{time.monotonic_ns()}"
    new = Machine(suite, debian_root(BUILD, suite, PACKAGES), layer)
    try:
        new.sh("true").well()
        new.put_checkout("/root/vmad")
        yield new
    finally:
        shutil.rmtree(layer, ignore_errors=True)
