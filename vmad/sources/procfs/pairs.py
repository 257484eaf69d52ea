# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Facts of pairs as far as maps shows them: small keys while counting, facts values at the end.

A key is an index into :func:`facts_of_keys`. Counting small keys with bincount is much cheaper
than sorting 64-bit facts, and maps alone can only yield a few hundred values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vmad.model import facts as f
from vmad.model.flags import ACCESS
from vmad.sources.procfs.maps import MapsColumns
from vmad.sources.procfs.text import Bools, Index

# bits of a key; 0..2 are the access flags that differ
FILE_BIT, NAME_BIT, NAME_HIDDEN_BIT, PGOFF_BIT = 3, 4, 5, 6
HINT_SHIFT = 7  #: four bits, in the order of _HINTS
KEYS = 1 << 11

_HINTS = (f.A_FAULTED, f.B_FAULTED, f.A_PAGES_SHARED, f.B_PAGES_SHARED)

Keys = npt.NDArray[np.int64]
Facts = npt.NDArray[np.uint64]


def facts_of_keys(unknown: int = f.MAPS_UNKNOWN) -> Facts:
    """The facts value of each key, shape (KEYS,), uint64; ``unknown`` is set in all of them."""
    key = np.arange(KEYS, dtype=np.uint64)
    facts = (key & np.uint64(ACCESS)) << np.uint64(f.FLAGS_SHIFT)
    facts |= np.uint64(unknown)
    bits = {
        FILE_BIT: f.FILE,
        NAME_BIT: f.NAME,
        NAME_HIDDEN_BIT: f.UNKNOWN_NAME,
        PGOFF_BIT: f.PGOFF,
        **{HINT_SHIFT + place: hint for place, hint in enumerate(_HINTS)},
    }
    for bit, fact in bits.items():
        facts |= (key >> np.uint64(bit) & np.uint64(1)) * np.uint64(fact)
    return facts


def find_pairs(columns: MapsColumns, follows: Bools, names_exist: bool) -> tuple[Index, Keys]:
    """(rows of B, key of each pair) of the pairs in a text.

    ``follows`` says of each line whether the line before belongs to the same address space.
    ``names_exist``: this kernel has CONFIG_ANON_VMA_NAME. There the labels [heap] and [stack]
    take the place of a name (get_vma_name), so next to one the name is unknown.
    """
    if len(columns) < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.int64)
    may = columns.anonymous & ~columns.malformed
    b = np.flatnonzero(may[1:] & may[:-1] & follows[1:] & columns.touching())
    a, b = b, b + 1
    key = ((columns.perms[a] ^ columns.perms[b]) & np.uint8(ACCESS)).astype(np.int64)
    zero_a, zero_b = columns.device_zero[a], columns.device_zero[b]
    if zero_a.any() or zero_b.any():
        key |= (zero_a ^ zero_b).astype(np.int64) << FILE_BIT
        # maps prints vm_pgoff of what has a file (task_mmu.c), also of anonymous memory
        both = zero_a & zero_b
        size = columns.end[a] - columns.start[a]
        contiguous = columns.offsets(a) + size == columns.offsets(b)
        key |= (both & ~contiguous).astype(np.int64) << PGOFF_BIT
    if names_exist:
        label_a, label_b = columns.labelled[a], columns.labelled[b]
        key |= (label_a | label_b).astype(np.int64) << NAME_HIDDEN_BIT
    if columns.named.any():
        key |= _names_differ(columns, a, b).astype(np.int64) << NAME_BIT
    return b, key


def _names_differ(columns: MapsColumns, a: Index, b: Index) -> Bools:
    """Whether the [anon:NAME]s differ by content, as anon_vma_name_eq compares them."""
    named_a, named_b = columns.named[a], columns.named[b]
    hidden = columns.labelled[a] | columns.labelled[b]
    differ = (named_a ^ named_b) & ~hidden
    both = np.flatnonzero(named_a & named_b)
    if not len(both):
        return differ
    at_a, at_b = columns.name[a[both]], columns.name[b[both]]
    length = columns.line_end[a[both]] - at_a
    unlike = length != columns.line_end[b[both]] - at_b
    for place in range(0, int(np.max(length)), 8):
        kept = np.clip(length - place, 0, 8).astype(np.uint64)
        mask = np.where(
            kept == 8, ~np.uint64(0), (np.uint64(1) << np.uint64(8) * kept) - np.uint64(1)
        )
        # a shorter other name is unlike by its length already: never gather past the text for it
        same_length = ~unlike & (kept > 0)
        words_a = columns.text.words(np.where(same_length, at_a + place, at_a))
        words_b = columns.text.words(np.where(same_length, at_b + place, at_b))
        unlike |= same_length & (((words_a ^ words_b) & mask) != 0)
    differ[both] = unlike
    return differ


def alike(keys: Keys) -> Bools:
    """Pairs of which maps shows nothing that differs or is hidden: pagemap may say more."""
    result: Bools = keys == 0
    return result
