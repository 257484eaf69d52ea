# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Builds the BPF objects before they are packaged; all else is in pyproject.toml."""

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.errors import ExecError

BPF = Path(__file__).parent / "vmad" / "sources" / "bpf"


class BuildWithBpf(build_py):
    """`make` knows what is out of date; it wants clang, llvm-strip and libbpf's headers."""

    def run(self) -> None:
        try:
            subprocess.run(["make", "--silent", "-C", str(BPF)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ExecError(
                f"the BPF objects do not build ({error}); install clang, llvm and libbpf-dev"
            ) from error
        super().run()


setup(cmdclass={"build_py": BuildWithBpf})
