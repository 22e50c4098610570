"""What only a GPU can show: the processor's gradients, all of them computed there."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from agreement import assert_same_gradient
from streamed_networks import streamed_on, task_of, whole_on

from impasto import Options, stylize
from impasto.engine.backends import available_backends, choose, open_backend, open_reference
from impasto.engine.backends.base import Backend, FloatArray
from impasto.engine.network import network_for
from impasto.engine.verify import verify
from impasto.export.graph import GraphBuilder
from impasto.models import load_model

pytestmark = pytest.mark.skipif(
    not next(info.available for info in available_backends() if info.name == "cuda"),
    reason="no GPU that ONNX Runtime can use",
)

EXAMPLES = Path(__file__).parents[3] / "examples"
PHOTO, PAINTING = EXAMPLES / "pagoda.jpg", EXAMPLES / "village_street.jpg"


@pytest.fixture(scope="module", params=[False, True], ids=["heuristic", "autotune"])
def gpu(request: pytest.FixtureRequest) -> Backend:
    return open_backend("cuda", autotune=request.param)


def relative_error(found: FloatArray, exact: npt.NDArray[np.float64]) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def test_a_gpu_that_answers_is_chosen() -> None:
    assert choose()[:2] == ("cuda", "f32")


def test_products_have_the_digits_of_float32(gpu: Backend) -> None:
    """TF32, which rounds factors to 11 bits, has an error of 2e-4 here."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 256, 32, 32)).astype(np.float32)
    weight = rng.normal(size=(128, 256, 3, 3)).astype(np.float32)
    graph = GraphBuilder()
    flat = graph.op("Reshape", graph.input("x", x.shape), graph.constant([256, 1024]))
    graph.output(graph.op("Conv", "x", graph.constant(weight)), "y", (1, 128, 30, 30))
    graph.output(graph.op("MatMul", flat, graph.op("Transpose", flat)), "gram", (256, 256))
    found = gpu.compile(graph.build("products")).run({"x": x})
    matrix = x.astype(np.float64).reshape(256, 1024)
    assert relative_error(found["gram"], matrix @ matrix.T) < 2e-6
    windows = np.lib.stride_tricks.sliding_window_view(x[0].astype(np.float64), (3, 3), (1, 2))
    exact = np.einsum("oikl,iyxkl->oyx", weight.astype(np.float64), windows, optimize=True)
    assert relative_error(found["y"], exact[None]) < 2e-6


@pytest.mark.parametrize("name", ["vgg19", "nin"])
def test_gradients_are_the_oracle_s_and_nothing_heavy_is_left_to_the_cpu(
    name: str, gpu: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    task = task_of(name, (131, 97), narrowed=1)
    with caplog.at_level(logging.WARNING):
        objective = whole_on(gpu, task)
    assert not caplog.records
    for _ in range(2):  # the first run is another one inside
        loss, gradient = objective(task.image)
        assert loss == pytest.approx(sum(task.losses.values()), rel=1e-4)
        assert_same_gradient(gradient[0], task.gradient)


def test_a_session_is_opened_in_silence(gpu: Backend, capfd: pytest.CaptureFixture[str]) -> None:
    whole_on(gpu, task_of("nin", (67, 45)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["vgg19", "nin"])
def test_strips_have_the_oracle_s_gradient(name: str, gpu: Backend) -> None:
    task = task_of(name, (131, 97), narrowed=1)
    objective = streamed_on(gpu, task, 40)
    loss, gradient = objective(task.image)
    assert loss == pytest.approx(sum(task.losses.values()), rel=1e-4)
    assert_same_gradient(gradient[0], task.gradient)


def test_the_real_network_passes_its_first_use_check(gpu: Backend) -> None:
    network = network_for(load_model("vgg19"), Options())
    verdict = verify(gpu, open_reference, network, gpu.lowering, (512, 512), None)
    assert verdict.passed
    assert verdict.cosine > 0.99999
    assert verdict.term_error < 1e-4


def test_what_is_bound_anew_or_again_after_a_release_counts(gpu: Backend) -> None:
    """Bound inputs are copied to the GPU once; another array is another value."""
    graph = GraphBuilder()
    sums = graph.op("Add", graph.input("x", (64, 64)), graph.input("target", (64, 64)))
    graph.output(sums, "sum", (64, 64))
    compiled = gpu.compile(graph.build("sum"))
    x = np.ones((64, 64), np.float32)
    for value in (1, 2, 5):
        compiled.bind({"target": np.full((64, 64), value, np.float32)})
        for _ in range(3):
            assert (compiled.run({"x": x})["sum"] == value + 1).all()
        compiled.release()
        assert (compiled.run({"x": x})["sum"] == value + 1).all()
    # What is given to a run counts in this run, and may change until the next.
    other = np.zeros((64, 64), np.float32)
    for value in (7, 8):
        other[:] = value
        assert (compiled.run({"x": x, "target": other})["sum"] == value + 1).all()
    assert (compiled.run({"x": x})["sum"] == 6).all()


def test_a_picture_is_painted_as_on_the_processor() -> None:
    options = Options(size=128, iterations=20, seed=1)
    there = stylize(PHOTO, [PAINTING], replace(options, backend="cuda"))
    here = stylize(PHOTO, [PAINTING], replace(options, backend="onnxruntime"))
    assert (there.backend, there.precision) == ("cuda", "f32")
    assert there.loss == pytest.approx(here.loss, rel=0.02)
    # Rounding sends the two runs apart slowly.
    difference = there.image.astype(np.float64) - here.image
    assert np.abs(difference).mean() < 2
