# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad: who is near vm.max_map_count, how fast, why, and what to change."""

__version__ = "0.1.0"
