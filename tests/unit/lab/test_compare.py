# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs become medians with spreads, and a page that needs nothing but itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from vmad.architecture.known import ARCHITECTURES
from vmad.lab.cache import Cache
from vmad.lab.compare.comparison import Comparison, compare
from vmad.lab.compare.record import Look, PairCount, Record, Run, Sample
from vmad.lab.compare.report import html
from vmad.lab.compare.summary import figure, stay_shared, summary_of
from vmad.lab.errors import LabError
from vmad.lab.machines import this_machine
from vmad.lab.workloads.shipped import WORKLOADS, prepared


def record(kernel: str, peak: int, relaxed: int | None = 7) -> Record:
    look = Look(
        seconds=1.0,
        pid=9,
        comm="storm",
        vmas=peak,
        pairs=(
            PairCount("stock", "blocked", "anon_vma_differs", peak - 10),
            PairCount("stock", "mergeable", "latent", 2),
            PairCount("relaxed", "mergeable", "latent", peak - 8),
        ),
        recoverable={"stock": 2, "relaxed": relaxed},
    )
    return Record(
        release=f"{kernel}.0",
        evidence="kernel",
        sampled_by="census",
        status=0,
        run_seconds=2.0,
        samples=(Sample(0.0, 5, 6, 2), Sample(0.1, peak, peak + 9, 2), Sample(0.2, 20, 20, 1)),
        peak=look,
        end=look,
        end_is_exact=True,
        attempts={},
        calls={"mmap": peak * 2, "brk": 1},
    )


def comparison(*records: tuple[str, Record]) -> Comparison:
    kernels = tuple(dict.fromkeys(kernel for kernel, _ in records))
    runs = tuple(Run(kernel, number, made) for number, (kernel, made) in enumerate(records))
    repeat = len(runs) // len(kernels)
    return Comparison(("storm", "<b>"), 20, repeat, kernels, "2 CPUs", "now", runs)


def test_record_comes_out_of_the_guest_as_it_went_in() -> None:
    for made in (record("6.1", 100), replace(record("5.10", 9, None), peak=None, end=None)):
        assert Record.from_json(made.to_json()) == made


def test_document_keeps_its_form() -> None:
    written = json.loads(json.dumps(comparison(("6.1", record("6.1", 100))).as_dict()))
    assert written["schema"] == "vmad.compare/1"
    assert written["command"] == "storm <b>"
    (run,) = written["runs"]
    assert (run["kernel"], run["run"], run["samples"][1]) == ("6.1", 0, [0.1, 100, 109, 2])
    assert run["peak"]["pairs"][0] == ["stock", "blocked", "anon_vma_differs", 90]
    assert written["summary"]["6.1"]["figures"]["VMAs at the peak"] == [100, 100, 100]


def test_summary_is_the_median_with_its_spread() -> None:
    summary = summary_of([record("6.1", peak) for peak in (100, 300, 200)])
    assert summary.figures["VMAs at the peak"] == (200, 100, 300)
    assert summary.calls["mmap"] == (400, 200, 600)
    assert summary.peak_pairs["anon_vma_differs"] == (190, 90, 290)
    assert summary.peak_pairs["mergeable: latent"] == (2, 2, 2)


def test_what_one_run_does_not_know_the_summary_does_not_know() -> None:
    summary = summary_of([record("5.10", 100), record("5.10", 100, relaxed=None)])
    assert summary.recoverable["patched kernel, at the peak"] is None
    assert figure([]) is None


def test_reason_that_one_run_lacks_counts_as_none_of_it() -> None:
    full = record("6.1", 50)
    assert full.peak is not None
    bare = replace(full, peak=replace(full.peak, pairs=()))
    assert summary_of([full, bare]).peak_pairs["anon_vma_differs"] == (20, 0, 40)


def test_run_that_was_never_judged_has_a_page_too() -> None:
    never = replace(record("7.3", 50), peak=None, end=None)
    page = html(comparison(("6.1", record("6.1", 100)), ("7.3", never)))
    assert "not known" in page


def test_page_needs_nothing_but_itself() -> None:
    peaks = (("6.1", 100), ("7.3", 50), ("6.1", 120), ("7.3", 40))
    page = html(comparison(*((kernel, record(kernel, peak)) for kernel, peak in peaks)))
    assert page.startswith("<!DOCTYPE html>")
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", page)
    assert "storm &lt;b&gt;" in page
    assert "7.3 / 6.1" in page
    assert page.count("<polyline") == 4


def test_any_command_is_a_workload(tmp_path: Any) -> None:
    assert prepared(Cache(tmp_path), ["sleep", "1"]).argv == ("sleep", "1")


def test_shipped_workload_takes_no_words(tmp_path: Any) -> None:
    with pytest.raises(LabError, match="takes no words"):
        prepared(Cache(tmp_path), ["compactor", "fast"])


def test_compiled_workload_is_kept(tmp_path: Any) -> None:
    cache = Cache(tmp_path)
    first = prepared(cache, ["compactor"])
    made = (tmp_path / "workloads").stat().st_mtime_ns
    assert prepared(cache, ["compactor"]) == first
    assert (tmp_path / "workloads").stat().st_mtime_ns == made


def test_the_six_kinds_of_workloads_are_there() -> None:
    kinds = {name.split("-")[0] for name in WORKLOADS}
    assert kinds == {"compactor", "jemalloc", "redis", "compilation", "chromium", "jvm"}


def test_no_guest_is_started_for_a_workload_that_cannot_be(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(LabError, match="takes no words"):
        compare(["6.1"], ["compactor", "fast"], seconds=1)


def test_what_ships_is_not_asked_of_another_machine(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    other = next(known for known in ARCHITECTURES if known is not this_machine())
    kernel = f"6.12-{other.debian}"
    with pytest.raises(
        LabError, match=f"^compactor runs on .*, {kernel} is a kernel of {other.title}"
    ):
        compare(["6.12", kernel], ["compactor"], seconds=1)
    assert list(tmp_path.iterdir()) == []


def test_share_that_stays_refused_counts_only_what_stock_refuses_for_these_two_reasons() -> None:
    attempts = {
        "merged stock": 1000,
        "merged anon_vma": 60,
        "merged mremap_anon_vma": 10,
        "refused vm_flags": 500,
        "refused anon_vma_chain": 3,
        "refused anon_vma_shared": 4,
        "refused page_ksm": 1,
        "refused page_busy": 25,
    }
    assert stay_shared(attempts) == 5.0


def test_share_is_not_known_without_such_attempts() -> None:
    assert stay_shared({"merged stock": 9, "refused vm_flags": 2}) is None


def test_attempts_of_a_patched_kernel_are_on_the_page_beside_one_that_counts_none() -> None:
    stock = ("stock", record("stock", 30))
    patched = replace(record("patched@7", 20), attempts={"merged anon_vma": 12})
    page = html(comparison(stock, ("patched@7", patched)))
    assert "Attempts to merge, by outcome" in page
    assert "merged anon_vma" in page
    assert "Attempts to merge" not in html(comparison(stock))
