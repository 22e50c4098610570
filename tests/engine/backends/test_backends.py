"""What every backend of this machine has to do, on small graphs with known answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from impasto.engine import backends
from impasto.engine.backends import Backend, available_backends, choose, open_backend
from impasto.engine.backends.base import FloatArray
from impasto.engine.machine import available_cores, peak_rss_bytes
from impasto.engine.options import BackendChoice
from impasto.errors import BackendError, BackendUnavailableError, UnknownNameError
from impasto.export.graph import GraphBuilder

HERE = [
    (info.name, precision)
    for info in available_backends()
    if info.available
    for precision in info.precisions
]
F32 = [(name, precision) for name, precision in HERE if precision == "f32"]


@pytest.fixture(params=HERE, ids=[" ".join(entry) for entry in HERE])
def backend(request: pytest.FixtureRequest) -> Backend:
    name, precision = request.param
    return open_backend(name, precision)


def layer(size: tuple[int, int] | None, channels: int = 16) -> onnx.ModelProto:
    """relu(convolution(x)) · scale, and its sum."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 3, *(size or ("height", "width"))))
    scale = graph.input("scale", ())
    weight = np.random.default_rng(0).normal(size=(channels, 3, 3, 3)).astype(np.float32)
    convolved = graph.op("Conv", x, graph.constant(weight), pads=[1] * 4)
    y = graph.op("Mul", graph.op("Relu", convolved), scale)
    graph.output(y, "y", (1, channels, None, None) if size is None else (1, channels, *size))
    graph.output(graph.op("ReduceSum", y, keepdims=0), "total", ())
    return graph.build("layer")


def picture(height: int = 12, width: int = 20, seed: int = 1) -> FloatArray:
    values = np.random.default_rng(seed).normal(size=(1, 3, height, width))
    return values.astype(np.float32)


def expected(x: FloatArray, scale: float) -> npt.NDArray[np.float64]:
    """The same in NumPy float64."""
    weight = np.random.default_rng(0).normal(size=(16, 3, 3, 3)).astype(np.float32)
    padded = np.pad(x[0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    return np.maximum(np.tensordot(weight, windows, ((1, 2, 3), (0, 3, 4))), 0)[None] * scale


@pytest.mark.parametrize("size", [(12, 20), None], ids=["fixed", "symbolic"])
@pytest.mark.parametrize(("name", "precision"), F32)
def test_float32_backends_compute_in_float32(
    name: str, precision: str, size: tuple[int, int] | None
) -> None:
    graph = open_backend(name, precision).compile(layer(size))  # type: ignore[arg-type]
    graph.bind({"scale": np.array(2, np.float32)})
    x = picture()
    found = graph.run({"x": x})
    np.testing.assert_allclose(found["y"], expected(x, 2), rtol=1e-5, atol=1e-5)
    assert found["total"].shape == ()
    assert found["total"] == pytest.approx(found["y"].sum(), rel=1e-5)


def gram(dtype: npt.DTypeLike) -> onnx.ModelProto:
    """F Fᵀ of relu(convolution(x)), F being its channels by its pixels."""
    graph = GraphBuilder(dtype=dtype)
    weight = np.random.default_rng(0).normal(size=(16, 3, 3, 3)).astype(dtype)
    x = graph.input("x", (1, 3, 12, 20))
    y = graph.op("Relu", graph.op("Conv", x, graph.constant(weight)))
    flat = graph.op("Reshape", y, graph.constant([16, 180]))
    graph.output(graph.op("MatMul", flat, graph.op("Transpose", flat)), "gram", (16, 16))
    return graph.build("gram")


@pytest.mark.parametrize(("name", "precision"), F32)
def test_float32_backends_agree_with_onnx_s_reference_in_float64(name: str, precision: str) -> None:
    graph = open_backend(name, precision).compile(gram(np.float32))  # type: ignore[arg-type]
    (result,) = ReferenceEvaluator(gram(np.float64)).run(None, {"x": picture().astype(np.float64)})
    exact: npt.NDArray[np.float64] = np.asarray(result, np.float64)
    found = graph.run({"x": picture()})["gram"]
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())


def test_the_precision_is_the_one_asked_for(backend: Backend) -> None:
    x = picture()
    found = backend.compile(layer((12, 20))).run({"x": x, "scale": np.array(1, np.float32)})["y"]
    error = np.abs(found - expected(x, 1)).max()
    # bfloat16 has 8 significant bits: its error is far above float32's, and far below the values.
    low, high = {"f32": (0.0, 1e-4), "bf16": (1e-3, 0.2)}[backend.precision]
    assert low <= error < high


@pytest.mark.parametrize("size", [(12, 20), None], ids=["fixed", "symbolic"])
def test_outputs_are_written_in_place_run_after_run(
    backend: Backend, size: tuple[int, int] | None
) -> None:
    graph = backend.compile(layer(size))
    graph.bind({"scale": np.array(1, np.float32)})
    for _ in range(2):
        graph.run({"x": picture(seed=3)})
    before = graph.run({"x": picture(seed=3)})["y"]
    kept = before.copy()
    after = graph.run({"x": picture(seed=4)})["y"]
    assert np.shares_memory(before, after)
    assert not np.array_equal(kept, after)


def test_bound_values_stay_and_may_be_replaced(backend: Backend) -> None:
    graph = backend.compile(layer((12, 20)))
    x = picture()
    totals = []
    for scale in (1.0, 1.0, 3.0):
        graph.bind({"scale": np.array(scale, np.float32)})
        totals.append(float(graph.run({"x": x})["total"]))
    assert totals[0] == totals[1]
    assert totals[2] == pytest.approx(3 * totals[0], rel=0.01)


def test_a_value_given_to_one_run_counts_for_that_run(backend: Backend) -> None:
    graph = backend.compile(layer((12, 20)))
    graph.bind({"scale": np.array(1, np.float32)})
    x = picture()
    once = float(graph.run({"x": x})["total"])
    thrice = float(graph.run({"x": x, "scale": np.array(3, np.float32)})["total"])
    assert thrice == pytest.approx(3 * once, rel=0.01)
    assert float(graph.run({"x": x})["total"]) == once


def test_read_only_arrays_are_taken(backend: Backend) -> None:
    graph = backend.compile(layer((12, 20)))
    graph.bind({"scale": np.array(1, np.float32)})
    x = picture()
    total = float(graph.run({"x": x})["total"])
    x.flags.writeable = False
    assert float(graph.run({"x": x})["total"]) == total
    window = np.ones_like(x)
    frozen = window.view()
    frozen.flags.writeable = False
    graph.run({"x": frozen})
    window[...] = x  # a read-only view of an array that changes
    assert float(graph.run({"x": frozen})["total"]) == total


def test_after_a_failed_run_the_next_one_is_right(backend: Backend) -> None:
    builder = GraphBuilder()
    x, y = builder.input("x", ("n",)), builder.input("y", ("m",))
    builder.output(builder.op("Add", x, y), "sum", (None,))
    graph = backend.compile(builder.build("add"))
    three, four = np.full(3, 2, np.float32), np.full(4, 5, np.float32)
    assert graph.run({"x": three, "y": three})["sum"].tolist() == [4, 4, 4]
    with pytest.raises(BackendError, match="cannot run the graph"):
        graph.run({"x": three, "y": four})
    assert graph.run({"x": three, "y": three})["sum"].tolist() == [4, 4, 4]
    assert graph.run({"x": four, "y": four})["sum"].tolist() == [10, 10, 10, 10]


def test_a_symbolic_graph_takes_one_size_after_another(backend: Backend) -> None:
    graph = backend.compile(layer(None))
    graph.bind({"scale": np.array(1, np.float32)})
    for height, width in ((12, 20), (31, 7), (12, 20)):
        found = graph.run({"x": picture(height, width)})["y"]
        assert found.shape == (1, 16, height, width)
        error = np.abs(found - expected(picture(height, width), 1)).max()
        assert error < (1e-4 if backend.precision == "f32" else 0.2)


def test_results_do_not_depend_on_temporary_arrays(backend: Backend) -> None:
    """The runtime reads our memory: arrays must live as long as it does."""
    graph = backend.compile(layer((12, 20)))
    graph.bind({"scale": np.array(1, np.float32)})
    first = graph.run({"x": picture()})["y"].copy()
    garbage = [picture(seed=seed) for seed in range(50)]
    np.testing.assert_array_equal(graph.run({"x": picture()})["y"], first)
    assert len(garbage) == 50


def test_only_the_outputs_asked_for(backend: Backend) -> None:
    graph = backend.compile(layer((12, 20)), outputs=["total"])
    assert set(graph.run({"x": picture(), "scale": np.array(1, np.float32)})) == {"total"}


def test_misuse_is_named(backend: Backend) -> None:
    graph = backend.compile(layer((12, 20)))
    with pytest.raises(BackendError, match="no input 'weight'; it has x, scale"):
        graph.bind({"weight": np.zeros(3, np.float32)})
    with pytest.raises(BackendError, match="No value for the graph's input scale"):
        graph.run({"x": picture()})
    graph.bind({"scale": np.array(1, np.float32)})
    with pytest.raises(BackendError, match="'x' is float64"):
        graph.run({"x": picture().astype(np.float64)})
    with pytest.raises(BackendError, match="not contiguous"):
        graph.run({"x": picture().transpose(0, 1, 3, 2)})
    with pytest.raises(BackendError, match=r"shape \(1, 3, 13, 20\); .* \(1, 3, 12, 20\)"):
        graph.run({"x": picture(13, 20)})
    with pytest.raises(BackendError, match=r"'scale' has shape \(1\); the graph takes \(\)"):
        graph.bind({"scale": np.ones(1, np.float32)})
    with pytest.raises(BackendError, match="'scale' is a float"):
        graph.bind({"scale": 1.0})  # type: ignore[dict-item]
    with pytest.raises(BackendError, match="no output gradient; it has y, total"):
        backend.compile(layer((12, 20)), outputs=["gradient"])
    assert graph.run({"x": picture()})["total"] > 0  # and none of it did any harm


def test_a_symbolic_side_is_any_but_a_fixed_one_is_not(backend: Backend) -> None:
    graph = backend.compile(layer(None))
    with pytest.raises(BackendError, match=r"\(1, 4, 8, 8\); the graph takes \(1, 3, any, any\)"):
        graph.bind({"x": np.zeros((1, 4, 8, 8), np.float32)})


def test_a_graph_no_runtime_knows_is_a_backend_error(backend: Backend) -> None:
    graph = GraphBuilder()
    y = graph.op("Relu", graph.input("x", (2,)))
    graph.output(y, "y", (2,))
    model = graph.build("broken")
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(BackendError, match="cannot compile"):
        backend.compile(model)


def test_many_runs_do_not_grow_memory(backend: Backend) -> None:
    graph = backend.compile(layer((64, 64), channels=64))
    graph.bind({"scale": np.array(1, np.float32)})
    for _ in range(20):
        graph.run({"x": picture(64, 64)})
    before = peak_rss_bytes() or 0
    for _ in range(300):
        graph.run({"x": picture(64, 64)})
    assert (peak_rss_bytes() or 0) - before < 16 * 2**20  # 300 outputs would be 300 MB


def resident_bytes() -> int:
    if not Path("/proc/self/statm").exists():
        return peak_rss_bytes() or 0
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def deep(size: int) -> onnx.ModelProto:
    """Eight convolutions of 64 channels, and the sum of what comes out."""
    graph = GraphBuilder()
    y = graph.input("x", (1, 64, size, size))
    random = np.random.default_rng(0)
    for _ in range(8):
        weight = (random.normal(size=(64, 64, 3, 3)) / 24).astype(np.float32)
        y = graph.op("Relu", graph.op("Conv", y, graph.constant(weight, "w"), pads=[1] * 4))
    graph.output(graph.op("ReduceSum", y, keepdims=0), "total", ())
    return graph.build("deep")


def test_the_second_run_takes_no_more_memory_than_the_first(backend: Backend) -> None:
    graph = backend.compile(deep(256))
    x = np.ones((1, 64, 256, 256), np.float32)  # 16 MB, as every feature map
    graph.run({"x": x})
    before = resident_bytes()
    graph.run({"x": x})
    assert resident_bytes() - before < x.nbytes


def test_runtimes_leave_the_processor_s_arithmetic_alone(backend: Backend) -> None:
    """A flag that flushes denormals to zero would change the program that embeds us."""
    backend.compile(layer((12, 20))).run({"x": picture(), "scale": np.array(1, np.float32)})
    assert np.float32(1e-40) * np.float32(0.5) > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_precision_reach_the_runtime(threads: int) -> None:
    for name, precision in HERE:
        graph: Any = open_backend(name, precision, threads).compile(layer((12, 20)))
        if name == "openvino":
            used = graph._compiled.get_property("INFERENCE_NUM_THREADS")
            assert used == min(threads, available_cores())
            hint = graph._compiled.get_property("INFERENCE_PRECISION_HINT")
            assert hint.get_type_name() == {"f32": "f32", "bf16": "bf16"}[precision]
        if name == "onnxruntime":
            assert graph._session.get_session_options().intra_op_num_threads == threads


def test_threads_are_by_default_one_per_available_core() -> None:
    backend: Any = open_backend("onnxruntime")
    assert backend.threads == available_cores()


def test_auto_takes_what_is_there_and_says_why() -> None:
    name, precision, reason = choose()
    assert (name, precision) in HERE
    assert reason
    assert open_backend("auto").name == name
    assert choose("onnxruntime") == ("onnxruntime", "f32", "it was asked for")


def test_a_precision_the_backend_lacks_is_refused_with_what_there_is() -> None:
    with pytest.raises(BackendUnavailableError, match="does not compute in bf16 here; it has f32"):
        open_backend("onnxruntime", "bf16")


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'openvino'"):
        open_backend("openvin")


def test_every_choice_has_an_answer() -> None:
    names = {info.name for info in available_backends()}
    assert names | {"auto"} == set(get_args(BackendChoice))
    for info in available_backends():
        assert info.available == bool(info.precisions)
        assert info.detail


def test_cuda_is_refused_where_there_is_none() -> None:
    (cuda,) = (info for info in available_backends() if info.name == "cuda")
    if cuda.available:
        assert open_backend("cuda").name == "cuda"
    else:
        with pytest.raises(BackendUnavailableError, match="onnxruntime-gpu"):
            open_backend("cuda")


@pytest.fixture
def no_openvino(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "impasto.engine.backends.openvino_cpu", raising=False)
    monkeypatch.delattr(backends, "openvino_cpu", raising=False)
    yield
    sys.modules.pop("impasto.engine.backends.openvino_cpu", None)


@pytest.mark.usefixtures("no_openvino")
def test_without_openvino_everything_else_works() -> None:
    (info,) = (info for info in available_backends() if info.name == "openvino")
    assert not info.available
    assert "not installed" in info.detail
    if choose()[0] != "cuda":
        assert choose()[0] == "onnxruntime"
    with pytest.raises(BackendUnavailableError, match="'openvino' is not available"):
        open_backend("openvino")


def test_a_half_removed_runtime_is_reported_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing one of ONNX Runtime's two packages deletes files of the other."""
    for name in ("onnxruntime_cpu", "onnxruntime_cuda"):
        monkeypatch.delitem(sys.modules, f"impasto.engine.backends.{name}", raising=False)
        monkeypatch.delattr(backends, name, raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    found = {info.name: info for info in available_backends()}
    assert not found["onnxruntime"].available
    assert "damaged" in found["onnxruntime"].detail
    assert "install it again" in found["cuda"].detail
    for name in ("onnxruntime_cpu", "onnxruntime_cuda"):
        sys.modules.pop(f"impasto.engine.backends.{name}", None)
