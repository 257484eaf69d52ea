#!/usr/bin/python3 -P
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""/usr/bin/vmad of the Debian package. -P: nothing is imported from where it is started."""

import sys

from vmad.cli.main import main

sys.exit(main())
