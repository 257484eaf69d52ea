# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Set-up that is killed, and the next one."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.setup.conftest import ENVIRONMENT

KILLS = 10
CHECKOUTS = 2
#: seconds; a set-up that hangs is a failure and not a test without end
PATIENCE = 300

IMPORTS = "import bcrypt, numpy, prometheus_client, ptrace, yaml, vmad"


def set_up(checkout: Path) -> None:
    """`make setup` to its end, and what it made."""
    done = subprocess.run(
        ["make", "setup"],
        cwd=checkout,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    python = checkout / ".venv/bin/python"
    for command in (["-c", IMPORTS], ["-m", "pip", "check"]):
        subprocess.run([python, *command], check=True, cwd="/", stdout=subprocess.PIPE)
    scan = [str(checkout / ".venv/bin/vmad"), "scan", "--format", "json"]
    assert b"vmad.scan/1" in subprocess.run(scan, check=True, cwd="/", capture_output=True).stdout


def kill_a_set_up(checkout: Path, after: float, how: signal.Signals) -> None:
    """`make setup` with all its children, killed after so many seconds unless it has ended."""
    with subprocess.Popen(
        ["make", "setup"],
        cwd=checkout,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            _, said = running.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, how)
            running.communicate(timeout=PATIENCE)
        else:  # it had ended before
            assert running.returncode == 0, said


def test_killed_at_ten_random_moments_the_next_set_up_works(
    fresh_checkout: Callable[[str], Path],
) -> None:
    checkouts = [fresh_checkout(f"checkout-{number}") for number in range(CHECKOUTS)]
    begun = time.monotonic()
    set_up(checkouts[0])
    whole = time.monotonic() - begun

    chance = random.Random()
    moments = [
        (chance.uniform(0, whole), chance.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))
        for _ in range(KILLS)
    ]
    print(f"a set-up takes {whole:.1f} s; killed after", moments)

    def kill_and_go_on(checkout: Path, mine: list[tuple[float, signal.Signals]]) -> None:
        for after, how in mine:
            subprocess.run(
                ["make", "clean"],
                cwd=checkout,
                env=ENVIRONMENT,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            kill_a_set_up(checkout, after, how)
            set_up(checkout)

    with ThreadPoolExecutor() as threads:
        shares = [moments[number::CHECKOUTS] for number in range(CHECKOUTS)]
        list(threads.map(kill_and_go_on, checkouts, shares))


def test_clean_leaves_what_was_there_before(fresh_checkout: Callable[[str], Path]) -> None:
    checkout = fresh_checkout("checkout")
    before = sorted(checkout.rglob("*"))
    set_up(checkout)
    assert sorted(checkout.rglob("*")) != before
    subprocess.run(
        ["make", "clean"], cwd=checkout, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL
    )

    assert sorted(checkout.rglob("*")) == before


def test_make_run_gives_the_daemon_its_options(fresh_checkout: Callable[[str], Path]) -> None:
    with subprocess.Popen(
        ["make", "run", "ARGS=--web.listen-address 127.0.0.1:0"],
        cwd=fresh_checkout("checkout"),
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        said = []
        for line in running.stderr:
            said.append(line)
            if "listening on" in line:
                break
        os.killpg(running.pid, signal.SIGTERM)
    port = re.search(r"listening on http://127\.0\.0\.1:(\d+)/", "".join(said))
    assert port, said
    assert port[1] not in ("0", "19797")
