# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a machine lacks is one line with its cause, and no set-up is broken by it."""

from __future__ import annotations

import mmap
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.setup.conftest import ENVIRONMENT, ROOT


def refused(checkout: Path, *prefix: str, words: Sequence[str] = (), **variables: str) -> list[str]:
    """The lines in which `make setup` says why it ends; its steps and make's own left out."""
    done = subprocess.run(
        [*prefix, "make", "setup", *words],
        cwd=checkout,
        env=ENVIRONMENT | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    steps = ("vmad setup: making", "vmad setup: installing", "vmad setup: removing", "make: ***")
    return [line for line in done.stderr.splitlines() if not line.startswith(steps)]


def test_no_network_half_way_is_a_line_and_the_next_set_up_goes_on(
    fresh_checkout: Callable[[str], Path],
) -> None:
    checkout = fresh_checkout("checkout")
    (line,) = refused(checkout, "unshare", "--net", PIP_NO_CACHE_DIR="1", PIP_RETRIES="0")

    assert line == (
        "vmad setup: pip could not install vmad's Python packages: "
        "the package index cannot be reached (no network?); run this again to go on"
    )
    subprocess.run(["make", "--silent", "setup"], cwd=checkout, env=ENVIRONMENT, check=True)
    subprocess.run(
        [checkout / ".venv/bin/vmad", "--version"], check=True, stdout=subprocess.DEVNULL
    )


def test_no_space_is_a_line(fresh_checkout: Callable[[str], Path]) -> None:
    checkout = fresh_checkout("checkout")
    files = [path.stat() for path in checkout.rglob("*") if path.is_file()]
    taken = sum(-(-file.st_size // mmap.PAGESIZE) * mmap.PAGESIZE for file in files)
    for spare in (3 << 20, 54 << 20):  # too little for pip, and for NumPy
        size = taken + spare
        script = f'mount -t tmpfs -o size={size} none /mnt; cp -R . /mnt; cd /mnt; exec "$@"'
        (line,) = refused(checkout, "unshare", "--mount", "sh", "-e", "-c", script, "sh")
        assert "no space left on device" in line


def test_a_python_that_is_too_old_is_a_line(
    fresh_checkout: Callable[[str], Path], tmp_path: Path
) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\n[ "$1" != -V ] || echo Python 3.10.12\n[ "$1" = -V ]\n')
    python.chmod(0o755)
    checkout = fresh_checkout("checkout")

    assert refused(checkout, words=[f"PYTHON={python}"]) == [
        f"vmad setup: {python} is Python 3.10.12; Python 3.11 or later is needed "
        "(make PYTHON=python3.11)"
    ]
    assert not (checkout / ".venv").exists()


#: a directory that is no mount point, with this machine's files in it
CHROOT = """
mount -t tmpfs none /mnt
mkdir -p /mnt/root/tmp
for place in /*; do
    if [ -L "$place" ]; then cp -a "$place" /mnt/root; fi
    if [ -d "$place" ] && [ ! -L "$place" ] && [ "$place" != /mnt ]; then
        mkdir -p "/mnt/root$place"
        mount --rbind "$place" "/mnt/root$place"
    fi
done
exec chroot /mnt/root sh -c 'cd "$0" && exec "$@"' "$@"
"""


def test_a_chroot_without_mount_point_is_a_line_before_the_first_test() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/live"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-e", "-c", CHROOT, "sh", ROOT, *command],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if line]
    assert (done.returncode, len(lines)) == (4, 1), (done.stdout, done.stderr)
    assert "/ must be a mount point" in lines[0]
    assert "passed" not in done.stdout
