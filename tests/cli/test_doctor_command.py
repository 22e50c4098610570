"""`impasto doctor`: the machine as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from impasto.cli.doctor import installed_runtimes, runtime_conflict

Impasto = Callable[..., Any]


def test_json(impasto: Impasto, own_cache: Path) -> None:
    result = impasto("doctor", "--json")
    assert result.code == 0
    facts = json.loads(result.out)
    assert {"impasto", "python", "processor", "threads", "memory", "backends", "auto"} <= set(facts)
    assert facts["cache"] == str(own_cache / "weights")
    assert facts["threads"] >= 1
    assert 0 < facts["memory"]["available_bytes"] <= facts["memory"]["total_bytes"]
    backends = {each["name"]: each for each in facts["backends"]}
    assert set(backends) == {"onnxruntime", "openvino", "cuda"}
    assert backends["onnxruntime"]["available"]
    assert backends["onnxruntime"]["version"] == onnxruntime.__version__
    assert facts["auto"]["precision"] in backends[facts["auto"]["backend"]]["precisions"]
    assert facts["auto"]["reason"]


def test_page_says_what_auto_chooses(impasto: Impasto) -> None:
    auto = json.loads(impasto("doctor", "--json").out)["auto"]
    result = impasto("doctor")
    assert result.code == 0
    last = result.out.splitlines()[-1]
    assert last.startswith(f"--backend auto chooses {auto['backend']} in {auto['precision']}: ")


def test_both_distributions_of_onnxruntime_are_a_problem(
    impasto: Impasto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        metadata = tmp_path / f"{name.replace('-', '_')}-1.99.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.99\n", encoding="utf-8"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_runtimes()["onnxruntime-gpu"] == "1.99"
    result = impasto("doctor")
    assert result.code == 0
    (problem,) = result.messages
    assert "pip uninstall onnxruntime onnxruntime-gpu" in problem


def test_one_distribution_is_no_problem() -> None:
    assert runtime_conflict(["onnxruntime", "openvino"]) is None
    assert runtime_conflict(["onnxruntime-gpu", "openvino"]) is None
