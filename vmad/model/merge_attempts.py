# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What became of a kernel's attempts to merge VMAs."""

from __future__ import annotations

from collections.abc import Mapping

OUTCOMES = ("merged", "refused")

#: attempts since boot by (outcome, reason)
MergeAttempts = Mapping[tuple[str, str], int]
