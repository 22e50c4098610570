"""The temporal loss: exact in value and gradient, whole and in strips, and beside other terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from double_backend import DoubleBackend
from streamed_networks import streamed_in_double, task_of

from impasto.engine.objective import Objective
from impasto.engine.video.temporal import BLOCK_ROWS, TEMPORAL_LOSS, TemporalObjective
from impasto.export.gradient import build_gradient_graph

Array = npt.NDArray[Any]


class Nothing:
    """An objective that is 0 everywhere, and gives the same array each time."""

    def __init__(self, dtype: type) -> None:
        self._dtype = dtype
        self._gradient: Array = np.empty(0)
        self.losses: Mapping[str, float] = {}

    def __call__(self, image: Array, /) -> tuple[float, Array]:
        if self._gradient.shape != image.shape:
            self._gradient = np.zeros(image.shape, self._dtype)
        self._gradient.fill(0)
        return 0.0, self._gradient


def arrays(height: int, width: int, seed: int = 5) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    image, warped = rng.uniform(0, 255, (2, 1, 3, height, width))
    return image, warped, rng.uniform(0, 1, (height, width))


@pytest.mark.parametrize("height", [1, BLOCK_ROWS, 2 * BLOCK_ROWS + 7])
def test_value_and_gradient_are_the_formula_s(height: int) -> None:
    image, warped, weights = arrays(height, 5)
    objective = TemporalObjective(Nothing(np.float64), warped, weights, 30.0)
    loss, gradient = objective(image)
    assert loss == pytest.approx(30 * np.mean(weights * (image - warped) ** 2), rel=1e-12)
    assert objective.losses == {TEMPORAL_LOSS: loss}
    expected = 2 * 30 * weights * (image - warped) / image.size
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_the_gradient_is_that_of_differences() -> None:
    """A quadratic's central differences are exact but for rounding."""
    image, warped, weights = arrays(6, 7)
    objective = TemporalObjective(Nothing(np.float64), warped, weights, 900.0)
    gradient = objective(image)[1].copy()
    for place in np.ndindex(image.shape):
        values = []
        for step in (1.0, -1.0):
            moved = image.copy()
            moved[place] += step
            values.append(objective(moved)[0])
        assert (values[0] - values[1]) / 2 == pytest.approx(gradient[place], rel=1e-9, abs=1e-7)


def test_float32_is_close_to_float64() -> None:
    image, warped, weights = arrays(150, 40)
    exact = TemporalObjective(Nothing(np.float64), warped, weights > 0.5, 1000.0)(image)
    single = TemporalObjective(
        Nothing(np.float32), warped.astype(np.float32), weights > 0.5, 1000.0
    )(image.astype(np.float32))
    assert single[1].dtype == np.float32
    assert single[0] == pytest.approx(exact[0], rel=1e-6)
    np.testing.assert_allclose(single[1], exact[1], rtol=1e-3, atol=1e-6)


def test_untrusted_pixels_are_free() -> None:
    image, warped, _ = arrays(10, 12)
    trusted = np.zeros((10, 12), bool)
    trusted[3:5] = True
    loss, gradient = TemporalObjective(Nothing(np.float64), warped, trusted, 1.0)(image)
    assert (gradient[..., ~trusted] == 0).all()
    assert (gradient[..., trusted] != 0).all()
    image[..., ~trusted] = 1e9
    assert TemporalObjective(Nothing(np.float64), warped, trusted, 1.0)(image)[0] == loss


def test_it_adds_to_the_objective_whole_and_in_strips() -> None:
    task = task_of("vgg19", (67, 45))
    _, warped, weights = arrays(67, 45)
    graph = build_gradient_graph(
        task.network.encoder,
        task.network.content_layers,
        task.network.style_layers,
        size=task.size,
        lowered_for="portable",
        dtype=np.float64,
    )
    targets, numbers = (
        {name: np.asarray(value, np.float64) for name, value in values.items()}
        for values in (task.targets, task.weights)
    )
    whole = Objective(DoubleBackend().compile(graph), targets, numbers)  # type: ignore[arg-type]
    expected = weights * (task.image - warped) ** 2
    for plain in (whole, streamed_in_double(task, 24)):
        objective = TemporalObjective(plain, warped, weights, 0.01)
        for _ in range(2):  # nothing of a call is left for the next
            loss, gradient = objective(task.image.astype(np.float64))
            assert loss == pytest.approx(
                sum(task.losses.values()) + 0.01 * expected.mean(), rel=1e-10
            )
            own = 2 * 0.01 * weights * (task.image - warped) / warped.size
            scale = np.abs(task.gradient).max()
            np.testing.assert_allclose(gradient, task.gradient + own, rtol=0, atol=1e-9 * scale)
        assert objective.losses.keys() == {*task.losses, TEMPORAL_LOSS}
        assert sum(objective.losses.values()) == pytest.approx(loss, rel=1e-12)
