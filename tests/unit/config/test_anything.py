# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whatever a file holds, it is a configuration or it is refused; what is described loads again."""

from __future__ import annotations

import re

import yaml
from hypothesis import given
from hypothesis import strategies as st

from vmad.config import (
    Config,
    ExportConfig,
    GroupMatch,
    GroupRule,
    ListenAddress,
    NameTemplate,
    ScanConfig,
    ThresholdsConfig,
    WebConfig,
    describe,
    parse_config,
)
from vmad.errors import BadConfig

WORDS = st.sampled_from(
    """scan export web groups default_groups interval listen match name unit comm exe top 15s 1%
    true null ~ << *a &a !!str a:1 {comm} (?P<x>.) other [ ] { } , : - ' " | > # % @""".split()  # noqa: SIM905
) | st.sampled_from(["\n", "\n  ", "\n- ", ": ", "\t", "\r", "\u2028", "\x85", "\0", "\ufeff"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["scan", "interval", "groups", "match", "name", "comm", "web", "listen", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def accepted_or_refused(raw: bytes) -> None:
    try:
        assert isinstance(parse_config(raw, "f"), Config)
    except BadConfig as refused:
        for line in str(refused).split("\n"):
            assert re.match(r"f(:[0-9]+)?: .", line)
            assert line.isprintable()


@given(st.binary(max_size=60))
def test_any_bytes_are_accepted_or_refused(raw: bytes) -> None:
    accepted_or_refused(raw)


@given(st.text(max_size=60))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    accepted_or_refused(text.encode("utf-8", "surrogatepass"))


@given(st.lists(WORDS, max_size=40).map("".join))
def test_any_yaml_like_text_is_accepted_or_refused(text: str) -> None:
    accepted_or_refused(text.encode())


@given(VALUES)
def test_any_document_is_accepted_or_refused(document: object) -> None:
    accepted_or_refused(yaml.safe_dump(document).encode("utf-8", "surrogatepass"))


PATTERNS = st.none() | st.sampled_from(
    [".*", r"a\.service", "(x)(y)?", "#", ": '\"", "ü\x7f\x85\u2028", "123", "null", "yes", ""]
).map(re.compile)
MATCHES = st.builds(GroupMatch, PATTERNS, PATTERNS, PATTERNS, PATTERNS, PATTERNS).filter(
    lambda match: bool(match.patterns())
)
NAMES = st.sampled_from(["x", "{unit}", "{{}}/{comm}", "~", "1", "a: b"]).map(NameTemplate.parse)
CONFIGS = st.builds(
    Config,
    st.builds(
        ScanConfig,
        interval=st.floats(60, 3600),
        full_every=st.integers(1, 1000),
        sample_interval=st.just(0.0) | st.floats(0.1, 60),
        keep_marks=st.floats(1, 2_678_400),
        budget=st.floats(0.0001, 1),
        evidence=st.sampled_from(["auto", "kernel", "procfs"]),
        deadline=st.floats(0.1, 60),
        page_budget=st.integers(0, 1 << 30),
        events=st.booleans(),
        bursts=st.sampled_from(["auto", "always", "off"]),
        failures=st.sampled_from(["auto", "always", "off"]),
        merge_attempts=st.sampled_from(["vmstat", "bpf"]),
    ),
    st.builds(ExportConfig, st.integers(0, 1000), st.integers(2, 10_000)),
    st.builds(
        ThresholdsConfig,
        st.integers(0, 2**31 - 1),
        st.integers(0, 2**31 - 1),
        st.integers(0, 1 << 50),
    ),
    st.builds(
        WebConfig,
        st.lists(
            st.one_of(
                st.builds(
                    ListenAddress,
                    st.sampled_from(["", "::", "a.b", "10.0.0.1"]),
                    st.integers(0, 65535),
                    st.just(""),
                ),
                st.just(ListenAddress("", 0, "/run/vmad/vmad.sock")),
            ),
            min_size=1,
            max_size=4,
            unique=True,
        ).map(tuple),
        st.integers(1, 1024),
        st.floats(1, 300),
        st.floats(0.001, 1),
        st.lists(st.sampled_from(["a", ".b.c", "d-e.f"]), max_size=3, unique=True).map(tuple),
    ),
    st.lists(st.builds(GroupRule, MATCHES, NAMES), max_size=3).map(tuple),
    st.booleans(),
)


@given(CONFIGS)
def test_description_loads_to_the_same_configuration(config: Config) -> None:
    assert parse_config(describe(config).encode(), "f") == config
