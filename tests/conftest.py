# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Settings that every test shares."""

from hypothesis import settings

# A deadline per example says how busy the machine is, not whether the code is right.
settings.register_profile("vmad", deadline=None)
settings.load_profile("vmad")
