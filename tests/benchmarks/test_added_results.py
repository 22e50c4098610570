"""Results are added to what is saved of others, and tell where all of them come from."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from footprint import CASES, in_order
from peers import keep_others
from saving import add_origins

MACHINE = {"processor": "Example", "cores": 2}


def result(commit: str, size: int) -> dict[str, Any]:
    row = {"model": "vgg19", "size": size, "configuration": "torch-f32"}
    machine = {**MACHINE, "commit": commit}
    return {"command": f"at {size}", "machine": machine, "agreement": {}, "rows": [row]}


def added(before: dict[str, Any], commit: str, size: int) -> dict[str, Any]:
    found = result(commit, size)
    add_origins(found, before)
    keep_others(found, before, argparse.Namespace(models=["vgg19"], sizes=[size]))
    return found


def test_rows_of_other_sizes_stay_and_all_commits_are_told() -> None:
    twice = added(result("first", 256), "second", 512)
    thrice = added(twice, "second", 1024)
    assert [row["size"] for row in thrice["rows"]] == [1024, 512, 256]
    assert thrice["machine"]["commit"] == "first and second"
    assert thrice["command"].startswith("at 256; python ")


def test_a_size_measured_again_is_replaced() -> None:
    assert len(added(result("first", 256), "second", 256)["rows"]) == 1


def test_another_machine_s_results_are_not_mixed_in() -> None:
    before = result("first", 256)
    before["machine"]["cores"] = 16
    with pytest.raises(SystemExit, match="cores"):
        added(before, "second", 512)


def test_peaks_of_other_cases_stay_in_the_order_of_the_grid() -> None:
    def row(number: int, peak: int) -> dict[str, Any]:
        arguments = list(CASES[number])
        return {"backend": "openvino", "precision": "f32", "arguments": arguments, "peak": peak}

    dropped = {**row(0, 9), "arguments": ["--size", "77"]}  # no case any more
    found = in_order([row(0, 1), row(2, 2), dropped, row(2, 3), row(1, 4)])
    assert found == [row(0, 1), row(1, 4), row(2, 3)]


def test_nothing_is_added_to_nothing() -> None:
    with pytest.raises(SystemExit, match="there is none"):
        add_origins(result("first", 256), None)
