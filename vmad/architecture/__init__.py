# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What depends on the processor architecture: one file each, behind ``architecture.py``."""
