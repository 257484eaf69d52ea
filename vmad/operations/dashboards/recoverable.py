# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""VMAs that need not be, by the kernel on which they vanish, with names that people read."""

from __future__ import annotations

from vmad.operations.dashboards.panels import Query

#: what a panel of them says
NEED_NOT_BE = (
    "On the stock kernel they merge at the next call that touches them; a rebuild is "
    "`vmad heal PID --rebuild`."
)
#: value of the label rules -> what a person reads
_NAMES = {"stock": "stock kernel", "relaxed": "patched kernel", "rebuild": "a rebuild"}


def by_kernel(metric: str, selector: str) -> list[Query]:
    """A query for each value of ``rules``; ``selector`` is {…} without it."""
    inside = selector.strip("{}")
    return [Query(f'{metric}{{{inside}, rules="{rules}"}}', name) for rules, name in _NAMES.items()]
