# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``make goldens``: writes every document as it is now; ``git diff`` then shows what changed."""

from __future__ import annotations

from pathlib import Path

from tests.unit.goldens.documents import DOCUMENTS

EXPECTED = Path(__file__).with_name("expected")


def main() -> None:
    """Write all, and take away what no document is called any more."""
    for path in EXPECTED.iterdir():
        if path.name not in DOCUMENTS:
            path.unlink()
    for name, made in DOCUMENTS.items():
        (EXPECTED / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
