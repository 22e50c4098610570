"""Losses of means, variances and covariances: values and gradients, of flat pictures too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from style_statistics import function_of, loss_of, target_of

import impasto.export.vjp  # noqa: F401  (fills the table of rules)
from impasto.engine.backends import open_backend
from impasto.export.backward import append_gradient
from impasto.export.graph import GraphBuilder
from impasto.export.losses.form import STATISTICS, Statistic
from impasto.export.losses.matrix_root import LEAST_SHARE, append_trace_of_root, scalings
from impasto.export.losses.statistic import append_style_term, style_inputs
from impasto.export.reference import evaluate

Array = npt.NDArray[Any]

everything = pytest.mark.parametrize("statistic", STATISTICS)
distances = pytest.mark.parametrize("statistic", ["mean-variance", "covariance"])


def term_graph(
    statistic: Statistic,
    shape: tuple[int, int, int],
    dtype: npt.DTypeLike = np.float64,
    *,
    channels_last: bool = False,
    symbolic: bool = False,
) -> onnx.ModelProto:
    """Features → weighted loss and its gradient."""
    graph = GraphBuilder(dtype=dtype)
    sides = ("h", "w") if symbolic else shape[1:]
    features = graph.input("features", (1, shape[0], *sides))
    targets = style_inputs(graph, statistic, "layer", shape[0])
    weight = graph.input("style_weight.layer", ())
    loss = append_style_term(
        graph, statistic, features, None, targets, weight, shape[0], channels_last=channels_last
    )
    gradient = append_gradient(graph, loss, [features])[features]
    graph.output(loss, "loss", ())
    graph.output(gradient, "gradient", (1, shape[0], *sides))
    return graph.build("term")


def feeds_of(
    statistic: str, features: Array, target: Mapping[str, Array], weight: float
) -> dict[str, Array]:
    names = {"gram": "style.layer"}
    named = {names.get(kind, f"style_{kind}.layer"): value for kind, value in target.items()}
    feeds = {"features": features[None], "style_weight.layer": np.array(weight), **named}
    return {name: np.array(value, order="C") for name, value in feeds.items()}


def features_of(channels: int, height: int, width: int, seed: int, scale: float = 20.0) -> Array:
    """ReLU features of channels that depend on each other, some of them much larger."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(channels, channels)) * np.geomspace(1, 0.02, channels)
    cells = generator.normal(size=(channels, height * width)) + 0.3
    return np.maximum(mixing @ cells, 0).reshape(channels, height, width) * scale


@everything
@pytest.mark.parametrize("shape", [(5, 7, 6), (12, 2, 3), (3, 1, 40), (8, 9, 1)])
@pytest.mark.parametrize(("channels_last", "symbolic"), [(False, False), (True, True)])
def test_loss_and_gradient_equal_the_oracle(
    statistic: Statistic, shape: tuple[int, int, int], channels_last: bool, symbolic: bool
) -> None:
    """Of more and of fewer cells than channels, where the covariance is singular."""
    image, style = features_of(*shape, seed=1), features_of(shape[0], 5, 4, seed=2)
    target = target_of(statistic, style)
    loss, gradient = loss_of(statistic, image, target)
    model = term_graph(statistic, shape, channels_last=channels_last, symbolic=symbolic)
    found = evaluate(model, feeds_of(statistic, image, target, 3.0))
    assert found["loss"] == pytest.approx(3 * loss, rel=1e-10)
    assert np.abs(found["gradient"][0] - 3 * gradient).max() <= 1e-10 * np.abs(3 * gradient).max()


@distances
def test_the_same_picture_is_at_distance_0(statistic: Statistic) -> None:
    features = features_of(6, 8, 8, seed=3)
    target = target_of(statistic, features)
    found = evaluate(term_graph(statistic, (6, 8, 8)), feeds_of(statistic, features, target, 1.0))
    size = float(np.mean(features**2))
    assert abs(float(found["loss"])) <= 1e-12 * size
    assert np.abs(found["gradient"]).max() <= 1e-12 * size


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    statistic=st.sampled_from(["mean-variance", "covariance"]),
    values=st.tuples(st.sampled_from([0.0, 1.0, 300.0]), st.sampled_from([0.0, 2.0, 1e4])),
    ridge=st.sampled_from([1e-6, 1e-2, 30.0]),
)
def test_flat_pictures_have_finite_gradients(
    statistic: Statistic, values: tuple[float, float], ridge: float
) -> None:
    """In float32 on a runtime: no variance at all, of black pictures too, against any style."""
    flat, other = (np.full((4, 3, 5), value, np.float32) for value in values)
    bumpy = features_of(4, 3, 5, seed=4).astype(np.float32)
    graph = open_backend("onnxruntime", "f32", 1).compile(
        term_graph(statistic, (4, 3, 5), np.float32)
    )
    for image, style in ((flat, other), (flat, bumpy), (bumpy, flat)):
        target = target_of(statistic, style, ridge)
        feeds = feeds_of(statistic, image, target, 1.0)
        found = graph.run({name: value.astype(np.float32) for name, value in feeds.items()})
        assert np.isfinite(found["loss"])
        assert np.isfinite(found["gradient"]).all()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@everything
def test_runtimes_in_float32_agree_with_the_oracle(statistic: Statistic, backend: str) -> None:
    """At the ridge that runs use, with more channels than cells and eigenvalues of six digits."""
    shape = (96, 9, 8)
    image, style = features_of(*shape, seed=5), features_of(96, 8, 11, seed=6)
    target = target_of(statistic, style)
    loss, gradient = loss_of(statistic, image, target)
    graph = open_backend(backend, "f32", 1).compile(term_graph(statistic, shape, np.float32))
    feeds = feeds_of(statistic, image, target, 1.0)
    found = graph.run({name: value.astype(np.float32) for name, value in feeds.items()})
    assert found["loss"] == pytest.approx(loss, rel=1e-4)
    assert np.abs(found["gradient"][0] - gradient).max() <= 1e-3 * np.abs(gradient).max()


def test_a_picture_of_far_more_variance_is_raised_consistently() -> None:
    """Where the least eigenvalue is raised, the gradient is still that of the value."""
    image, style = features_of(5, 6, 6, seed=7, scale=3000.0), features_of(5, 6, 6, seed=8)
    target = target_of("covariance", style, ridge=0.01)
    inner = target["root"] @ np.cov(image.reshape(5, -1), bias=True) @ target["root"]
    assert LEAST_SHARE * np.trace(inner) > 10 * 0.01**2
    model = term_graph("covariance", image.shape)
    direction = np.random.default_rng(9).normal(size=image.shape)

    def at(step: float) -> dict[str, Array]:
        return evaluate(model, feeds_of("covariance", image + step * direction, target, 1.0))

    slope = float(np.sum(at(0.0)["gradient"][0] * direction))
    step = 1e-2
    difference = (float(at(step)["loss"]) - float(at(-step)["loss"])) / (2 * step)
    assert slope == pytest.approx(difference, rel=1e-6)


# -- the root --------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 17, 60])
def test_the_trace_of_a_root_and_its_gradient_are_exact(channels: int) -> None:
    """For every matrix it is made for: eigenvalues down to a millionth of the trace."""
    generator = np.random.default_rng(channels)
    values = np.geomspace(1, 2 * LEAST_SHARE * channels, channels)
    basis = np.linalg.qr(generator.normal(size=(channels, channels)))[0]
    matrix = 400 * (basis * values) @ basis.T
    matrix = (matrix + matrix.T) / 2
    graph = GraphBuilder(dtype=np.float64)
    value = graph.input("matrix", matrix.shape)
    trace = append_trace_of_root(graph, value, channels)
    graph.output(append_gradient(graph, trace, [value])[value], "gradient", matrix.shape)
    graph.output(trace, "trace", ())
    found = evaluate(graph.build("root"), {"matrix": matrix})
    assert found["trace"] == pytest.approx(np.sqrt(np.linalg.eigvalsh(matrix)).sum(), rel=1e-10)
    expected = function_of(matrix, lambda eigenvalues: 0.5 * eigenvalues**-0.5)
    assert np.abs(found["gradient"] - expected).max() <= 1e-9 * np.abs(expected).max()


def test_the_iteration_is_short() -> None:
    """Its steps are products of matrices; unscaled ones would be twice as many."""
    assert len(scalings()) == 12
    assert scalings()[-1] == pytest.approx(1, abs=1e-6)
