# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The records, a file per family of programs; a new file here needs no other line anywhere."""
