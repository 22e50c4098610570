"""`impasto bench`: small, real measurements; that they are times, and not how long they are."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file

from impasto.models import model_spec
from impasto.models.weights.random_weights import random_weights

Impasto = Callable[..., Any]

SMALL = ("bench", "--size", "64", "--runs", "1", "--threads", "1", "--backend", "onnxruntime")


def check_spread(spread: dict[str, Any]) -> None:
    seconds = spread["seconds"]
    assert seconds
    assert all(math.isfinite(each) and each >= 0 for each in seconds)
    assert spread["min"] == min(seconds) <= spread["median"] <= max(seconds) == spread["max"]


def test_json_has_a_row_for_each_measurement(impasto: Impasto) -> None:
    result = impasto(*SMALL, "--model", "nin", "--model", "vgg19", "--json")
    assert result.code == 0
    report = json.loads(result.out)
    assert {"processor", "cores", "impasto", "numpy"} <= set(report["machine"])
    assert (report["rounds"], report["rounds_done"]) == (1, 1)
    assert report["pictures"] == []
    assert report["failures"] == {}
    assert [row["model"] for row in report["evaluations"]] == ["nin", "vgg19"]
    assert [row["weights"] for row in report["evaluations"]] == ["random", "model"]
    for row in report["evaluations"]:
        asked = {"backend": "onnxruntime", "precision": "f32", "threads": 1, "size": 64}
        assert asked.items() <= row.items()
        assert row["mode"] == "whole"
        for name in ("targets", "compile", "first", "evaluation"):
            check_spread(row[name])
            assert row[name]["min"] > 0
        assert len(row["evaluation"]["seconds"]) == 1
        assert row["peak_rss_bytes"] > 50e6
    rows = report["optimizers"]
    assert [row["optimizer"] for row in rows] == ["lbfgs", "lbfgs-numpy", "adam"]
    for row in rows:
        assert (row["size"], row["threads"]) == (64, 1)
        check_spread(row["own"])
        assert row["own"]["max"] > 0


def test_progress_is_told_on_standard_error(impasto: Impasto) -> None:
    result = impasto(*SMALL)
    assert result.code == 0
    assert [line.split(":")[1].strip() for line in result.messages] == ["1/2", "2/2"]
    assert "vgg19, 64 px, onnxruntime f32, 1 thread" in result.messages[0]
    lines = result.out.splitlines()
    (row,) = (line.split() for line in lines if line.startswith("vgg19"))
    assert row[:5] == ["vgg19", "64", "onnxruntime", "f32", "1"]
    assert sum(line.startswith(("lbfgs", "adam")) for line in lines) == 3
    assert "Whole pictures" not in result.out
    assert max(map(len, lines)) <= 80


def test_given_pictures_are_painted(impasto: Impasto, pictures: Path) -> None:
    pair = (pictures / "photo.png", pictures / "paintings")
    result = impasto(*SMALL, *pair, "--iterations", "2", "--json")
    assert result.code == 0
    (row,) = json.loads(result.out)["pictures"]
    assert row["size"] == [64, 48]
    assert row["iterations"] == 2
    assert row["ran_on"] == "onnxruntime f32"
    assert set(row["stages"]) == {"load", "compile", "targets", "optimize", "total"}
    for spread in (*row["stages"].values(), row["process"]):
        check_spread(spread)
    assert row["process"]["median"] > row["stages"]["total"]["median"] > 0
    assert row["peak_rss_bytes"] > 50e6


@pytest.fixture
def nin_weights(tmp_path: Path) -> Path:
    """Return a file of random weights for NIN."""
    path = tmp_path / "nin.safetensors"
    save_file(dict(random_weights(model_spec("nin").architecture, seed=1)), path)
    return path


def test_a_weights_file_is_of_the_model_beside_it(impasto: Impasto, nin_weights: Path) -> None:
    asked = ("--model", "nin", "--weights", nin_weights, "--whole", "--iterations", "1", "--json")
    result = impasto(*SMALL, *asked)
    assert result.code == 0
    assert str(nin_weights) in result.messages[0]
    report = json.loads(result.out)
    for row in (*report["evaluations"], *report["pictures"]):
        assert (row["model"], row["weights"]) == ("nin", str(nin_weights))
    assert [row["iterations"] for row in report["pictures"]] == [1]


def test_a_picture_that_cannot_be_painted_leaves_the_rest(impasto: Impasto, pictures: Path) -> None:
    result = impasto(*SMALL, pictures / "cut.png", pictures / "painting.png", "--json")
    assert result.code == 1
    report = json.loads(result.out)
    assert len(report["evaluations"]) == 1
    assert report["pictures"] == []
    (reason,) = report["failures"].values()
    assert "cut.png" in reason
    assert reason in result.err


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--backend", "openvin"), "Did you mean 'openvino'?"),
        (("--backend", "cuda", "--precision", "bf16"), "'cuda'"),
        (("--precision", "f16"), "Known: auto, f32, bf16"),
        (("--backend", "onnxruntime", "--precision", "bf16"), "it has f32"),
        (("--size", "8"), "--size is 8; it takes a number from 16"),
        (("--size", "large"), "--size is 'large'; it takes a whole number"),
        (("--threads", "-1"), "--threads is -1"),
        (("--model", "vgg91"), "Did you mean 'vgg19'?"),
        (("--model", "nin", "--whole"), "impasto fetch nin"),
        (("--weights", "nothing.pth"), "nothing.pth"),
        (("--weights", "words.png"), "words.png"),
        (("--weights", "a.pth", "--weights", "b.pth"), "2 --weights for 1 --model"),
        (("--runs", "0"), "--runs is 0"),
        (("--runs", "few"), "--runs"),
        (("--iterations", "3"), "--whole"),
        (("--whole", "--iterations", "0"), "--iterations is 0"),
        (("photo.png",), "without a STYLE"),
        (("photo.png", "painting.png", "--no-whole"), "leave CONTENT and STYLE out"),
        (("photo.png", "nothing.png"), "nothing.png"),
        (("words.png", "painting.png"), "words.png"),
    ],
    ids=" ".join,
)
def test_refusals_come_before_any_measurement(
    impasto: Impasto,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(pictures)
    result = impasto("bench", *wrong)
    assert (result.code, result.out) == (2, "")
    (message,) = result.messages
    assert told in message


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_prints_what_is_measured_so_far(
    impasto_process: Callable[..., Any], number: signal.Signals
) -> None:
    process = impasto_process(*SMALL, "--runs", "500", "--json")
    for line in process.stderr:
        if "3/1000" in line:
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "interrupted" in err
    report = json.loads(out)
    assert report["rounds_done"] == 1
    assert len(report["evaluations"]) == 1
    assert len(report["optimizers"]) == 3
