# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How the stock merge rules changed from release to release, as one dated table."""

from __future__ import annotations

from dataclasses import dataclass

from vmad.model.flags import GUARD, SOFTDIRTY


@dataclass(frozen=True, slots=True)
class Era:
    """The stock rules from one release on, until the next entry of :data:`ERAS`.

    ``since`` is (major, minor) of the mainline release; a stable release that took the change
    earlier is named in ``source``. ``ignored_flags`` is in the canonical numbering of
    :mod:`vmad.model.flags`: a difference in them alone never blocks.
    """

    since: tuple[int, int]
    change: str
    source: str
    ignored_flags: int
    symmetric_anon_vma: bool  #: a faulted VMA merges with an unfaulted one whoever is operated on
    anon_names: bool  #: names of anonymous VMAs exist and are compared
    home_node: bool  #: the home node is part of a memory policy and compared


ERAS: tuple[Era, ...] = (
    Era(
        since=(5, 10),
        change="the oldest rules known here",
        source="mm/mmap.c: is_mergeable_vma, is_mergeable_anon_vma",
        ignored_flags=SOFTDIRTY,
        symmetric_anon_vma=False,
        anon_names=False,
        home_node=False,
    ),
    Era(
        since=(5, 17),
        change="names of anonymous VMAs (CONFIG_ANON_VMA_NAME) and the home node of a memory "
        "policy are compared",
        source="5.17: 9a10064f5625 (names), c6018b4b2549 (set_mempolicy_home_node)",
        ignored_flags=SOFTDIRTY,
        symmetric_anon_vma=False,
        anon_names=True,
        home_node=True,
    ),
    Era(
        since=(6, 16),
        change="the anon_vma test became symmetric: an operation on the faulted VMA may take in "
        "an unfaulted neighbour; before, only one on the unfaulted VMA merged the two",
        source="6.16: 879bca0a2c4f",
        ignored_flags=SOFTDIRTY,
        symmetric_anon_vma=True,
        anon_names=True,
        home_node=True,
    ),
    # Mainline has both VM_MAYBE_GUARD and its stickiness in 6.19, stable in 6.18.37, and always
    # together: no kernel has anonymous VMAs that carry the flag and compares it. So the whole of
    # 6.18 can ignore it, which also serves packages whose release hides the patch level
    # ("6.18.0-1-amd64").
    Era(
        since=(6, 18),
        change="VM_MAYBE_GUARD (a guard region was installed) exists and is sticky: it never "
        "blocks a merge and the merged VMA carries it",
        source="6.19: 5dba5cc2e0ff, 64212ba02e66; in stable since 6.18.37",
        ignored_flags=SOFTDIRTY | GUARD,
        symmetric_anon_vma=True,
        anon_names=True,
        home_node=True,
    ),
)  #: ascending by release


def era_of(version: tuple[int, ...]) -> Era:
    """The era of a release, given as (major, minor, …); one before the first has the first's."""
    newest = ERAS[0]
    for era in ERAS:
        if version[:2] >= era.since:
            newest = era
    return newest
