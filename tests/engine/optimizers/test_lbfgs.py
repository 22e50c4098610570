"""L-BFGS without a line search against an independent float64 version, and its restarts."""

from __future__ import annotations

import math
from typing import cast, get_args

import numpy as np
import numpy.typing as npt
import pytest

from impasto.engine.optimizers import BestSoFar, Lbfgs, Step
from impasto.engine.optimizers.lbfgs import EXPLOSION, FirstStep
from impasto.engine.result import FloatArray, Status

Float64Array = npt.NDArray[np.float64]


def valley(x: FloatArray) -> tuple[float, FloatArray]:
    """A bowl with a quartic part, so that the curvature changes along the way."""
    stiffness = np.geomspace(1, 300, x.size).astype(x.dtype)
    away = x - np.linspace(-2, 2, x.size).astype(x.dtype)
    value = np.sum(stiffness * away**2) / 2 + np.sum(away**4) / 4
    return float(value), stiffness * away + away**3


def gradient64(x: Float64Array) -> Float64Array:
    # The types say float32; the computation follows the type of its argument.
    return cast(Float64Array, valley(cast(FloatArray, x))[1])


def textbook(x: Float64Array, evaluations: int, history: int, rate: float) -> list[Float64Array]:
    """Iterates of torch/optim's lbfgs, by its definition: the inverse Hessian as a matrix.

    H is rebuilt from scratch with the BFGS update (Nocedal and Wright 2006, equation 6.17), which
    the two-loop recursion must equal.
    """
    iterates, gradients = [x], [gradient64(x)]
    pairs: list[tuple[Float64Array, Float64Array]] = []
    one = np.eye(x.size)
    for k in range(evaluations - 1):
        g = gradients[-1]
        inverse = one
        if pairs:
            s, y = pairs[-1]
            inverse = one * (s @ y) / (y @ y)
        for s, y in pairs:
            rho = 1 / (s @ y)
            left = one - rho * np.outer(s, y)
            inverse = left @ inverse @ left.T + rho * np.outer(s, s)
        t = rate * min(1.0, 1.0 / float(np.abs(g).sum())) if k == 0 else rate
        step = -t * (inverse @ g)
        iterates.append(iterates[-1] + step)
        gradients.append(gradient64(iterates[-1]))
        change = gradients[-1] - g
        if change @ step > 1e-10:
            pairs = [*pairs, (step, change)][-history:]
    return iterates


def iterates_of(
    optimizer: Lbfgs, x0: npt.NDArray[np.floating], iterations: int
) -> list[FloatArray]:
    found: list[FloatArray] = []
    search = BestSoFar(valley, cast(FloatArray, x0))
    optimizer.minimize(search, iterations=iterations, on_step=lambda s: found.append(s.x.copy()))
    return found


@pytest.mark.parametrize("history", [3, 8, 100])
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_iterates_are_those_of_the_definition(history: int, rate: float) -> None:
    x0 = np.random.default_rng(3).normal(0, 3, 25)
    expected = textbook(x0, 50, history, rate)
    # In float64, so that 50 steps without a line search agree to many digits.
    found = iterates_of(Lbfgs(history, rate), x0, 50)
    assert len(found) == len(expected) == 50
    for k, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=f"iterate {k}")


def test_float32_follows_float64() -> None:
    x0 = np.random.default_rng(3).normal(0, 3, 25)
    expected = textbook(x0, 12, 8, 1.0)
    found = iterates_of(Lbfgs(8), x0.astype(np.float32), 12)
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(found[-1], expected[-1], rtol=0.02, atol=0.02)


def test_a_refused_pair_costs_no_old_one() -> None:
    # Concave around 0 and convex outside: walking over the hill gives pairs with y·s < 0.
    def hill(x: FloatArray) -> tuple[float, FloatArray]:
        value = np.sum(x.astype(np.float64) ** 4 - 8 * x.astype(np.float64) ** 2)
        return float(value), 4 * x**3 - 16 * x

    search = BestSoFar(hill, np.linspace(0.1, 0.4, 6, dtype=np.float32))
    outcome = Lbfgs(2).minimize(search, iterations=80, on_step=lambda _: None)
    np.testing.assert_allclose(np.abs(outcome.x), 2, atol=1e-2)


def test_one_evaluation_an_iteration() -> None:
    search = BestSoFar(valley, np.full(25, 3, np.float32))
    steps: list[Step] = []
    outcome = Lbfgs().minimize(search, iterations=30, on_step=steps.append)
    assert [step.evaluations for step in steps] == list(range(1, 31))
    assert (outcome.iterations, outcome.evaluations) == (30, 30)


def test_an_explosion_restarts_from_the_best_iterate_with_shorter_steps() -> None:
    first = valley(np.full(25, 3, np.float32))[0]
    calls: list[FloatArray] = []

    def exploding(x: FloatArray) -> tuple[float, FloatArray]:
        calls.append(x.copy())
        loss, gradient = valley(x)
        return (2 * EXPLOSION * first if len(calls) == 5 else loss), gradient

    search = BestSoFar(exploding, np.full(25, 3, np.float32))
    steps: list[Step] = []
    best_before: list[FloatArray] = []

    def keep(step: Step) -> None:
        steps.append(step)
        if step.iteration == 4:
            best_before.append(search.x.copy())

    outcome = Lbfgs().minimize(search, iterations=60, on_step=keep)
    np.testing.assert_array_equal(calls[5], best_before[0])
    assert steps[4].loss < first
    # After the restart the first step is along −g again, a quarter as long as the first of all.
    assert np.abs(calls[6] - calls[5]).sum() == pytest.approx(0.25, rel=1e-3)
    assert outcome.status is Status.FINISHED
    assert outcome.loss < 1e-3 * first


def test_a_learning_rate_far_too_large_is_rescued() -> None:
    search = BestSoFar(valley, np.full(25, 3, np.float32))
    outcome = Lbfgs(learning_rate=40).minimize(search, iterations=300, on_step=lambda _: None)
    assert outcome.loss < valley(np.full(25, 3, np.float32))[0] / 2


@pytest.mark.parametrize("first_step", get_args(FirstStep))
@pytest.mark.parametrize("scale", [1e-36, 1e-20, 1e-6, 1.0, 1e12, 1e30])
def test_any_scale_of_the_loss_ends_in_a_status_without_warnings(
    scale: float, first_step: FirstStep
) -> None:
    def scaled(x: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = valley(x)
        return loss * scale, np.asarray(gradient * scale, np.float32)

    search = BestSoFar(scaled, np.full(25, 3, np.float32))
    optimizer = Lbfgs(first_step=first_step)
    outcome = optimizer.minimize(search, iterations=40, on_step=lambda _: None)
    assert math.isfinite(outcome.loss)
    assert np.isfinite(outcome.x).all()


def test_the_safe_first_step_goes_where_the_tangent_meets_three_quarters_of_the_loss() -> None:
    x0 = np.full(25, 3, np.float32)
    first, second = iterates_of(Lbfgs(first_step="safe"), x0, 2)
    loss, gradient = valley(x0)
    assert float(gradient @ (first - second)) == pytest.approx(loss / 4, rel=1e-3)


def test_the_safe_first_step_stays_within_the_range_of_colours() -> None:
    def plateau(x: FloatArray) -> tuple[float, FloatArray]:
        return 1e6, np.linspace(-0.01, 0.02, x.size, dtype=np.float32)

    points: list[FloatArray] = []
    search = BestSoFar(plateau, np.full(25, 100, np.float32))
    Lbfgs(first_step="safe").minimize(
        search, iterations=2, on_step=lambda step: points.append(step.x.copy())
    )
    assert np.abs(points[1] - points[0]).max() == pytest.approx(255, rel=1e-4)


def test_the_safe_first_step_does_without_a_positive_loss() -> None:
    def shifted(x: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = valley(x)
        return loss - 1e6, gradient

    search = BestSoFar(shifted, np.full(25, 3, np.float32))
    outcome = Lbfgs(first_step="safe").minimize(search, iterations=200, on_step=lambda _: None)
    assert outcome.loss < -1e6 + 50
