# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What to change: patterns of VMAs, the programs that make them, advice with its proof."""
