# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad serve``: the daemon, in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from vmad.errors import UsageError
from vmad.model.evidence import CHOICES

LEVELS = ("debug", "info", "warning", "error")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "serve",
        help="watch this host: metrics, a page and JSON over HTTP",
        description="Watches every process of this host and serves what it finds on loopback. "
        "No configuration file is needed.",
    )
    parser.add_argument("--config", metavar="FILE", help="YAML; every key is optional")
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="HOST:PORT",
        action="append",
        help="or unix:PATH; may be given several times; default 127.0.0.1:19797",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config",
        metavar="FILE",
        help="TLS and basic authentication, in the format that Prometheus exporters share",
    )
    parser.add_argument(
        "--evidence",
        choices=CHOICES,
        help="default: as the configuration says, else the best that works here",
    )
    parser.add_argument("--log-level", choices=LEVELS, default="info")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from vmad.config.values import Listen  # noqa: PLC0415
    from vmad.daemon.service import Options, Service  # noqa: PLC0415  imports everything
    from vmad.memory import keep_few_heaps  # noqa: PLC0415

    keep_few_heaps()
    listen = None
    if arguments.listen:
        form = Listen()
        try:
            listen = tuple(str(form.read(text)) for text in arguments.listen)
        except ValueError as error:
            raise UsageError(f"--web.listen-address: allowed: {form.allowed}") from error
    _log_to_stderr(arguments.log_level)
    service = Service(Options(arguments.config, listen, arguments.web_config, arguments.evidence))
    status = service.run(_announce)
    logging.shutdown()
    # no waiting for threads that are in the kernel, or that hold a lock the interpreter wants
    os._exit(status)


def _announce(addresses: Sequence[str]) -> None:
    for address in addresses:
        where = address if address.startswith("unix:") else f"http://{address}/"
        logging.getLogger("vmad").info("listening on %s", where)


def _log_to_stderr(level: str) -> None:
    # logging is used here alone, and the journal where there is one
    from vmad.daemon.journal import JournalHandler, is_journal  # noqa: PLC0415

    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if is_journal(sys.stderr):
        handler.setFormatter(_JournalFormatter())
        handler = JournalHandler(handler)
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s vmad %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # asyncio tells of its own inner life
    for name in ("asyncio",):
        logging.getLogger(name).setLevel(logging.ERROR)


class _JournalFormatter(logging.Formatter):
    """A priority that journald understands, and no time stamp: it has its own."""

    def format(self, record: logging.LogRecord) -> str:
        from vmad.daemon.journal import PRIORITIES  # noqa: PLC0415

        return f"<{PRIORITIES.get(record.levelname, 6)}>{super().format(record)}"
