# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The ways in which the lab can fail: one exception, always a cause and a remedy."""

from __future__ import annotations

from vmad.errors import VmadError


class LabError(VmadError):
    """The lab cannot do what was asked.

    ``cause`` says what is wrong and where, ``remedy`` what a person can do about it; ``console``
    holds the guest's last console lines when a guest was running.
    """

    def __init__(self, cause: str, remedy: str, *, console: str = "") -> None:
        super().__init__(cause, remedy)
        self.console = console
