# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What /metrics says of a snapshot: complete, parseable, absent rather than zero, sums right."""

from __future__ import annotations

import gzip
from collections import defaultdict
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.unit.sample import (
    HOSTILE,
    crowded_snapshot,
    empty_snapshot,
    failure_tally,
    group_of,
    hostile_snapshot,
    process,
    sample_snapshot,
    self_stats,
    snapshot_of,
)
from vmad.config.schema import ThresholdsConfig
from vmad.export.metrics.catalogue import BY_NAME, CATALOGUE
from vmad.export.metrics.collector import VmadCollector
from vmad.export.metrics.exposition import Exposition
from vmad.export.printable import utf8
from vmad.model.process import Unread
from vmad.model.stops import Stops
from vmad.scan.snapshot import HostSnapshot
from vmad.scan.statistics import SelfStats

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]

SNAPSHOTS = {
    "sample": sample_snapshot,
    "empty": empty_snapshot,
    "crowded": crowded_snapshot,
    "hostile": hostile_snapshot,
}


def series(snapshot: HostSnapshot | None, stats: SelfStats | None = None) -> Series:
    """Every vmad_ sample of the text format; a sample that appears twice fails."""
    result: Series = {}
    for family in parse_text(Exposition(stats or self_stats(), snapshot).render().decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in result
            if sample.name.startswith("vmad_"):
                result[key] = sample.value
    return result


def values(found: Series, name: str, **labels: str) -> list[float]:
    """Values of the samples of a metric that carry these labels."""
    wanted = set(labels.items())
    return [value for (key, own), value in found.items() if key == name and wanted <= own]


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_sample_is_in_the_catalogue_with_exactly_its_labels(name: str) -> None:
    for key, labels in series(SNAPSHOTS[name]()):
        assert {label for label, _ in labels} == set(BY_NAME[key].labels)


def complete_snapshot() -> HostSnapshot:
    """A patched kernel, and a guest watched beside the host: what a snapshot may lack is there."""
    return replace(sample_snapshot(), merge_attempts={("merged", "anon_vma"): 7})


def complete_stats() -> SelfStats:
    """Of such a host, and of a guest that is stopped to be read."""
    return self_stats(
        targets={"web-1": None, "web-2": "no such socket"},
        web_refused_total={"budget": 2},
        limit_failures=failure_tally(),
        stops=Stops(3, 0.25, 0.5),
    )


def test_every_metric_of_the_catalogue_is_exported() -> None:
    assert {name for name, _ in series(complete_snapshot(), complete_stats())} == set(BY_NAME)


def test_failures_at_the_limit_are_counted_by_group_call_and_error() -> None:
    found = series(complete_snapshot(), complete_stats())
    name, mmap = "vmad_limit_failures_total", {"call": "mmap", "error": "ENOMEM"}

    assert values(found, name, group="opensearch.service", **mmap) == [1_203]
    assert values(found, name, group="comm/job", call="madvise", error="EAGAIN") == [1]
    assert values(found, name, group="opensearch.service", call="munmap") == [0]
    assert values(found, "vmad_limit_failures_lost_total") == [0]


def test_where_nobody_counts_failures_there_is_no_series_of_them() -> None:
    found = series(sample_snapshot())

    assert not [name for name, _ in found if name.startswith("vmad_limit_failures")]


def test_guests_are_up_or_down_by_name() -> None:
    found = series(complete_snapshot(), complete_stats())
    assert values(found, "vmad_target_up", target="web-1") == [1]
    assert values(found, "vmad_target_up", target="web-2") == [0]


def test_series_of_a_target_are_the_hosts_with_one_label_more() -> None:
    snapshot = sample_snapshot()
    text = Exposition(replace(self_stats(), daemon=None), snapshot, "web-1").render().decode()
    of_target = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }
    alone = {"vmad_events_total", "vmad_event_overruns_total", "vmad_event_source_up"}
    alone |= {"vmad_event_source_resting", "vmad_state_last_write_successful"}
    alone |= {name for name in BY_NAME if "config_last_reload" in name or "_web_" in name}
    assert of_target == {
        (name, labels | {("target", "web-1")}): value
        for (name, labels), value in series(snapshot).items()
        if name not in alone
    }


def test_catalogue_names_each_metric_once() -> None:
    assert len(BY_NAME) == len(CATALOGUE)


def test_describe_lists_every_family_that_collect_can_give() -> None:
    collector = VmadCollector(complete_stats(), complete_snapshot())

    assert [one.name for one in collector.describe()] == [one.name for one in collector.collect()]


def test_scrape_restricted_by_name_finds_the_collector() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(VmadCollector(self_stats(), sample_snapshot()))

    assert registry.get_sample_value("vmad_host_worst_limit_ratio") == pytest.approx(61204 / 65530)
    restricted = registry.restricted_registry(["vmad_memory_map_areas_limit"])
    assert [family.name for family in restricted.collect()] == ["vmad_memory_map_areas_limit"]


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_pairs_of_one_rules_add_up_to_the_pairs_of_the_group(name: str) -> None:
    snapshot = SNAPSHOTS[name]()
    found = series(snapshot)

    for group in snapshot.groups:
        sums: dict[str, int] = defaultdict(int)
        for key, count in (group.pairs or {}).items():
            sums[key.rules] += count
        for rules, number in sums.items():
            label = utf8(group.name)
            assert sum(values(found, "vmad_group_pairs", group=label, rules=rules)) == number
        assert len(set(sums.values())) <= 1


def test_pairs_that_do_not_occur_have_no_series() -> None:
    snapshot = sample_snapshot()
    pairs = dict.fromkeys(snapshot.pairs, 0)

    assert not values(series(replace(snapshot, pairs=pairs)), "vmad_host_pairs")


def test_host_numbers_are_the_snapshots() -> None:
    snapshot = sample_snapshot()
    found = series(snapshot)

    assert values(found, "vmad_memory_map_areas_limit") == [65530]
    assert values(found, "vmad_host_processes") == [10]
    assert values(found, "vmad_processes_read") == [9]
    assert sum(values(found, "vmad_host_areas")) == sum(snapshot.kinds)
    assert values(found, "vmad_host_recoverable_areas", rules="relaxed") == [33_263]
    assert values(found, "vmad_kernel_info", release="6.1.0-56-amd64", patched="false") == [1]


def test_merge_attempts_are_exported_where_the_kernel_counts_them() -> None:
    attempts = {("merged", "anon_vma"): 7, ("refused", "vm_flags"): 0}
    found = series(replace(sample_snapshot(), merge_attempts=attempts))

    name = "vmad_kernel_merge_attempts_total"
    assert values(found, name, outcome="merged", reason="anon_vma") == [7]
    assert values(found, name, outcome="refused", reason="vm_flags") == [0]
    assert not values(series(sample_snapshot()), name)


def test_group_numbers_are_the_groups() -> None:
    found = series(sample_snapshot())
    group = "opensearch.service"

    assert values(found, "vmad_group_memory_map_areas_max", group=group) == [61_204]
    assert values(found, "vmad_group_memory_map_areas_highwater", group=group) == [64_998]
    assert values(found, "vmad_group_areas", group=group, kind="file_deleted") == [28_560]
    assert values(found, "vmad_group_seconds_to_limit", group=group) == [4326 / 0.42]
    assert not values(found, "vmad_group_seconds_to_limit", group="redis@cache.service")


def test_what_could_not_be_read_is_absent_not_zero() -> None:
    unread = process(9, "vault", "vault.service", None, rate=None)
    group = replace(group_of("vault.service", [unread]), kinds=None, pairs=None, recoverable=None)
    snapshot = replace(snapshot_of([unread], limit=None), groups=(group,))

    found = series(snapshot)

    assert values(found, "vmad_group_processes", group="vault.service") == [1]
    assert {name for name, _ in found if name.startswith(("vmad_group_", "vmad_top_"))} == {
        "vmad_group_processes",
        "vmad_top_process_recoverable_areas",
    }
    assert not values(found, "vmad_memory_map_areas_limit")
    assert not values(found, "vmad_host_worst_limit_ratio")


def test_undecided_recoverable_is_absent() -> None:
    undecided = process(
        9, "vault", "vault", 9, recoverable={"stock": 4, "relaxed": None, "rebuild": None}
    )

    found = series(snapshot_of([undecided]))

    assert values(found, "vmad_host_recoverable_areas", rules="stock") == [4]
    assert not values(found, "vmad_host_recoverable_areas", rules="relaxed")
    assert not values(found, "vmad_group_recoverable_areas", rules="relaxed")


def test_failure_counts_are_always_present() -> None:
    found = series(sample_snapshot())

    for name in ("vmad_processes_unreadable", "vmad_reads_failed_total"):
        for reason in Unread:
            assert len(values(found, name, reason=reason.value)) == 1
    assert values(found, "vmad_reads_failed_total", reason="stuck") == [0]
    assert values(found, "vmad_processes_unreadable", reason="permission") == [1]


def test_before_the_first_scan_only_vmads_own_metrics_are_served() -> None:
    names = {name for name, _ in series(None)}

    assert "vmad_build_info" in names
    assert "vmad_cpu_seconds_total" in names
    assert not [
        name for name in names if name.startswith(("vmad_group_", "vmad_host_", "vmad_top_"))
    ]
    assert "vmad_scan_last_success_timestamp_seconds" not in names


def test_evidence_that_cannot_be_had_is_down() -> None:
    stats = self_stats(sources={"kernel": "no BTF", "procfs": None}, config_reload_success=None)
    found = series(snapshot_of(()), stats)

    assert values(found, "vmad_source_up", source="kernel") == [0]
    assert values(found, "vmad_source_up", source="procfs") == [1]
    assert not values(found, "vmad_config_last_reload_successful")


def test_hostile_names_survive_as_valid_utf8_and_stay_apart() -> None:
    found = series(hostile_snapshot())

    groups = {dict(labels)["group"] for name, labels in found if name == "vmad_group_processes"}
    assert groups == {HOSTILE.replace("\udcff", "\\xff"), "unit\\xfe", "unit\\xfd", "other"}


def test_same_labels_twice_cost_one_sample_not_the_scrape() -> None:
    twin = process(5, "twin", "twin", 7)

    found = series(replace(snapshot_of([twin]), top=(twin, replace(twin, map_count=8))))

    assert values(found, "vmad_top_process_memory_map_areas", pid="5") == [7]


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_openmetrics_is_parsed_by_the_reference_parser_and_equals_the_text(name: str) -> None:
    snapshot = SNAPSHOTS[name]()
    text = Exposition(self_stats(), snapshot).render(openmetrics=True).decode()

    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_openmetrics(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.name.startswith("vmad_")
    }

    assert text.endswith("# EOF\n")
    assert found == series(snapshot)


def without_process(text: bytes) -> list[bytes]:
    """prometheus_client's own metrics of this process change from one look to the next."""
    return [line for line in text.splitlines() if b"process_" not in line or b"vmad_" in line]


@pytest.mark.parametrize("openmetrics", [False, True])
def test_what_vmad_says_of_itself_is_as_new_as_the_scrape(openmetrics: bool) -> None:
    overruns = [1, 2]
    exposition = Exposition(
        lambda: self_stats(event_overruns_total=overruns.pop(0)), sample_snapshot()
    )

    for expected in (1, 2):
        text = exposition.render(openmetrics).decode()
        assert f"vmad_event_overruns_total {expected}.0\n" in text
        assert ("# EOF" in text) == openmetrics
        assert text.count("# TYPE vmad_host_pairs ") == 1


@pytest.mark.parametrize("openmetrics", [False, True])
def test_gzip_is_the_plain_text_compressed(openmetrics: bool) -> None:
    exposition = Exposition(self_stats(), sample_snapshot())

    compressed = gzip.decompress(exposition.render(openmetrics, compressed=True))

    assert without_process(compressed) == without_process(exposition.render(openmetrics))


def test_a_fixed_moment_is_rendered_once_per_format() -> None:
    exposition = Exposition(self_stats(), sample_snapshot())

    assert exposition.render() is exposition.render()


def test_top_processes_are_the_only_series_with_pids() -> None:
    for name, labels in series(crowded_snapshot()):
        assert ("pid" in dict(labels)) == name.startswith("vmad_top_process_")


def of_the_host(exposition: Exposition) -> list[bytes]:
    """The lines of its compressed OpenMetrics but for this process's own, which go on."""
    lines = gzip.decompress(exposition.render(openmetrics=True, compressed=True)).splitlines()
    return [line for line in lines if not line.startswith(b"process_")]


def test_a_format_that_is_scraped_lies_ready_after_the_next_scan() -> None:
    before = Exposition(self_stats(), sample_snapshot())
    before.render(openmetrics=True, compressed=True)
    after = Exposition(self_stats(), empty_snapshot())
    after.prepare(before)
    assert set(after._hosts) == {True}
    assert after._hosts[True]._deflated is not None
    # and after the one behind that, though nobody came in between
    third = Exposition(self_stats(), sample_snapshot())
    third.prepare(after)
    assert set(third._hosts) == {True}
    anew = Exposition(self_stats(), sample_snapshot())
    assert of_the_host(third) == of_the_host(anew) != []


def test_a_format_that_nobody_asks_for_any_more_is_not_rendered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Exposition(self_stats(), sample_snapshot())
    before.render()
    monkeypatch.setattr("vmad.export.metrics.exposition.KEEP_READY", -1.0)
    after = Exposition(self_stats(), sample_snapshot())
    after.prepare(before)

    assert not after._hosts


def test_a_threshold_that_is_switched_off_has_no_sample() -> None:
    off = replace(sample_snapshot(), thresholds=ThresholdsConfig(0, 0, 0))
    found = {name for name, _ in series(off)}

    assert not any(name.startswith("vmad_threshold") for name in found)
    assert "vmad_group_vma_kernel_bytes" in found


def test_events_that_rest_for_the_budget_can_be_had() -> None:
    """What the alert on lost evidence goes by stays 1: a choice of vmad's own pages nobody."""
    why = "process events: they take more than their part of scan.budget"
    resting = self_stats(
        sources={"kernel": None, "events": None},
        event_source_up=False,
        event_source_resting=True,
        event_source_why=why,
    )
    text = Exposition(resting).render(False, False).decode()
    assert 'vmad_source_up{source="events"} 1.0' in text
    assert "vmad_event_source_resting 1.0" in text
    assert "vmad_event_source_up 0.0" in text
