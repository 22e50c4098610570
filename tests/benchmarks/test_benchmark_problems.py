"""What the benchmarks compute is what they say; nothing is timed."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from peers import agreement
from problem import network_of, painting_problem, read_problem, square_problem
from roofline import evaluation_flop
from time_to_loss import JUDGED_EVERY, our_run

from impasto import Options
from impasto.engine.backends import open_backend
from impasto.engine.compilation import Candidate, compile_gradient
from impasto.engine.objective import Objective

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
VGG19 = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 3]
VGG19 += [(256, 512), *[(512, 512)] * 3, (512, 512)]
SIDES = [512] * 2 + [256] * 2 + [128] * 4 + [64] * 4 + [32]


def test_a_problem_survives_its_file(tmp_path: Path) -> None:
    problem = square_problem("nin", 64)
    problem.write(tmp_path / "problem.npz")
    again = read_problem(tmp_path / "problem.npz")
    assert again.network.encoder.preprocessing == problem.network.encoder.preprocessing
    assert tuple(again.network.encoder.layers) == tuple(problem.network.encoder.layers)
    assert again.network.content_layers == problem.network.content_layers
    np.testing.assert_array_equal(again.image, problem.image)
    for name in ("targets", "weights"):
        expected, found = getattr(problem, name), getattr(again, name)
        assert set(found) == set(expected)
        assert all(np.array_equal(found[key], expected[key]) for key in expected)


def test_a_process_evaluates_the_problem_it_is_given(tmp_path: Path) -> None:
    problem = square_problem("nin", 64)
    problem.write(tmp_path / "problem.npz")
    command = [sys.executable, str(BENCHMARKS / "our_evaluation.py"), str(tmp_path / "problem.npz")]
    command += ["onnxruntime-f32", "--seconds=0", f"--gradient={tmp_path / 'gradient.npy'}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    told = json.loads(ran.stdout)
    backend = open_backend("onnxruntime", "f32")
    graph = compile_gradient(Candidate(backend, "portable"), problem.network, problem.size)
    loss, gradient = Objective(graph, problem.targets, problem.weights)(problem.image)
    found = {"loss": told["loss"], "gradient": np.load(tmp_path / "gradient.npy")}
    assert agreement(found, {"loss": loss, "gradient": gradient})["typical_error"] < 1e-4
    assert told["loss"] == pytest.approx(loss, rel=1e-4)
    assert told["peak_rss_bytes"] > 50e6


def test_agreement_finds_scaled_and_turned_gradients() -> None:
    reference = {"loss": 4.0, "gradient": np.array([1.0, -2.0, 2.0])}
    same = agreement(reference, reference)
    assert same["cosine"] == pytest.approx(1)
    assert same["loss_error"] == same["gradient_error"] == same["typical_error"] == 0
    doubled = agreement({"loss": 5.0, "gradient": 2 * reference["gradient"]}, reference)  # type: ignore[operator]
    assert doubled["loss_error"] == 0.25
    assert doubled["gradient_error"] == pytest.approx(1)
    assert doubled["cosine"] == pytest.approx(1)


def test_operations_are_those_of_the_convolutions_and_gram_matrices() -> None:
    network, _ = network_of("vgg19")
    convolutions = sum(9 * a * b * side**2 for (a, b), side in zip(VGG19, SIDES, strict=True))
    widths = [(64, 512), (128, 256), (256, 128), (512, 64), (512, 32)]
    grams = sum(channels**2 * side**2 for channels, side in widths)
    assert evaluation_flop(network, (512, 512)) == 2 * 2 * (convolutions + grams)


def test_a_run_is_judged_image_by_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))
    asked = argparse.Namespace(size=48, iterations=JUDGED_EVERY)
    told = our_run(("pagoda", "village_street"), 0.0, asked)
    assert told["reached"] is None
    first, last = told["curve"][0], told["curve"][-1]
    assert last["f32_loss"] < first["f32_loss"] / 2
    assert last["loss"] == pytest.approx(last["f32_loss"], rel=0.05)
    easy = our_run(("pagoda", "village_street"), last["f32_loss"] * 2, asked)
    assert 1 < easy["reached"]["evaluations"] <= JUDGED_EVERY


def test_both_sides_of_a_comparison_have_the_same_targets() -> None:
    options = Options(size=48, seed=1)
    ours = painting_problem(("pagoda", "village_street"), options)
    noise = painting_problem(("pagoda", "village_street"), Options(size=48, seed=1, init="noise"))
    assert ours.size == noise.size
    assert all(np.array_equal(ours.targets[name], noise.targets[name]) for name in ours.targets)
    assert np.abs(noise.image - noise.image.mean((2, 3), keepdims=True)).max() < 0.01
