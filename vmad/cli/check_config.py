# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad check-config``: says whether a configuration file would be accepted, and what it means."""

from __future__ import annotations

import argparse
import json
import sys

from vmad.config import Config, RefusedConfig, describe, load_config, settings


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "check-config",
        help="check a configuration file",
        description="Check a configuration file. Exit status 0: it would be accepted; 2: refused.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: the built-in defaults")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument(
        "--print", action="store_true", help="print the effective configuration as YAML"
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Check ``args.file``; the problems go to stderr, one line each, with --format json to stdout.

    Returns 0 when the file would be accepted, else 2.
    """
    name = args.file if args.file is not None else "defaults"
    try:
        config = load_config(args.file)
    except RefusedConfig as refused:
        if args.format == "json":
            problems = [{"line": line, "problem": text} for line, text in refused.problems]
            _print_json(name, problems, None)
        else:
            print(refused, file=sys.stderr)
        return refused.exit_status
    if args.format == "json":
        _print_json(name, [], config)
    elif args.print:
        print(f"# {_verdict(name, config)}\n{describe(config)}", end="")
    else:
        print(_verdict(name, config))
    return 0


def _verdict(name: str, config: Config) -> str:
    plain = settings(config)
    rules = len(config.groups)
    return (
        f"{name}: ok ({rules} group {'rule' if rules == 1 else 'rules'}, "
        f"scan every {plain['scan']['interval']}, listen on {', '.join(plain['web']['listen'])})"
    )


def _print_json(
    name: str, problems: list[dict[str, int | str | None]], config: Config | None
) -> None:
    answer = {
        "schema": "vmad.check-config/1",
        "file": name,
        "ok": config is not None,
        "problems": problems,
        "config": settings(config) if config is not None else None,
    }
    print(json.dumps(answer, indent=2))
