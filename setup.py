# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Builds what runs outside Python before it is packaged; all else is in pyproject.toml."""

import shutil
import subprocess
from pathlib import Path
from sysconfig import get_platform

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.errors import ExecError

VMAD = Path(__file__).parent / "vmad"
#: the BPF objects, and the code that a rebuild lets its target run
BUILT = (VMAD / "sources" / "bpf", VMAD / "probe" / "payload")


class BuildAll(build_py):
    """`make` knows what is out of date; it wants clang, llvm-strip and libbpf's headers."""

    def run(self) -> None:
        try:
            for folder in BUILT:
                subprocess.run(["make", "--silent", "-C", str(folder)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ExecError(
                f"the BPF objects and the payload do not build ({error}); "
                "install clang, llvm, libbpf-dev and make"
            ) from error
        if not self.editable_mode:
            # what an earlier build left there would be packaged, too
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class WheelOfOneMachine(bdist_wheel):
    """Any Python 3, but Linux on one architecture: docs/decisions/0014."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self.plat_name = get_platform()


setup(cmdclass={"bdist_wheel": WheelOfOneMachine, "build_py": BuildAll})
