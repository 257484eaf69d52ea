# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One guest: the machine, what it starts from, and the talk between it and the host."""
