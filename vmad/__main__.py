# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m vmad`` is the program ``vmad``."""

import sys

from vmad.cli.main import main

sys.exit(main())
