# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""OpenJDK: its collectors, threads."""

from __future__ import annotations

from bench.atlas.row import Needs, Row


def _row(name: str, load: str, *words: str) -> Row:
    argv = ("sh", "-c", 'javac -d . {loads}/Load.java && exec java "$@"', "sh", *words)
    return Row(name, "Java", "OpenJDK", load, argv, Needs.JDK, version=("java", "--version"))


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
    _row("java-threads-100", "100 threads", "-Xmx256m", "-cp", ".", "Load", "threads", "100"),
)
