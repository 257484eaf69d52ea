# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m bench.guests``: what reading a guest from outside costs, for 1,000 VMAs.

A guest of the lab with one process of many VMAs, each written to; this machine reads it by QEMU's
memory, as a target of the daemon is read.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import bench.children
from bench.children import Children
from bench.measure import cost_of
from bench.ratios import spread
from vmad.errors import VmadError
from vmad.lab.errors import LabError
from vmad.lab.guest.machine import MIB, Machine
from vmad.lab.run import run_streaming
from vmad.model.process import ProcessId
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.qmp import Monitor
from vmad.sources.guest.source import GuestSource

#: ms of CPU for 1,000 VMAs
ASKED = 1.0
TIMEOUT = 1800.0


def inside(vmas: int) -> None:
    """In the guest: says which process it is, and sleeps until the guest ends."""
    with tempfile.TemporaryDirectory() as folder, Children() as children:
        bench.children.OUT = Path(folder)
        print(json.dumps(children.large(vmas, touched=True).pid), flush=True)
        time.sleep(TIMEOUT)


@contextmanager
def guest(kernel: str, vmas: int, socket: Path) -> Iterator[int]:
    """A running one; the pid of its large process. Raises LabError."""
    root = str(Path(__file__).parents[1])
    script = f'cd "{root}" && PYTHONPATH="{root}:$PYTHONPATH" exec "$@"'
    said, news, failed = bytearray(), threading.Event(), list[LabError]()

    def hear(part: bytes) -> None:
        said.extend(part)
        if said.endswith(b"\n"):
            news.set()

    def boot() -> None:
        command = [sys.executable, "-m", "bench.guests", "--inside", "--vmas", str(vmas)]
        try:
            run_streaming(
                kernel,
                ["sh", "-c", script, "sh", *command],
                machine=Machine(memory=1024 * MIB, cpus=1, qmp=socket),
                timeout=TIMEOUT,
                out_dir=None,
                stdin=b"",
                stdout=hear,
                stderr=lambda part: None,
            )
        except LabError as error:
            failed.append(error)
        finally:
            news.set()

    lab = threading.Thread(target=boot, daemon=True)  # QEMU ends with this process at the latest
    lab.start()
    news.wait()
    if not said:
        raise failed[0] if failed else LabError(f"{kernel}: it said nothing", "see vmad lab run")
    yield json.loads(said)
    with suppress(VmadError), closing(Monitor(str(socket))) as monitor:
        monitor.execute("quit")
    lab.join(30)


def main() -> int:
    """One line, and 1 where it is more than ASKED."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--vmas", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        inside(arguments.vmas)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "qmp"
        with (
            guest(arguments.kernel, arguments.vmas, socket) as pid,
            closing(GuestSource(str(socket), cache=AnchorCache(Path(folder) / "cache"))) as source,
        ):
            (row,) = (
                one for one in source.census()[["pid", "start_time"]].tolist() if one[0] == pid
            )
            process = ProcessId(*row)
            number = len(source.table(process).rows)

            def walk() -> None:
                assert len(list(source.summarise([process]))) == 1

            costs = [cost_of(walk) for _ in range(arguments.rounds)]
    each = 1e6 / number  # seconds to ms for 1,000
    cpu, wall = (spread(values).scaled(each) for values in (
        [cost.cpu for cost in costs], [cost.wall for cost in costs],
    ))  # fmt: skip
    shown = f"{cpu.median:.2f} ({cpu.low:.2f} to {cpu.high:.2f}; asked {ASKED:g})"
    print(f"{arguments.kernel}, {number:,} VMAs, ms for 1,000: CPU {shown}, wall {wall.median:.2f}")
    return 0 if cpu.median <= ASKED else 1


if __name__ == "__main__":
    sys.exit(main())
