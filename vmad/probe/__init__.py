# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Asking the kernel itself: toggles of harmless hints, injected into a stopped process.

``python -m vmad.probe`` is a program of its own: only :mod:`vmad.probe.__main__` and what it
alone imports (tracer, inject) load python-ptrace, which is GPL-2.0-only. Everything else here is
plain Python that commands and tests may import.
"""
