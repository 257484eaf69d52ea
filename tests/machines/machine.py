# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Another release of Debian, entered: its programs on this machine's kernel (enter.sh).

The unpacked systems are kept in build/machines for a week; what a test writes lies in a layer over
them, which goes with the test.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmad.lab.apt.mirror import this_machines_mirror
from vmad.lab.cache import directory_made_whole

CHECKOUT = Path(__file__).parents[2]
BUILD = CHECKOUT / "build" / "machines"
ENTER = Path(__file__).with_name("enter.sh")
#: what a new machine has on which somebody is about to type ``make run``
PACKAGES = ("make", "ca-certificates")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_FRESH_SECONDS = 7 * 24 * 3600
#: the machine's own settings for the way to a mirror; the rest of its apt.conf is not the guest's
_APT_SETTING = re.compile(r'^Acquire::(?:Check-|https?|ftp|Retries|Force)\S* ".+";$', re.MULTILINE)
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

    def put_checkout(self, place: str) -> None:
        """Lay the files under version control, as they are now, below ``place``."""
        target = self.layer / "upper" / place.lstrip("/")
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
    new = Machine(suite, system(suite), layer)
    try:
        new.sh("true").well()
        new.put_checkout("/root/vmad")
        yield new
    finally:
        shutil.rmtree(layer, ignore_errors=True)


def system(suite: str) -> Path:
    """The unpacked system, made by mmdebstrap when there is none or when it is a week old."""
    apt = _APT_SETTING.findall(
        subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    )
    mirror = this_machines_mirror()
    lines = [f"deb [signed-by={_KEYRING}] {mirror.archive} {suite} main"]
    if mirror.security is not None and suite != "sid":
        lines.append(f"deb [signed-by={_KEYRING}] {mirror.security} {suite}-security main")
    key = hashlib.sha256(repr((PACKAGES, apt, lines)).encode()).hexdigest()[:12]
    home = BUILD / f"{suite}-{key}"
    if not home.exists() or time.time() - home.stat().st_mtime > _FRESH_SECONDS:
        with directory_made_whole(home) as work:
            subprocess.run(
                [
                    *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"),
                    *(f"--aptopt={setting}" for setting in apt),
                    *(f"--include={','.join(PACKAGES)}", suite, str(work), *lines),
                ],
                check=True,
            )
    return home
