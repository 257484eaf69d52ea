# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m tests.vm.rebuild_load``: rebuilds of every kind on another kernel.

What is done there is in rebuilds_inside.py.

On one that watches itself (`vmad lab build --stock --config debug-btf`) the lab fails a run when
the console shows a warning, a lock problem, or a report of KASAN.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.differential.executor import compiled
from tests.vm.rebuilds_inside import PARTS, binaries
from vmad.lab.errors import LabError
from vmad.lab.guest.machine import MIB, Machine
from vmad.lab.machines import architecture_named, this_machine
from vmad.lab.run import run_streaming

ROOT = Path(__file__).parents[2]
#: vm.max_map_count there: CONFIG_DEBUG_VM goes through all VMAs at every change
LIMIT = 2000
#: seconds for a part beyond what it is given: boot, imports, and what takes as long as it takes
EACH = 1200


def main() -> int:
    """0: nothing was wrong, and the kernel had nothing to say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kernel", default="stock-6.12-debug-btf")
    parser.add_argument("--seconds", type=float, default=300, help="of content, and of fuzz")
    parser.add_argument("--numa", type=int, default=1, help="nodes")
    parser.add_argument("--swap", type=int, default=0, help="MiB")
    parser.add_argument("--memory", type=int, default=2048, help="MiB")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {' '.join(PARTS)}")
    arguments = parser.parse_args()
    parts = arguments.parts or list(PARTS)
    with TemporaryDirectory() as temporary:
        here = architecture_named(arguments.kernel) is this_machine()
        if here:  # a compiler would take half a minute in a guest; another architecture has to
            binaries(Path(temporary))
        command = [sys.executable, "-m", "tests.vm.rebuilds_inside", temporary]
        limit = f"echo {LIMIT} >/proc/sys/vm/max_map_count"
        script = f'{limit} && cd "{ROOT}" && PYTHONPATH="{ROOT}:$PYTHONPATH" exec "$@"'
        # the executor's path is a word only so that it is seen in the guest
        seen = str(compiled()) if here else "sh"
        words = ["sh", "-c", script, seen, *command, str(arguments.seconds), *parts]
        try:
            ending = run_streaming(
                arguments.kernel, words,
                machine=Machine(
                    memory=arguments.memory * MIB, cpus=2, swap=arguments.swap * MIB,
                    numa=arguments.numa,
                ),
                timeout=len(parts) * (EACH + arguments.seconds), out_dir=None, stdin=b"",
                stdout=_tell, stderr=_tell,
            )  # fmt: skip
        except LabError as error:
            print(error, error.console[-4000:], sep="\n", file=sys.stderr)
            return 1
    return ending.status


def _tell(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
