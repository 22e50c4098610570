"""Results of another size are added to what is saved, and tell where all of them come from."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from peers import keep_others

MACHINE = {"processor": "Example", "cores": 2}


def result(commit: str, size: int) -> dict[str, Any]:
    row = {"model": "vgg19", "size": size, "configuration": "torch-f32"}
    machine = {**MACHINE, "commit": commit}
    return {"command": f"at {size}", "machine": machine, "agreement": {}, "rows": [row]}


def added(before: dict[str, Any], commit: str, size: int) -> dict[str, Any]:
    found = result(commit, size)
    keep_others(found, before, argparse.Namespace(models=["vgg19"], sizes=[size]))
    return found


def test_rows_of_other_sizes_stay_and_all_commits_are_told() -> None:
    twice = added(result("first", 256), "second", 512)
    thrice = added(twice, "second", 1024)
    assert [row["size"] for row in thrice["rows"]] == [1024, 512, 256]
    assert thrice["machine"]["commit"] == "first and second"


def test_a_size_measured_again_is_replaced() -> None:
    assert len(added(result("first", 256), "second", 256)["rows"]) == 1


def test_another_machine_s_results_are_not_mixed_in() -> None:
    before = result("first", 256)
    before["machine"]["cores"] = 16
    with pytest.raises(SystemExit, match="cores"):
        added(before, "second", 512)
