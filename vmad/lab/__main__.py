# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The lab by itself: ``python3 -m vmad.lab kernels|fetch|run``, the same as ``vmad lab ...``."""

from __future__ import annotations

import sys

from vmad.cli.lab import add_commands
from vmad.cli.parser import Parser

if __name__ == "__main__":
    parser = Parser(prog="vmad lab")
    add_commands(parser.add_subparsers(dest="lab_command", required=True, metavar="COMMAND"))
    args = parser.parse_args()
    sys.exit(args.run(args))
