# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Other kernels in QEMU: fetch one, boot it, run a command in it, bring back what came out."""
