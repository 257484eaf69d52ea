# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each record is complete, and there is a process for which it is shown."""

from __future__ import annotations

import pytest

from tests.unit.advice.situations import made_for
from vmad.advice.catalogue import ADVICE
from vmad.advice.pattern import TEXTS, Pattern, explains
from vmad.advice.recognise import signs_of
from vmad.advice.record import Measured
from vmad.advice.select import NO_CHANGE, RAISE_LIMIT, select
from vmad.model.program import Program
from vmad.rules.catalogue import CATALOGUE

RECORDS = [record for record in ADVICE.values() if record is not RAISE_LIMIT]


@pytest.mark.parametrize("name", ADVICE)
def test_each_record_says_what_who_cost_proof_check_and_source(name: str) -> None:
    record = ADVICE[name]

    assert record.text.endswith(".")
    assert record.text[0].isupper()
    assert record.cost.endswith(".")
    assert record.check.endswith(".")
    assert record.source
    assert record.patterns
    assert 0 < record.proof.share < 1
    assert not set(record.programs) & set(record.without)


@pytest.mark.parametrize("name", [r.name for r in RECORDS if not set(r.patterns) <= NO_CHANGE])
def test_some_process_is_shown_it(name: str) -> None:
    shown = {
        chosen.advice.name
        for situation in made_for(ADVICE[name])
        for chosen in select(situation).best
    }

    assert name in shown


@pytest.mark.parametrize("program", Program)
def test_each_program_has_a_sign(program: Program) -> None:
    assert list(signs_of(program))


@pytest.mark.parametrize("program", Program)
def test_what_a_program_brings_along_is_one_that_is_known(program: Program) -> None:
    assert program not in program.also


@pytest.mark.parametrize("pattern", set(Pattern) - NO_CHANGE)
def test_each_pattern_that_can_be_changed_has_advice_for_any_program(pattern: Pattern) -> None:
    anybody = [r for r in RECORDS if not r.programs and pattern in r.patterns]

    assert anybody or pattern is Pattern.ARENA_HEAPS


@pytest.mark.parametrize("pattern", Pattern)
def test_each_pattern_has_words_and_reasons_that_exist(pattern: Pattern) -> None:
    assert TEXTS[pattern].sentence.endswith(".")
    for reason in TEXTS[pattern].reasons:
        assert any(name.startswith(reason) for name in CATALOGUE)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_reasons_that_narrow_a_record_belong_to_its_patterns(record: object) -> None:
    known = ADVICE[record.name]  # type: ignore[attr-defined]

    for reason in known.reasons:
        assert any(explains(pattern, reason) for pattern in known.patterns)


def test_what_was_measured_took_vmas_away() -> None:
    for record in ADVICE.values():
        if isinstance(record.proof, Measured):
            assert record.proof.after < record.proof.before
