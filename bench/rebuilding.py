# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a rebuild costs, how long its stops are, whether it reaches what it said, who notices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.children import HERE, OUT, CannotMeasure, Children, built
from bench.figures import Asked, Figure
from bench.plan import Plan
from bench.ratios import Spread, paired, spread
from vmad.lab.cache import default_cache
from vmad.lab.errors import LabError
from vmad.lab.workloads.packages import HostPackages
from vmad.model.kernel import running_kernel
from vmad.rules.rebuild import SINCE

#: the row that is moved to be timed: 1 GiB
PIECES, PAGES = 16, 16_384
#: the row that is rebuilt by vmad heal: 2,000 VMAs, 188 MiB
ROW = ("2000", "24")
MAX_STOP = 10.0
ASKED_PER_SECOND = 2_000


def measure(plan: Plan) -> list[Figure]:
    """The figures of this part. Raises CannotMeasure."""
    if running_kernel().version[:2] < SINCE:
        raise CannotMeasure("this kernel cannot move pages", "UFFDIO_MOVE came with 6.8")
    program = built("moves.c", "vmad-moves")
    return [
        _moved(program, plan, "small", "4 KiB pages", 0.1),
        _moved(program, plan, "huge", "huge pages", 0.01),
        *_rebuilt(program, plan),
        _noticed(plan),
    ]


def _moved(program: Path, plan: Plan, name: str, what: str, bound: float) -> Figure:
    pages = max(PAGES // plan.rebuild_smaller, 512)
    command = [str(program), "time", str(plan.rebuild_rounds), str(PIECES), str(pages)]
    command += ["huge"] if name == "huge" else []
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    rounds = [[float(word) for word in line.split()] for line in said.splitlines()]
    moved, copied = [each[0] for each in rounds], [each[1] for each in rounds]
    gibibytes = PIECES * pages * os.sysconf("SC_PAGESIZE") / (1 << 30)
    return Figure(
        f"rebuild-{name}",
        f"moving {what}, against memcpy into fresh memory",
        "",
        Asked("<=", bound),
        paired(moved, copied),
        "bench/moves.c: a row of 16 written areas, every other one moved in, is rebuilt by "
        "examples/rebuild/core.h, then copied into fresh memory of the same kind.",
        extra={
            "moved_ms_per_GiB": spread(moved).median / 1e6 / gibibytes,
            "memcpy_ms_per_GiB": spread(copied).median / 1e6 / gibibytes,
            "VMAs_left": int(max(each[3] for each in rounds)),
        },
    )


def _rebuilt(program: Path, plan: Plan) -> list[Figure]:
    longest, within, kept = [], 0, 0
    step = plan.step("rebuild")
    with Children() as children:
        row = children.start(
            [str(program), "serve", *ROW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert row.stdin is not None
        assert row.stdout is not None
        row.stdout.readline()
        for done in range(plan.rebuilds):
            step(done)
            answer = heal(row.pid)
            longest.append(max(answer["stops_seconds"], default=0.0) * 1e3)
            within += longest[-1] <= MAX_STOP
            reached = answer["map_count_before"] - answer["map_count_after"]
            kept += reached == answer["predicted"]
            row.stdin.write("\n")
            row.stdin.flush()
            row.stdout.readline()
    method = (
        f"vmad heal --rebuild --apply --max-stop {MAX_STOP:g} of a process with a row of "
        f"{int(ROW[0]):,} VMAs of {ROW[1]} pages, {plan.rebuilds} times."
    )
    share, reached_share = within / plan.rebuilds * 100, kept / plan.rebuilds * 100
    return [
        Figure(
            "rebuild-stops",
            "rebuilds whose longest stop is within --max-stop",
            "%",
            Asked(">=", 99.0),
            Spread(share, share, share),
            method,
            extra={"longest_stop_ms": spread(longest).median, "longest_of_all_ms": max(longest)},
        ),
        Figure(
            "rebuild-reached",
            "rebuilds that reach exactly the predicted map_count",
            "%",
            Asked(">=", 100.0),
            Spread(reached_share, reached_share, reached_share),
            method,
        ),
    ]


def heal(pid: int) -> dict[str, Any]:
    """What a rebuild of a process says."""
    command = [sys.executable, "-m", "vmad", "heal", str(pid), "--rebuild", "--apply"]
    command += ["--max-stop", str(MAX_STOP), "--format", "json"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        raise CannotMeasure(f"vmad heal: {done.stderr.strip()}", "see docs/rebuild.md")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _noticed(plan: Plan) -> Figure:
    title = "99.9th of 100 answers of redis, rebuilt meanwhile, against left alone"
    method = (
        f"redis-server with a row as above beside its memory (LD_PRELOAD); a client asks "
        f"{ASKED_PER_SECOND:,} times a second at fixed times (bench/asks.c)."
    )
    try:
        server = redis_server()
    except LabError as error:
        return Figure("rebuild-redis", title, "", None, None, method, f"no redis-server: {error}")
    alone, rebuilt = [], []
    for done in range(plan.rebuild_rounds):
        plan.step("redis")(done)
        alone.append(_asked(server, plan, False))
        rebuilt.append(_asked(server, plan, True))
    return Figure(
        "rebuild-redis",
        title,
        "",
        None,
        paired([each[2] for each in rebuilt], [each[2] for each in alone]),
        method,
        extra={
            f"{name}_{which}_us": spread([each[index] for each in delays]).median
            for name, delays in (("alone", alone), ("rebuilt", rebuilt))
            for index, which in enumerate(("median", "p99", "p99.9", "longest"))
        },
    )


@dataclass(frozen=True)
class Server:
    """A program, and the folders of libraries that it needs beside this machine's own."""

    program: str
    libraries: tuple[str, ...] = ()


def redis_server() -> Server:
    """This machine's, or Debian's, fetched and unpacked but not installed. Raises LabError."""
    installed = shutil.which("redis-server")
    if installed is not None:
        return Server(installed)
    tree = HostPackages(default_cache()).tree(["redis-server"])
    assert tree is not None
    folders = sorted({str(path.parent) for path in tree.rglob("*.so.*")})
    return Server(str(tree / "usr" / "bin" / "redis-server"), tuple(folders))


def _asked(server: Server, plan: Plan, rebuild: bool) -> list[float]:
    row, asks = _preloaded(), built("asks.c", "vmad-asks")
    with tempfile.TemporaryDirectory() as folder, Children() as children:
        socket = f"{folder}/redis"
        redis = children.start(
            [server.program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder],
            env={
                **os.environ,
                "LD_PRELOAD": str(row),
                "VMAD_BENCH_ROW": " ".join(ROW),
                "LD_LIBRARY_PATH": ":".join(server.libraries),
            },
            stdout=subprocess.DEVNULL,
        )
        while not Path(socket).exists():
            if redis.poll() is not None:
                raise CannotMeasure("redis-server ended", f"status {redis.returncode}")
            time.sleep(0.01)
        client = children.start(
            [str(asks), socket, str(plan.rebuild_seconds), str(ASKED_PER_SECOND)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if rebuild:
            heal(redis.pid)
        assert client.stdout is not None
        return [float(word) for word in client.stdout.read().split()]


def _preloaded() -> Path:
    library = OUT / "vmad-row.so"
    OUT.mkdir(exist_ok=True)
    flags = ["-O2", "-Wall", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", str(library), str(HERE / "row.c")], check=True)
    return library
