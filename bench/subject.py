# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad as the daemon runs it, but inside the bench: a scanner on the evidence that is asked for."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from vmad.config import load_config
from vmad.daemon.evidence import open_evidence
from vmad.model.process import Unread
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import SelfStats


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


def self_stats() -> SelfStats:
    """A scan wants to be told what vmad says of itself; here that is nothing."""
    return SelfStats(
        started_at=time.time(),
        interval_seconds=15.0,
        effective_interval_seconds=15.0,
        budget_ratio=0.01,
        cpu_seconds_total=0.0,
        scans_total=0,
        full_scans_total=0,
        samples_total=0,
        vmas_walked_total=0,
        vmas_skipped_total=0,
        walks_total=0,
        reads_failed_total=dict.fromkeys(Unread, 0),
        event_overruns_total=0,
        events_total=0,
        event_source_up=False,
        event_source_resting=False,
        event_source_why=None,
        groups_folded=0,
        config_reload_success=None,
        config_reload_time=None,
        walk="",
    )
