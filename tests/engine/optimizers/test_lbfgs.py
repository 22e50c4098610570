"""L-BFGS without a line search against an independent float64 version, and its restarts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast, get_args

import numpy as np
import numpy.typing as npt
import pytest

from impasto.engine.optimizers import BestSoFar, Lbfgs, Step
from impasto.engine.optimizers.lbfgs import EXPLOSION, FirstStep
from impasto.engine.result import FloatArray, Status

Float64Array = npt.NDArray[np.float64]
Function = Callable[[FloatArray], tuple[float, FloatArray]]


def valley(x: FloatArray) -> tuple[float, FloatArray]:
    """A bowl with a quartic part, so that the curvature changes along the way."""
    stiffness = np.geomspace(1, 300, x.size).astype(x.dtype)
    away = x - np.linspace(-2, 2, x.size).astype(x.dtype)
    value = np.sum(stiffness * away**2) / 2 + np.sum(away**4) / 4
    return float(value), stiffness * away + away**3


def hills(x: FloatArray) -> tuple[float, FloatArray]:
    """A function with hills, across which y·s is negative."""
    value = np.sum(x**4 / 4 - 2 * x**2 + np.cos(3 * x))
    return float(value), x**3 - 4 * x - 3 * np.sin(3 * x)


def textbook(
    function: Function, x: Float64Array, evaluations: int, history: int, rate: float
) -> tuple[list[Float64Array], list[bool]]:
    """Return the iterates of torch/optim's lbfgs by definition, and which pairs were kept.

    The inverse Hessian is a matrix, rebuilt at every step with the BFGS update (Nocedal and Wright
    2006, equation 6.17), which the two-loop recursion must equal.
    """

    def gradient(x: Float64Array) -> Float64Array:
        # The types say float32; the computation follows the type of its argument.
        return cast(Float64Array, function(cast(FloatArray, x))[1])

    iterates, kept = [x], []
    pairs: list[tuple[Float64Array, Float64Array]] = []
    one = np.eye(x.size)
    g = gradient(x)
    for k in range(evaluations - 1):
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
        change = gradient(iterates[-1]) - g
        g = g + change
        kept.append(bool(change @ step > 1e-10))
        if kept[-1]:
            pairs = [*pairs, (step, change)][-history:]
    return iterates, kept


def iterates_of(
    optimizer: Lbfgs, function: Function, x0: FloatArray | Float64Array, iterations: int
) -> list[FloatArray]:
    found: list[FloatArray] = []
    search = BestSoFar(function, cast(FloatArray, x0))
    optimizer.minimize(search, iterations=iterations, on_step=lambda s: found.append(s.x.copy()))
    return found


@pytest.mark.parametrize("history", [3, 8, 100])
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_iterates_are_those_of_the_definition(history: int, rate: float) -> None:
    x0 = np.random.default_rng(3).normal(0, 3, 25)
    expected, _ = textbook(valley, x0, 50, history, rate)
    # In float64, so that 50 steps without a line search agree to many digits.
    found = iterates_of(Lbfgs(history, rate), valley, x0, 50)
    assert len(found) == len(expected) == 50
    for k, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=f"iterate {k}")


def test_float32_follows_float64() -> None:
    x0 = np.random.default_rng(3).normal(0, 3, 25)
    expected, _ = textbook(valley, x0, 12, 8, 1.0)
    found = iterates_of(Lbfgs(8), valley, x0.astype(np.float32), 12)
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(found[-1], expected[-1], rtol=0.02, atol=0.02)


def test_a_refused_pair_costs_no_old_one() -> None:
    x0 = np.random.default_rng(3).normal(0, 1.5, 12)
    expected, kept = textbook(hills, x0, 14, history=2, rate=1.0)
    assert kept.index(False) > 2  # the history is full by then
    assert kept[-1]
    found = iterates_of(Lbfgs(2), hills, x0, 14)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


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
    first, second = iterates_of(Lbfgs(first_step="safe"), valley, x0, 2)
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
