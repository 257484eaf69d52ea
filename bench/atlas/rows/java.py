# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""OpenJDK: its collectors, threads."""

from __future__ import annotations

from bench.atlas.row import Needs, Row


def _row(name: str, load: str, *words: str) -> Row:
    argv = ("sh", "-c", 'javac -d . {loads}/Load.java && exec java "$@"', "sh", *words)
    return Row(name, "Java", "OpenJDK", load, argv, Needs.JDK, version=("java", "--version"))


def _newer(name: str, load: str, kind: str) -> Row:
    """On a JDK that has virtual threads; of the machine's own only the compiler is used."""
    command = f'javac -d . {{loads}}/Load.java && exec "$0" -Xmx256m -cp . Load {kind} 1000'
    argv = ("sh", "-c", command, _JAVA_25)
    return Row(name, "Java", "OpenJDK 25", load, argv, Needs.PYPI, version=(_JAVA_25, "--version"))


_JAVA_25 = "{build}/venv/jdk/bin/java"
_WAVES = ("-cp", ".", "Load", "waves", "1024")

ROWS = (
    _row("java-g1", "G1, 1 GiB, waves", "-XX:+UseG1GC", "-Xmx1g", *_WAVES),
    _row("java-parallel", "Parallel, 1 GiB, waves", "-XX:+UseParallelGC", "-Xmx1g", *_WAVES),
    _row("java-serial", "Serial, 1 GiB, waves", "-XX:+UseSerialGC", "-Xmx1g", *_WAVES),
    _row("java-shenandoah", "Shenandoah, 1 GiB, waves", "-XX:+UseShenandoahGC", "-Xmx1g", *_WAVES),
    _row("java-zgc", "ZGC, 1 GiB, waves", "-XX:+UseZGC", "-Xmx1g", *_WAVES),
    _row("java-zgc-fixed", "ZGC, 1 GiB, waves, -Xms1g", "-XX:+UseZGC", "-Xms1g", "-Xmx1g", *_WAVES),
    _row("java-threads", "1,000 threads", "-Xmx256m", "-cp", ".", "Load", "threads", "1000"),
    _row(
        "java-threads-small",
        "1,000 threads, -Xss256k",
        "-Xss256k",
        "-Xmx256m",
        "-cp",
        ".",
        "Load",
        "threads",
        "1000",
    ),
    _newer("java-25-threads", "1,000 threads", "threads"),
    _newer("java-25-virtual", "1,000 virtual threads", "virtual"),
    _row("java-threads-100", "100 threads", "-Xmx256m", "-cp", ".", "Load", "threads", "100"),
)
