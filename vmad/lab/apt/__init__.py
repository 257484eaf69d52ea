# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One apt for all that the lab fetches, with directories of the lab's own."""
