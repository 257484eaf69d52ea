# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""python -m bench.atlas [NAME...]: measure all rows, or those named, and write the page."""

from bench.atlas.run import main

if __name__ == "__main__":
    raise SystemExit(main())
