"""The reference of the first-use check: right by the oracle, by ONNX Runtime, and op by op."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from agreement import assert_same_gradient
from hypothesis import given
from hypothesis import strategies as st
from streamed_networks import network_of, task_of, whole_on

from impasto.engine.backends import open_backend, open_reference
from impasto.engine.backends.numpy_ops import OPS
from impasto.engine.network import Network
from impasto.engine.verify import verify
from impasto.errors import BackendError
from impasto.export.graph import GraphBuilder
from impasto.export.guides import UNGUIDED, Guides
from impasto.export.losses.form import LossForm, Statistic, TvNorm
from impasto.models.layer import Pooling, PoolRounding

Array = npt.NDArray[Any]

REGIONS = Guides({"relu1_1": ("sky", "tower"), "relu3_1": ("sky",)}, content=True, styles=True)


def by_onnxruntime(model: onnx.ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    """Run with every rewriting off, and any types of inputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [value.name for value in model.graph.output]
    return dict(zip(names, session.run(names, feeds), strict=True))


def op_model(op: str, x: Array, *constants: Array | None, **attributes: Any) -> onnx.ModelProto:
    graph = GraphBuilder()
    others = ["" if value is None else graph.constant(value) for value in constants]
    y = graph.op(op, graph.input("x", x.shape), *others, **attributes)
    graph.output(y, "y", tuple(None for _ in x.shape))
    return graph.build(op.lower())


def assert_as_defined(op: str, x: Array, *constants: Array | None, **attributes: Any) -> None:
    model = op_model(op, x, *constants, **attributes)
    expected = by_onnxruntime(model, {"x": x})["y"]
    found = open_reference().compile(model).run({"x": x})["y"]
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def values(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize("name", ["vgg19", "nin"])
def test_losses_and_gradients_are_the_oracle_s(name: str, pooling: Pooling) -> None:
    for size in ((64, 48), (67, 45)):
        task = task_of(name, size, pooling)
        loss, gradient = whole_on(open_reference(), task)(task.image)
        assert loss == pytest.approx(sum(task.losses.values()), rel=1e-5)
        assert_same_gradient(gradient[0], task.gradient)


def agrees_with_onnxruntime(network: Network) -> None:
    """Everything that is verified, computed by both from the same graphs."""
    runtime = open_backend("onnxruntime", "f32")
    verdict = verify(runtime, open_reference, network, "portable", (66, 95), None)
    assert verdict.passed, str(verdict)
    assert verdict.cosine > 0.9999, str(verdict)
    assert verdict.term_error < 1e-3, str(verdict)


@pytest.mark.parametrize("guides", [UNGUIDED, REGIONS], ids=["plain", "guided"])
@pytest.mark.parametrize("tv_norm", get_args(TvNorm))
@pytest.mark.parametrize("statistic", get_args(Statistic))
def test_every_form_of_the_losses_is_onnxruntime_s(
    statistic: Statistic, tv_norm: TvNorm, guides: Guides
) -> None:
    network = replace(network_of("vgg19"), guides=guides)
    for normalized in (False, True):
        agrees_with_onnxruntime(replace(network, form=LossForm(statistic, tv_norm, normalized)))


@pytest.mark.parametrize("rounding", get_args(PoolRounding))
@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_every_pooling_is_onnxruntime_s(pooling: Pooling, rounding: PoolRounding) -> None:
    for name in ("vgg19", "nin"):
        agrees_with_onnxruntime(network_of(name, pooling, rounding))


def test_a_torus_is_onnxruntime_s() -> None:
    agrees_with_onnxruntime(replace(network_of("vgg19"), wraps=True))


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.booleans(),
)
def test_any_convolution(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    biased: bool,
) -> None:
    constants = [values(4, 3, *kernel, seed=1), *([values(4)] if biased else [])]
    window = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    assert_as_defined("Conv", values(2, 3, 6, 7), *constants, **window)


@given(st.lists(st.integers(-2, 3), min_size=4, max_size=4), st.booleans())
def test_any_padding(pads: list[int], valued: bool) -> None:
    value = np.array(1.5, np.float32) if valued else None
    axes = np.array([3, 2])
    assert_as_defined("Pad", values(1, 2, 5, 6), np.array(pads), value, axes)
    whole = np.array([0, 0, *pads[:2], 0, 0, *pads[2:]])
    assert_as_defined("Pad", values(1, 2, 5, 6), whole, *([] if value is None else [value]))


@given(
    st.integers(-9, 9),
    st.integers(-9, 9) | st.sampled_from([-(2**62), 2**62]),
    st.sampled_from([-3, -1, 1, 2]),
)
def test_any_slice(start: int, end: int, step: int) -> None:
    numbers = (np.array([number]) for number in (start, end, 1, step))
    assert_as_defined("Slice", values(2, 7), *numbers)


@pytest.mark.parametrize(
    ("op", "constants", "attributes"),
    [
        ("DepthToSpace", (), {"blocksize": 2, "mode": "DCR"}),
        ("DepthToSpace", (), {"blocksize": 2, "mode": "CRD"}),
        ("DepthToSpace", (), {"blocksize": 2}),
        ("Expand", (np.array([3, 1, 8, 1, 1]),), {}),
        ("Max", (values(6, 1), values(8, 6, 5, seed=2)), {}),
        ("ReduceL1", (np.array([1, -1]),), {"keepdims": 0}),
        ("ReduceSum", (), {}),
        ("ReduceSum", (np.array([2]),), {"keepdims": 1}),
        ("ReduceSumSquare", (), {"keepdims": 0}),
        ("Reshape", (np.array([0, 2, -1]),), {}),
        ("Sum", (values(5), values(1, 1, 6, 1), values(8, 1, 1)), {}),
        ("Transpose", (), {}),
        ("Transpose", (), {"perm": [0, 2, 3, 1]}),
        ("Unsqueeze", (np.array([0, -1]),), {}),
    ],
)
def test_ops_of_any_shapes(op: str, constants: tuple[Array, ...], attributes: Any) -> None:
    assert_as_defined(op, values(1, 8, 6, 5), *constants, **attributes)


def test_larger_pictures_take_cells_as_onnxruntime_does() -> None:
    way = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    for scale in (2, 3):
        scales = np.array([1, 1, scale, 1], np.float32)
        assert_as_defined("Resize", values(1, 2, 4, 5), None, scales, nearest_mode="floor", **way)


@pytest.mark.parametrize(
    ("op", "constants", "attributes", "told"),
    [
        ("Erf", (), {}, "no Erf"),
        ("Conv", (values(4, 1, 3, 3),), {"group": 3}, "in groups"),
        ("Conv", (values(4, 3, 2, 2),), {"dilations": [2, 2]}, "dilated"),
        ("Conv", (values(4, 5, 3, 3),), {}, "mismatch"),
        ("Pad", (np.array([0, 0, 1, 1] * 2),), {"mode": "reflect"}, "reflect"),
        ("Resize", (None, np.ones(4, np.float32)), {"mode": "linear"}, "linear"),
        ("MaxPool", (), {"kernel_shape": [2, 2], "dilations": [2, 2]}, "Dilations"),
    ],
)
def test_what_it_cannot_compute_is_said(
    op: str, constants: tuple[Array | None, ...], attributes: Any, told: str
) -> None:
    x = values(1, 3, 6, 5)
    with pytest.raises(BackendError, match=rf"NumPy cannot compute .*{told}"):
        open_reference().compile(op_model(op, x, *constants, **attributes)).run({"x": x})


def test_outputs_asked_for_are_all_that_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    graph.output(graph.op("Neg", x), "less", (3,))
    graph.output(graph.op("Abs", x), "more", (3,))

    def refuse(_x: Array) -> Array:
        raise AssertionError("not asked for")

    monkeypatch.setattr("impasto.engine.backends.numpy_reference.OPS", {**OPS, "Abs": refuse})
    found = open_reference().compile(graph.build("two"), ["less"]).run({"x": values(3)})
    assert found.keys() == {"less"}
    np.testing.assert_array_equal(found["less"], -values(3))


def test_results_are_no_inputs_and_no_results_of_before() -> None:
    graph = GraphBuilder()
    x = graph.input("x", (3,))
    graph.output(graph.op("Identity", x), "same", (3,))
    compiled = open_reference().compile(graph.build("same"))
    given_first = values(3)
    first = compiled.run({"x": given_first})["same"]
    compiled.run({"x": values(3, seed=1)})
    first[0] = 7
    np.testing.assert_array_equal(given_first, values(3))
