"""Other statistics than Gram matrices: the whole graph, strips and targets say the same."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agreement import cosine
from double_backend import DoubleBackend
from pictures import KINDS
from streamed_networks import (
    Task,
    network_of,
    streamed_in_double,
    streamed_on,
    streaming_of,
    task_for,
    whole_on,
)
from style_cases import oracle_of
from style_statistics import function_of, loss_of

from impasto.engine.backends import open_backend
from impasto.engine.compilation import Candidate, candidates
from impasto.engine.execution import Execution, targets_for
from impasto.engine.network import Network
from impasto.engine.objective import Objective
from impasto.engine.options import Options
from impasto.engine.streamed_objective import StreamedObjective
from impasto.engine.streaming import Keeping, StreamedNetwork
from impasto.engine.style_targets import STRENGTHS, raw_shapes, style_targets
from impasto.engine.target_cache import TargetCache
from impasto.engine.verify import verify
from impasto.export.gradient import build_gradient_graph
from impasto.export.guides import Guides, layer_of
from impasto.export.losses.form import LossForm, Statistic

SIZE = (83, 61)
OTHERS: tuple[Statistic, ...] = ("mean-variance", "covariance")
others = pytest.mark.parametrize("statistic", OTHERS)


def network_with(statistic: Statistic, name: str = "vgg19", narrowed: int = 8) -> Network:
    return replace(network_of(name, narrowed=narrowed), form=LossForm(statistic))


@cache
def task_with(statistic: Statistic, name: str = "vgg19", narrowed: int = 8) -> Task:
    return task_for(network_with(statistic, name, narrowed), KINDS["photo"](*SIZE))


@pytest.mark.parametrize("name", ["vgg19", "nin"])
@others
def test_strips_equal_the_oracle(statistic: Statistic, name: str) -> None:
    task = task_with(statistic, name)
    for rows, keeping in ((16, Keeping()), (40, Keeping(features=task.relus()))):
        objective = streamed_in_double(task, rows, keeping)
        loss, gradient = objective(task.image)
        assert loss == pytest.approx(sum(task.losses.values()), rel=1e-10)
        for term, value in task.losses.items():
            assert objective.losses[term] == pytest.approx(value, rel=1e-10), term
        assert np.abs(gradient[0] - task.gradient).max() <= 1e-10 * np.abs(task.gradient).max()


@pytest.mark.parametrize(
    ("backend", "lowering"),
    [
        ("onnxruntime", "nchwc-winograd"),
        ("openvino", "nhwc-winograd"),
    ],
)
@others
def test_runtimes_agree_with_the_oracle_whole_and_in_strips(
    statistic: Statistic, backend: str, lowering: str
) -> None:
    task = task_with(statistic, narrowed=2)
    runtime = open_backend(backend, "f32", 1)
    whole = whole_on(runtime, task, lowering)
    for objective in (whole, streamed_on(runtime, task, 40)):
        loss, gradient = objective(task.image)
        assert loss == pytest.approx(sum(task.losses.values()), rel=1e-4)
        for term, value in task.losses.items():
            assert objective.losses[term] == pytest.approx(value, rel=1e-3), term
        assert cosine(gradient[0], task.gradient) >= 0.9999


@others
def test_regions_in_strips_equal_the_whole_graph(statistic: Statistic) -> None:
    """Two regions of one layer and none of another, in float64."""
    guides = Guides({"relu2_1": ("sky", "sea")})
    network = replace(network_with(statistic), guides=guides)
    task = task_with(statistic)
    rng = np.random.default_rng(11)
    inputs: dict[str, Any] = {n: np.float64(v) for n, v in task.targets.items()}
    for term in network.style_terms:
        layer = layer_of(term)
        for name, value in task.targets.items():
            if name.startswith("style_") and name.endswith(f".{layer}"):
                inputs[name.replace(layer, term)] = value.astype(np.float64) * 1.1
        if term in network.guided_terms:
            inputs[f"guide.{term}"] = rng.random((1, 1, *network.feature_sizes(SIZE)[layer]))
    weights: dict[str, Any] = {f"style_weight.{t}": np.array(1e-3) for t in network.style_terms}
    weights |= {n: np.array(v) for n, v in task.weights.items() if "style" not in n}
    model = build_gradient_graph(
        network.encoder,
        network.content_layers,
        network.style_layers,
        size=SIZE,
        guides=guides,
        form=network.form,
        dtype=np.float64,
    )
    asked = {value.name for value in model.graph.input}
    inputs = {name: value for name, value in inputs.items() if name in asked}
    image: Any = task.image.astype(np.float64)
    whole, gradient = Objective(DoubleBackend().compile(model), inputs, weights)(image)
    gradient = gradient.copy()
    streamed = StreamedNetwork(
        network, DoubleBackend(), "portable", SIZE, streaming_of(network, 20), dtype=np.float64
    )
    loss, found = StreamedObjective(streamed, inputs, weights)(image)
    assert loss == pytest.approx(whole, rel=1e-10)
    assert np.abs(found - gradient).max() <= 1e-10 * np.abs(gradient).max()


# -- targets ---------------------------------------------------------------------------------------


def moments_of(network: Network, picture: Any) -> dict[str, Any]:
    """Means and second moments of a picture's cells, in float64."""
    values = oracle_of(network.encoder).forward(picture[0])
    found = {}
    for name in network.style_layers:
        flat = values[name].reshape(len(values[name]), -1)
        found[name] = (flat.mean(1), flat @ flat.T / flat.shape[1])
    return found


@pytest.mark.parametrize("rows", [0, 24])
@others
def test_targets_are_those_of_the_styles_cells_together(
    statistic: Statistic, rows: int, tmp_path: Path
) -> None:
    """Of two styles with shares of 1 and 3; from a cache as without."""
    network = network_with(statistic)
    styles = [KINDS[kind](*size) for kind, size in (("photo", (70, 64)), ("noise", (66, 90)))]
    streaming = streaming_of(network, rows) if rows else None
    chosen = Candidate(open_backend("onnxruntime", "f32", 1), "portable")
    arguments = (Execution(streaming, 1, 5), chosen, network, styles[0], styles, (1.0, 3.0), None)
    cache_directory = TargetCache(tmp_path)
    found = targets_for(*arguments, cache_directory)
    again = targets_for(*arguments, cache_directory)
    assert {n: v.tobytes() for n, v in again.items()} == {n: v.tobytes() for n, v in found.items()}
    one, other = (moments_of(network, style) for style in styles)
    for layer in network.style_layers:
        mean, moments = (a / 4 + 3 * b / 4 for a, b in zip(one[layer], other[layer], strict=True))
        gram = moments / len(moments)
        ridge = float(found[f"style_ridge.{layer}"])
        assert ridge > 0
        np.testing.assert_allclose(found[f"style_mean.{layer}"], mean, rtol=1e-4, atol=1e-3)
        strength = STRENGTHS[statistic] * 4 * np.sum(gram**2) / (gram.size * np.trace(gram))
        assert found[f"style_strength.{layer}"] == pytest.approx(strength, rel=1e-4)
        covariance = moments - np.outer(mean, mean)
        if statistic == "mean-variance":
            expected = np.sqrt(np.diagonal(covariance) + ridge)
            actual = found[f"style_deviation.{layer}"]
        else:
            expected = function_of(covariance + ridge * np.eye(len(gram)), np.sqrt)
            actual = found[f"style_root.{layer}"]
        assert np.abs(actual - expected).max() <= 1e-3 * np.abs(expected).max()


@others
def test_the_same_weight_is_as_strong_as_with_gram_matrices(statistic: Statistic) -> None:
    """Features 1 % larger than the style's: the loss of Gram matrices and the distance agree."""
    network = network_with(statistic)
    (layer, *_) = network.style_layers
    features = np.abs(np.random.default_rng(1).normal(2, 5, (8, 12, 11)))
    flat = features.reshape(8, -1)
    gram: Any = (flat @ flat.T / flat.size).astype(np.float32)
    raw = {name: np.zeros(shape, np.float32) for name, shape in raw_shapes(network).items()}
    raw |= {layer: gram, f"mean.{layer}": flat.mean(1).astype(np.float32)}
    targets = style_targets(statistic, network.style_layers, [raw], [1.0])
    small: dict[str, Any] = {**targets, f"style_ridge.{layer}": np.array(1e-9, np.float32)}
    kinds = ("mean", "ridge", "strength", "deviation", "root")
    named = {k: small[f"style_{k}.{layer}"] for k in kinds if f"style_{k}.{layer}" in small}
    if statistic == "covariance":
        named["root"] = function_of(np.cov(flat, bias=True), np.sqrt)
    else:
        named["deviation"] = flat.std(1)
    distance, _ = loss_of(statistic, features * 1.01, named)
    of_grams, _ = loss_of("gram", features * 1.01, {"gram": gram})
    assert distance == pytest.approx(STRENGTHS[statistic] * of_grams, rel=0.05)


# -- verification ----------------------------------------------------------------------------------


@others
def test_every_form_is_verified_and_remembered_apart(statistic: Statistic, tmp_path: Path) -> None:
    backend = open_backend("onnxruntime", "f32", 1)
    network = network_with(statistic)
    for keeping in (None, Keeping()):
        verdict = verify(backend, lambda: backend, network, "nchwc", SIZE, tmp_path, keeping)
        assert verdict.passed, verdict
    verify(backend, lambda: backend, replace(network, form=LossForm()), "nchwc", SIZE, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("keeping", [None, Keeping()], ids=["whole", "strips"])
@others
def test_regions_of_every_form_are_verified(statistic: Statistic, keeping: Keeping | None) -> None:
    """The probe's guides count as many cells as there are, as those of masks do."""
    network = network_with(statistic)
    regions = dict.fromkeys(network.style_layers, ("1", "2", "3"))
    guides = Guides(regions, content=True, styles=True)
    backend = open_backend("onnxruntime", "f32", 1)
    structure = replace(network, guides=guides)
    verdict = verify(backend, lambda: backend, structure, "nchwc", SIZE, None, keeping)
    assert verdict.passed, verdict


def test_covariances_are_computed_in_float32_unless_asked_otherwise() -> None:
    first = next(iter(candidates(Options(style_statistic="covariance", backend="openvino"))))
    assert first.backend.precision == "f32"
