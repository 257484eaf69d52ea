# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Arrays in numpy's .npy format (NEP 1), read as vmad wrote them and never trusted.

``np.load`` parses the header as Python and reserves whatever size it claims: damaged ones end in
SyntaxError, TokenError, AttributeError or MemoryError (numpy 1.24 to 2.4). Here the header is
compared with the one text that numpy writes for the dtype.
"""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_MAGIC = b"\x93NUMPY"
_VERSION = b"\x01\x00"
_HEAD = len(_MAGIC) + len(_VERSION) + 2
#: numpy.lib.format._write_array_header: keys in order, padded with blanks
_HEADER = re.compile(
    r"\{'descr': (.*), 'fortran_order': False, 'shape': \(([0-9]{1,12}),\), \} *\n", re.DOTALL
)


def pack_array(array: Array) -> bytes:
    """One array, never pickled."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue()


def unpack_array(packed: bytes, dtype: np.dtype[Any]) -> Array:
    """The inverse of :func:`pack_array`: one-dimensional, of this dtype, read-only.

    Raises ValueError on anything else; reserves nothing.
    """
    if not packed.startswith(_MAGIC) or len(packed) < _HEAD:
        raise ValueError("not an array")
    version = packed[len(_MAGIC) : len(_MAGIC) + 2]
    if version != _VERSION:
        raise ValueError(f"npy version ({version[0]}, {version[1]}), not (1, 0)")
    end = _HEAD + int.from_bytes(packed[_HEAD - 2 : _HEAD], "little")
    header = _HEADER.fullmatch(packed[_HEAD:end].decode("latin-1"))
    wrong = ValueError(f"not a row of {dtype.itemsize}-byte records as vmad writes it")
    if header is None or header[1] != repr(np.lib.format.dtype_to_descr(dtype)):
        raise wrong
    if int(header[2]) * dtype.itemsize != len(packed) - end:
        raise wrong
    return np.frombuffer(packed, dtype, offset=end)
