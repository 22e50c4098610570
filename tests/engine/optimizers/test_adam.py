"""Adam against its formula in float64, and the box."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from impasto.engine.optimizers import Adam, BestSoFar, Step
from impasto.engine.result import FloatArray

Float64Array = npt.NDArray[np.float64]

TARGET = np.linspace(-60, 320, 40)


def bowl(x: Float64Array) -> tuple[float, Float64Array]:
    away = x - TARGET
    return float(np.sum(away**4) / 4), away**3


def bowl32(x: FloatArray) -> tuple[float, FloatArray]:
    loss, gradient = bowl(x.astype(np.float64))
    return loss, gradient.astype(np.float32)


def formula(
    x: Float64Array, steps: int, clip: Callable[[Float64Array], Float64Array]
) -> Float64Array:
    """Adam of torch/optim, written down once more: learning rate 10, β 0.9 and 0.999, ε 1e-8."""
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t in range(1, steps + 1):
        g = bowl(x)[1]
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        size = 10 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        x = clip(x - size * m / (np.sqrt(v) + 1e-8))
    return x


def last_step(adam: Adam, iterations: int) -> FloatArray:
    last = np.empty(0, np.float32)

    def keep(step: Step) -> None:
        nonlocal last
        last = step.x.copy()

    search = BestSoFar(bowl32, np.full(40, 128, np.float32))
    adam.minimize(search, iterations=iterations, on_step=keep)
    return last


@pytest.mark.parametrize("iterations", [2, 3, 50])
def test_iterates_follow_the_formula(iterations: int) -> None:
    # The step of iteration k is reported after k evaluations and k - 1 updates.
    found = last_step(Adam(lower=-math.inf, upper=math.inf), iterations)
    expected = formula(np.full(40, 128.0), iterations - 1, lambda x: x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)
    assert expected.max() > 255 or iterations < 50


@pytest.mark.parametrize("iterations", [20, 50])
def test_iterates_stay_in_the_box(iterations: int) -> None:
    found = last_step(Adam(), iterations)
    expected = formula(np.full(40, 128.0), iterations - 1, lambda x: np.clip(x, 0, 255))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)
    assert found.min() == 0
    assert found.max() == 255


def test_a_huge_gradient_neither_warns_nor_breaks() -> None:
    def steep(x: FloatArray) -> tuple[float, FloatArray]:
        return float(np.sum(x.astype(np.float64))) * 1e25, np.full_like(x, 1e25)

    search = BestSoFar(steep, np.full(4, 128, np.float32))
    outcome = Adam().minimize(search, iterations=5, on_step=lambda _: None)
    assert np.isfinite(outcome.x).all()


def test_a_restart_begins_with_fresh_moments_and_a_quarter_of_the_rate() -> None:
    points: list[FloatArray] = []

    def flaky(x: FloatArray) -> tuple[float, FloatArray]:
        points.append(x.copy())
        loss, gradient = bowl32(x)
        return (math.nan if len(points) == 5 else loss), gradient

    search = BestSoFar(flaky, np.full(40, 128, np.float32))
    Adam().minimize(search, iterations=7, on_step=lambda _: None)
    # The 6th evaluation is at the best iterate again; Adam's first step is the rate everywhere.
    moved = np.abs(points[6] - points[5])
    np.testing.assert_allclose(moved, 2.5, rtol=1e-3)
