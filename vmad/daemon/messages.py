# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The messages that programs may look for in the journal: their ids, levels and fields.

Ids are for ever (systemd.journal-fields(7), MESSAGE_ID); docs/operations.md has the table.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

log = logging.getLogger("vmad")


@dataclass(frozen=True, slots=True)
class Message:
    """``id`` is 128 bits in lower-case hexadecimal; ``level`` one of logging."""

    name: str
    id: str
    level: int
    tells: str


NEAR_LIMIT: Final = Message(
    "near-limit", "e80fb932911b4d94bdff321c51648818", logging.WARNING,
    "a process has reached 80, 90 or 95 % of the limit",
)  # fmt: skip
AT_LIMIT: Final = Message(
    "at-limit", "d5f0efb8808a4efaad0f35476c988452", logging.ERROR,
    "a process is at the limit: its calls fail",
)  # fmt: skip
FAILED: Final = Message(
    "failed", "c3e3cc262fe047428691f1710d7d538b", logging.ERROR,
    "a call of a process failed at the limit, for the first time or after five minutes again",
)  # fmt: skip
BURST: Final = Message(
    "burst", "272146e9d8694c64b11f6f2725734dc4", logging.WARNING,
    "a process was beyond 90 % of the limit between two counts, and is not now",
)  # fmt: skip
EVIDENCE_LOST: Final = Message(
    "evidence-lost", "6aac661160ad43689b3598d3e503805d", logging.WARNING,
    "a kind of evidence does not arrive any more, or a round of work fails",
)  # fmt: skip
EVIDENCE_BACK: Final = Message(
    "evidence-back", "374069c55b904f4eb59da88e71433c16", logging.INFO,
    "it arrives again",
)  # fmt: skip
STRETCHED: Final = Message(
    "stretched", "c737f25a99a345798227508d9ffa101a", logging.WARNING,
    "scans take more than scan.budget: the interval is stretched",
)  # fmt: skip
RHYTHM_BACK: Final = Message(
    "rhythm-back", "bf3b623578064d689becafbd6d52db78", logging.INFO,
    "the configured interval is kept again",
)  # fmt: skip

MESSAGES: Final = (
    NEAR_LIMIT, AT_LIMIT, FAILED, BURST, EVIDENCE_LOST, EVIDENCE_BACK, STRETCHED, RHYTHM_BACK,
)  # fmt: skip

#: field -> what it holds; each message has those that are known
FIELDS: Final[Mapping[str, str]] = {
    "VMAD_EVENT": "the name of the message",
    "VMAD_PID": "the process",
    "VMAD_COMM": "its name",
    "VMAD_GROUP": "what it counts under",
    "VMAD_AREAS": "its VMAs, at the failure or at the peak where it is about one",
    "VMAD_LIMIT": "vm.max_map_count",
    "VMAD_PERCENT": "the threshold that was reached",
    "VMAD_RATE": "VMAs a second over the last minute",
    "VMAD_SECONDS_TO_LIMIT": "at that rate",
    "VMAD_CALL": "the system call that failed",
    "VMAD_ERROR": "the name of its errno",
    "VMAD_COUNT": "how often since it was told last",
    "VMAD_COMMAND": "what to run",
    "VMAD_NOT_TOLD": "lines that were left out before this one",
    "VMAD_EVIDENCE": "what was lost, or is back",
    "VMAD_WHY": "why",
    "VMAD_INTERVAL": "seconds between two scans",
    "VMAD_TARGET": "the guest, where it is not this host",
}

#: where a record of logging keeps them
ATTRIBUTE: Final = "journal_fields"


def tell(message: Message, text: str, **fields: object) -> None:
    """Log ``text``; ``fields`` by their names without VMAD_, in lower case; None is left out."""
    named = {
        f"VMAD_{name.upper()}": str(value) for name, value in fields.items() if value is not None
    }
    log.log(
        message.level,
        "%s",
        text,
        extra={ATTRIBUTE: {"MESSAGE_ID": message.id, "VMAD_EVENT": message.name, **named}},
    )
