# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What was: counts of the last minutes, hours and day, in memory that is bounded and known."""
