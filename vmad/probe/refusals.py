# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Why a target is not probed, or could not be: one class for each kind of no."""

from __future__ import annotations

from vmad.errors import VmadError


class Refused(VmadError):
    """The target is in a state in which stopping or toggling might not leave it as it was."""


class MayNotTrace(VmadError):
    """The right to trace the target is missing."""

    exit_status = 3


class TargetGone(VmadError):
    """The target exited, or ran another program, before or in the middle."""

    exit_status = 3


class DidNotStop(VmadError):
    """A thread did not stop before the deadline: it is in an uninterruptible sleep."""


class LeftChanged(VmadError):
    """Something else than a merge changed. This is a defect, of vmad or of the kernel."""
