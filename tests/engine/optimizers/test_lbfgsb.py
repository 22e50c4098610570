"""SciPy's L-BFGS-B behind the protocol: counts, tolerances, stalls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import OptimizeResult, minimize

from impasto.engine.optimizers import BestSoFar, Lbfgsb, Step
from impasto.engine.result import FloatArray, Status

Function = Callable[[FloatArray], tuple[float, FloatArray]]


def valley(x: FloatArray) -> tuple[float, FloatArray]:
    """A quartic: its gradient vanishes with the third power, so tolerances stop early on it."""
    stiffness = np.geomspace(1, 300, x.size).astype(np.float32)
    return float(np.sum(stiffness * x**4) / 4), stiffness * x**3


def by_scipy_alone(function: Function, **options: float) -> OptimizeResult:
    def function64(x: Any) -> Any:
        loss, gradient = function(x.astype(np.float32))
        return loss, gradient.astype(np.float64)

    known: Any = options
    return minimize(function64, np.full(20, 3.0), jac=True, method="L-BFGS-B", options=known)


def test_iterates_are_scipys_own() -> None:
    expected = by_scipy_alone(valley, maxcor=6, maxiter=25, ftol=0, gtol=0)
    search = BestSoFar(valley, np.full(20, 3, np.float32))
    outcome = Lbfgsb(history=6).minimize(search, iterations=25, on_step=lambda _: None)
    np.testing.assert_array_equal(outcome.x, expected.x.astype(np.float32))
    assert outcome.iterations == expected.nit == 25
    assert outcome.evaluations == expected.nfev


def test_every_evaluation_is_made_and_counted_once() -> None:
    points: list[bytes] = []

    def counted(x: FloatArray) -> tuple[float, FloatArray]:
        points.append(x.tobytes())
        return valley(x)

    steps: list[Step] = []
    search = BestSoFar(counted, np.full(20, 3, np.float32))
    outcome = Lbfgsb().minimize(search, iterations=15, on_step=steps.append)
    assert outcome.evaluations == len(points) == len(set(points)) == steps[-1].evaluations
    assert len(points) > 15


def raised(x: FloatArray) -> tuple[float, FloatArray]:
    loss, gradient = valley(x)
    return loss + 1e6, gradient


@pytest.mark.parametrize("function", [valley, raised])
def test_neither_a_small_gradient_nor_a_small_reduction_ends_the_run(function: Function) -> None:
    stopped = by_scipy_alone(function, maxcor=20, maxiter=60)  # with SciPy's own ftol and gtol
    further = stopped.nit + 3
    expected = by_scipy_alone(function, maxcor=20, maxiter=further, ftol=0, gtol=0)
    search = BestSoFar(function, np.full(20, 3, np.float32))
    outcome = Lbfgsb(history=20).minimize(search, iterations=further, on_step=lambda _: None)
    assert (outcome.loss, outcome.evaluations) == (expected.fun, expected.nfev)
    assert outcome.loss < stopped.fun


def test_losses_never_rise() -> None:
    losses: list[float] = []
    search = BestSoFar(valley, np.full(20, 3, np.float32))
    Lbfgsb().minimize(search, iterations=30, on_step=lambda s: losses.append(s.loss))
    assert losses == sorted(losses, reverse=True)


def test_a_gradient_that_points_the_wrong_way_stalls_with_scipys_reason() -> None:
    def lying(x: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = valley(x)
        return loss, -gradient

    search = BestSoFar(lying, np.full(20, 3, np.float32))
    outcome = Lbfgsb().minimize(search, iterations=30, on_step=lambda _: None)
    assert outcome.status is Status.STALLED
    assert "ABNORMAL" in outcome.reason
    assert outcome.evaluations <= 3 * 25


def test_a_stalled_line_search_is_restarted_and_goes_on() -> None:
    calls = 0

    def lying_for_a_while(x: FloatArray) -> tuple[float, FloatArray]:
        nonlocal calls
        calls += 1
        loss, gradient = valley(x)
        return loss, -gradient if 1 < calls <= 22 else gradient

    search = BestSoFar(lying_for_a_while, np.full(20, 3, np.float32))
    outcome = Lbfgsb().minimize(search, iterations=200, on_step=lambda _: None)
    assert outcome.loss < 1e-3
