# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which code made the VMAs that are there: stacks recorded, unwound, named and added up."""
