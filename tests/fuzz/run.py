# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Coverage-guided fuzzing of the parsers with atheris: ``make fuzz-parsers SECONDS=600``.

``python -m tests.fuzz.run [--seconds N] [PARSER…]`` gives each parser its share of N seconds, in
processes of its own with 2 GiB of memory and 10 seconds an input at most. What is found new is kept
in build/fuzz-parsers/PARSER, a finding in build/fuzz-parsers/findings; exit status 1 when there is
one. ``--replay FILE PARSER`` runs one input.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
OUT = ROOT / "build" / "fuzz-parsers"
#: inputs of one process: of a guest's memory 150 KiB each stay
PIECE = 10_000


def main() -> int:
    """Fuzz each parser in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600, help="for all of them")
    parser.add_argument("--inputs", type=int, default=-1, help="at most, for each")
    parser.add_argument("--replay", type=Path, metavar="FILE")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("parsers", nargs="*", metavar="PARSER")
    arguments, _ = parser.parse_known_args()
    if arguments.inside:
        return _inside(arguments.parsers[0])
    from tests.fuzz.parsers import PARSERS  # noqa: PLC0415  atheris instruments it inside

    names = arguments.parsers or list(PARSERS)
    if arguments.replay is not None:
        PARSERS[names[0]](arguments.replay.read_bytes())
        return 0
    share = max(arguments.seconds // len(names), 1)
    return max(_fuzz(name, share, arguments.inputs) for name in names)


def _fuzz(name: str, seconds: int, inputs: int) -> int:
    """In pieces: under atheris some KiB of every input stay, without it none."""
    until, done, status = time.monotonic() + seconds, 0, 0
    while (left := until - time.monotonic()) > 0 and not 0 <= inputs <= done:
        wanted = PIECE if inputs < 0 else min(PIECE, inputs - done)
        ran, status = _fuzz_piece(name, math.ceil(left), wanted)
        done += ran
        if status:
            break
    print(f"{name}: {done} inputs", flush=True)
    return 1 if status else 0


def _fuzz_piece(name: str, seconds: int, inputs: int) -> tuple[int, int]:
    """How many there were, and the exit status."""
    corpus, findings = OUT / name, OUT / "findings"
    for directory in (corpus, findings):
        directory.mkdir(parents=True, exist_ok=True)
    seeds = Path(__file__).parent / "seeds" / name
    command = [
        *(sys.executable, "-m", "tests.fuzz.run", "--inside", name),
        f"-max_total_time={seconds}",
        f"-runs={inputs}",
        *("-timeout=10", "-rss_limit_mb=2048", "-max_len=65536", "-print_final_stats=1"),
        f"-artifact_prefix={findings}/{name}-",
        *(str(each) for each in (corpus, seeds) if each.is_dir()),
    ]
    # libFuzzer ends without cleaning up
    with tempfile.TemporaryDirectory(prefix="vmad-fuzz-", dir="/dev/shm") as place:
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"TMPDIR": place},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = [line for line in ran.stderr.splitlines() if "number_of_executed_units" in line]
    if ran.returncode:
        print("\n".join(ran.stderr.splitlines()[-40:]), flush=True)
    return int(said[0].split()[-1]) if said else 0, ran.returncode


def _inside(name: str) -> int:
    import atheris  # noqa: PLC0415  only where it fuzzes

    logging.disable()  # what is damaged is told a million times
    with atheris.instrument_imports(include=["vmad"]):
        from tests.fuzz.parsers import PARSERS  # noqa: PLC0415
    words = [sys.argv[0], *(word for word in sys.argv[1:] if word not in ("--inside", name))]
    atheris.Setup(words, PARSERS[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
