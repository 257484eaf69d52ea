# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad as the daemon runs it, but inside the bench: a scanner on the evidence that is asked for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from vmad.config import load_config
from vmad.daemon.evidence import open_evidence
from vmad.scan.scanner import Scanner


@contextmanager
def scanner(evidence: Literal["kernel", "procfs"]) -> Iterator[Scanner]:
    """With the default configuration. Raises EvidenceUnavailable."""
    config = load_config(None)
    config = replace(config, scan=replace(config.scan, evidence=evidence))
    source = open_evidence(config).source
    try:
        yield Scanner(source, config, socket.gethostname())
    finally:
        source.close()
