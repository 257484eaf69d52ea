# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table: what was asked, what was reached, and honest words where something was missed."""

import json

import pytest

from bench.figures import Asked, Figure, figure_from_json
from bench.ratios import Spread
from bench.report import PAGE, Run, number_text, page, read_runs, results_file, table_lines


def figure(asked: Asked | None, reached: Spread | None, unit: str = "", note: str = "") -> Figure:
    return Figure("scan", "full scan", unit, asked, reached, "Measured.", note, {"vmas": 60_000})


def run(*figures: Figure, processor: str = "Fast", started: str = "2026-01-01T00:00:00Z") -> Run:
    return Run.from_json(
        {
            "schema": "vmad.bench/1",
            "started": started,
            "took_seconds": 12.0,
            "commit": "abc",
            "machine": {"processor": processor, "cores": 2, "load": {"scans": (1.0, 2.5)}},
            "figures": [figure.to_json() for figure in figures],
        }
    )


def line(*shown: Figure) -> str:
    return table_lines([run(one) for one in shown])[-1]


@pytest.mark.parametrize(
    ("relation", "bound", "value", "met"),
    [
        ("<=", 1.0, 1.0, True),
        ("<=", 1.0, 1.01, False),
        ("<", 1.0, 1.0, False),
        ("<", 1.0, 0.99, True),
        (">=", 50.0, 50.0, True),
        (">=", 50.0, 49.9, False),
    ],
)
def test_a_figure_is_met_exactly_within_its_bound(
    relation: str, bound: float, value: float, met: bool
) -> None:
    assert Asked(relation, bound).met_by(value) is met  # type: ignore[arg-type]


def test_a_met_figure_says_yes_with_its_spread() -> None:
    assert (
        line(figure(Asked("<=", 1.0, 0.6), Spread(0.512, 0.498, 0.53)))
        == "| full scan | ≤ 1.00, aim 0.600 | 0.512 (0.498 to 0.530) | yes |"
    )


def test_a_missed_figure_stands_out() -> None:
    shown = figure(Asked("<", 150), Spread(151.0, 151.0, 151.0), "MiB")
    assert line(shown) == "| full scan | < 150 MiB | 151 MiB | **no** |"


def test_what_could_not_be_measured_is_not_met() -> None:
    shown = figure(Asked("<=", 1.0), None, note="No tracefs.")
    assert shown.ok is False
    assert line(shown) == "| full scan | ≤ 1.00 | not measured | **no** |"


def test_what_is_shown_for_comparison_is_not_judged() -> None:
    assert (
        line(figure(None, Spread(2.0, 1.0, 3.0))) == "| full scan | - | 2.00 (1.00 to 3.00) | - |"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.03124, "0.0312"), (0.4567, "0.457"), (1.049, "1.05"), (17.34, "17.3"),
     (1234.5, "1,234"), (0.0004, "0.0004")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number_text(value) == text


def test_figures_survive_the_file() -> None:
    shown = figure(Asked("<=", 1.0, 0.6), Spread(0.5, 0.4, 0.6))
    assert figure_from_json(json.loads(json.dumps(shown.to_json()))) == shown


def test_the_page_names_what_was_missed_and_the_conditions() -> None:
    text = page([run(figure(Asked("<=", 1.0), Spread(1.2, 1.1, 1.3)))])
    assert "Missed on Fast: full scan." in text
    assert "- cores: 2" in text
    assert "before and after scans: 1.0, 2.5" in text
    assert "Behind it: vmas 60,000." in text


def test_processors_stand_side_by_side_each_with_its_own_verdict() -> None:
    asked = Asked("<=", 1.0)
    met, missed = Spread(0.9, 0.9, 0.9), Spread(1.2, 1.1, 1.3)
    assert (
        line(figure(asked, met), figure(asked, missed))
        == "| full scan | ≤ 1.00 | 0.900 | yes | 1.20 (1.10 to 1.30) | **no** |"
    )


def test_what_one_processor_alone_was_asked_is_not_measured_on_the_other() -> None:
    runs = [run(), run(figure(None, Spread(2.0, 2.0, 2.0)))]
    assert table_lines(runs)[-1] == "| full scan | - | not measured | - | 2.00 | - |"


@pytest.mark.parametrize(("other", "told"), [(1.99, False), (2.01, True)])
def test_what_differs_more_than_twofold_is_named(other: float, told: bool) -> None:
    runs = [
        run(figure(None, Spread(value, value, value)), processor=name)
        for name, value in (("Fast", 1.0), ("Slow", other))
    ]
    assert ("More than twofold apart: full scan." in page(runs)) is told


def test_each_kind_of_processor_has_a_file_of_its_own() -> None:
    names = ("AMD EPYC", "Intel(R) Xeon(R) Processor", "")
    found = [results_file(name).name for name in names]
    assert found == ["amd-epyc.json", "intel-xeon-processor.json", "unknown.json"]


def test_the_committed_runs_are_where_their_processor_says() -> None:
    runs = read_runs()
    assert runs == sorted(runs, key=lambda one: one.started, reverse=True)
    assert all(results_file(one.processor).exists() for one in runs)


def test_the_page_in_the_docs_is_the_one_that_the_results_make() -> None:
    assert PAGE.read_text("utf-8") == page(read_runs())
