# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which source a kernel is built from when Debian has moved on."""

from __future__ import annotations

from pathlib import Path

from vmad.lab.built.choice import chosen, is_proved, proved_versions
from vmad.lab.checkout import package_root

OFFERED = ("6.12.116-1", "6.12.117-1~deb12u1", "6.12.117-1", "6.12.118-1")


def test_newest_is_taken_without_a_word_where_the_series_was_proved_on_it() -> None:
    assert chosen(("6.12.118-1", "6.12.117-1"), OFFERED, ()) == ("6.12.118-1", None)


def test_debians_backport_of_a_proved_version_is_proved() -> None:
    assert is_proved("6.12.118-1~deb12u1", ("6.12.118-1",))
    assert not is_proved("6.12.118-10", ("6.12.118-1",))
    assert chosen(("6.12.118-1",), ("6.12.118-1~deb12u1",), ()) == ("6.12.118-1~deb12u1", None)


def test_proved_version_goes_before_a_newer_one_and_one_line_says_so() -> None:
    version, why = chosen(("6.12.117-1", "6.12.116-1"), OFFERED, ())
    assert version == "6.12.117-1"
    assert why == (
        "Debian's newest is 6.12.118-1, on which the series was not proved: taking 6.12.117-1"
        " (--source newest takes the newest)"
    )


def test_proved_version_that_is_no_longer_on_offer_is_taken_from_the_cache() -> None:
    version, why = chosen(("6.12.100-1",), OFFERED, ("6.12.100-1", "6.12.116-1"))
    assert version == "6.12.100-1"
    assert why is not None
    assert "\n" not in why


def test_newest_is_taken_with_a_word_where_no_proved_version_can_be_had() -> None:
    version, why = chosen(("6.12.100-1",), OFFERED, ("6.12.116-1",))
    assert version == "6.12.118-1"
    assert why == (
        "the series was proved on 6.12.100-1, which cannot be had any more:"
        " taking Debian's newest, 6.12.118-1"
    )


def test_checkout_names_the_versions_that_its_series_was_proved_on() -> None:
    versions = proved_versions(Path(package_root()) / "deploy/kernel")
    assert versions
    assert all(version.startswith("6.12.") for version in versions)
