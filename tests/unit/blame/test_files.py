# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Recordings in the formats of other programs, and read back."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.blame.samples import BLAMED, GC, WITH_CHILDREN
from vmad.blame.blamed import Blamed
from vmad.errors import BadCapture, UsageError
from vmad.export.blame_files import format_of, read_recording, write_file
from vmad.export.blame_flame import flame_html, flame_tree
from vmad.export.blame_json import blame_json, blamed_of
from vmad.export.blame_stacks import folded, speedscope
from vmad.export.pprof import pprof


def test_folded_lines_go_from_the_cause_to_the_call() -> None:
    lines = list(folded(BLAMED))

    assert "anon_vma_differs;_start;main;gc_grow;commit_region;__mprotect;mprotect 11000\n" in lines
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == 12_000
    assert all(line.count(" ;") == 0 for line in lines)


def test_speedscope_s_weights_are_vmas() -> None:
    document = json.loads("".join(speedscope(BLAMED)))
    (profile,) = document["profiles"]
    names = [frame["name"] for frame in document["shared"]["frames"]]

    assert profile["endValue"] == sum(profile["weights"]) == 12_000
    heaviest = profile["samples"][profile["weights"].index(11_000)]
    assert [names[place] for place in heaviest][-2:] == ["__mprotect", "mprotect"]


def varint(data: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place


def fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """A protobuf message in (field, value)."""
    place, seen = 0, list[tuple[int, int | bytes]]()
    while place < len(data):
        tag, place = varint(data, place)
        if tag & 7 == 0:
            value, place = varint(data, place)
            seen.append((tag >> 3, value))
        else:
            assert tag & 7 == 2
            size, place = varint(data, place)
            seen.append((tag >> 3, data[place : place + size]))
            place += size
    return seen


def pprof_strings(message: list[tuple[int, int | bytes]]) -> list[str]:
    return [value.decode() for field, value in message if field == 6 and isinstance(value, bytes)]


def pprof_labels(profile: bytes) -> list[dict[str, str]]:
    """Those of each sample."""
    message = fields(gzip.decompress(profile))
    strings = pprof_strings(message)
    labels = []
    for field, sample in message:
        if field == 2 and isinstance(sample, bytes):
            pairs = [
                dict(fields(one))
                for key, one in fields(sample)
                if key == 3 and isinstance(one, bytes)
            ]
            labels.append({strings[int(pair[1])]: strings[int(pair[2])] for pair in pairs})
    return labels


def test_pprof_s_places_are_addresses_in_files_that_are_known_by_their_build_id() -> None:
    message = fields(gzip.decompress(pprof(BLAMED)))
    strings = pprof_strings(message)
    mappings = {}
    for field, mapping in message:
        if field == 3 and isinstance(mapping, bytes):
            parts = dict(fields(mapping))
            number, name, build_id = int(parts[1]), strings[int(parts[5])], strings[int(parts[6])]
            mappings[number] = (name, build_id, int(parts[7]))
    located = [
        (dict(fields(place)).get(2), dict(fields(place))[3])
        for field, place in message
        if field == 4 and isinstance(place, bytes)
    ]

    assert (GC, "abcd", 1) in mappings.values()
    assert ("/opt/app/bin/app;x", "", 0) in mappings.values()  # its symbols may be found elsewhere
    commit_region = next(number for number, one in mappings.items() if one[1] == "abcd")
    assert (commit_region, 0x20) in located
    assert (None, 0) in located  # the call itself is in no file


def test_pprof_s_samples_add_up_to_the_vmas_and_name_their_reason() -> None:
    message = fields(gzip.decompress(pprof(BLAMED)))
    strings = pprof_strings(message)
    vmas, reasons = [], []
    for field, sample in message:
        if field == 2 and isinstance(sample, bytes):
            parts = dict(fields(sample))
            assert isinstance(parts[2], bytes)
            vmas.append(varint(parts[2], 0)[0])
            assert isinstance(parts[3], bytes)
            label = dict(fields(parts[3]))
            assert strings[int(label[1])] == "reason"
            reasons.append(strings[int(label[2])])

    assert strings[0] == ""
    assert sum(vmas) == 12_000
    assert reasons[0] == "anon_vma_differs"


def test_the_flame_graph_has_every_vma_and_nothing_in_a_name_ends_its_element() -> None:
    page = "".join(flame_html(BLAMED))
    tree = flame_tree(BLAMED)

    assert tree[1] == sum(child[1] for child in tree[3]) == 12_000
    assert page.count("</script>") == 2
    assert "gc</script>app" not in page
    assert "http" not in re.sub(r"http-equiv", "", page)


def test_the_page_s_policy_allows_its_own_script_alone() -> None:
    page = "".join(flame_html(BLAMED))
    script = page.rsplit("<script>", 1)[1].split("</script>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert f"script-src 'sha256-{digest}'" in page


@pytest.mark.parametrize("blamed", [BLAMED, WITH_CHILDREN])
def test_what_was_written_is_read_back(tmp_path: Path, blamed: Blamed) -> None:
    name = str(tmp_path / "app.json")

    write_file(name, blamed)

    assert read_recording(name) == blamed


def test_with_children_every_file_tells_whose_the_vmas_are() -> None:
    lines = list(folded(WITH_CHILDREN))
    tree = flame_tree(WITH_CHILDREN)
    page = "".join(flame_html(WITH_CHILDREN))
    labels = pprof_labels(pprof(WITH_CHILDREN))

    assert (
        "worker (4300);anon_vma_differs;_start;main;gc_grow;commit_region;__mprotect;mprotect"
        in (line.rsplit(" ", 1)[0] for line in lines)
    )
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == tree[1] == 13_040
    assert [(child[0], child[1]) for child in tree[3]] == [
        ("gc</script>app (4242)", 12_000),
        ("worker (4300)", 1_010),
        ("helper (4301)", 30),
    ]
    assert 'data-causes="2"' in page
    assert "<td>worker (4300)" in page
    assert {label.get("process") for label in labels} == {child[0] for child in tree[3]}


def test_a_recording_of_before_children_and_whole_stacks_were_told_is_read() -> None:
    document = json.loads("".join(blame_json(BLAMED)))
    del document["children"], document["complete_stacks"]

    assert blamed_of(json.dumps(document), "old") == replace(BLAMED, complete_stacks=None)


@pytest.mark.parametrize(
    "damage",
    [
        ('"schema": "vmad-blame/1"', '"schema": "other"'),
        ('"vmas": 11000', '"vmas": "many"'),
        ('"stack": 0', '"stack": 7'),
        ('"origin": "recorded"', '"origin": "guessed"'),
        ('"makers": [', '"others": ['),
        ("{", "["),
    ],
)
def test_a_damaged_recording_is_one_line(damage: tuple[str, str]) -> None:
    text = "".join(blame_json(BLAMED)).replace(*damage, 1)

    with pytest.raises(BadCapture) as told:
        blamed_of(text, "app.json")

    assert str(told.value).startswith("app.json: ")
    assert "\n" not in str(told.value)


def test_a_name_without_a_format_is_refused_with_those_that_there_are() -> None:
    assert format_of("a.speedscope.json") == ".speedscope.json"
    with pytest.raises(UsageError, match=r"end it in \.html"):
        format_of("a.png")
