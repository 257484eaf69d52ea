# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Values: what each way of writing means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmad.config import Listen, ListenAddress, NameTemplate
from vmad.config.values import Duration, Integer, Share, Size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15s", 15), ("1m30s", 90), ("250ms", 0.25), ("2", 2), ("1.5", 1.5), ("1h", 3600), ("0", 0)],
)
def test_duration_is_seconds(text: str, seconds: float) -> None:
    assert Duration(0.1, 3600, zero_disables=True).read(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "-1", "1d", "1 s", "1e3", "nan", "inf", "٣s", "0.05", "2h", "0", "9" * 400]
)
def test_what_is_no_duration_in_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        Duration(0.1, 3600).read(text)


@given(st.floats(0.1, 3600))
def test_duration_survives_writing(seconds: float) -> None:
    form = Duration(0.1, 3600)
    assert form.read(str(form.write(seconds))) == seconds


@pytest.mark.parametrize(
    ("text", "ratio"), [("1%", 0.01), ("0.01", 0.01), ("100%", 1.0), ("2.5 %", 0.025)]
)
def test_share_is_a_ratio(text: str, ratio: float) -> None:
    assert Share(0.0001).read(text) == ratio


@pytest.mark.parametrize("text", ["1", "2", "101%", "0", "0.001%", "%", "1%%", "-1%", ".1"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        Share(0.0001).read(text)


@given(st.floats(0.0001, 1))
def test_share_survives_writing(ratio: float) -> None:
    form = Share(0.0001)
    assert form.read(form.write(ratio)) == ratio


@pytest.mark.parametrize(
    ("text", "size"), [("256MiB", 256 << 20), ("1.5 GiB", 3 << 29), ("4096", 4096), ("0", 0)]
)
def test_size_is_bytes(text: str, size: int) -> None:
    assert Size(1 << 40).read(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "256MB", "256M", "0.3KiB", "1e3", "1025GiB"])
def test_what_is_no_size_in_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        Size(1 << 40).read(text)


@given(st.integers(0, 1 << 40))
def test_size_survives_writing(size: int) -> None:
    form = Size(1 << 40)
    assert form.read(str(form.write(size))) == size


@pytest.mark.parametrize("text", ["", "1.0", "0x10", "1e2", "-1", "11", "9" * 5000, "_1"])
def test_what_is_no_whole_number_in_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        Integer(0, 10).read(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:19797", ("127.0.0.1", 19797)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9", ("::1", 9)),
        ("[fe80::1%eth0]:9", ("fe80::1%eth0", 9)),
        (":9", ("", 9)),
    ],
)
def test_listen_address_is_read_and_written(text: str, address: tuple[str, int]) -> None:
    assert Listen().read(text) == ListenAddress(*address)
    assert str(ListenAddress(*address)) == text


@pytest.mark.parametrize("text", ["", "9", "a", "a:", "a:65536", "::1:9", "http://a:9", "a b:9"])
def test_what_is_no_listen_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        Listen().read(text)


def test_template_puts_values_into_text() -> None:
    template = NameTemplate.parse("{{{unit}}} of {x}")
    assert template.placeholders == {"unit", "x"}
    assert template.render({"unit": "a.service", "x": ""}) == "{a.service} of "


def test_template_without_a_value_renders_nothing() -> None:
    assert NameTemplate.parse("a/{exe}").render({"exe": None}) is None


@pytest.mark.parametrize("text", ["", "{", "}", "{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{a:3}"])
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        NameTemplate.parse(text)
