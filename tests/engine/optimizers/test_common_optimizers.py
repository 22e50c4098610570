"""What every optimizer has to do: one row of OPTIMIZERS is all that a new one adds here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from impasto.engine.optimizers import (
    OPTIMIZERS,
    Adam,
    BestSoFar,
    Lbfgs,
    Lbfgsb,
    Optimizer,
    Outcome,
    Step,
    make_optimizer,
)
from impasto.engine.options import OptimizerName, Options
from impasto.engine.presets import preset_options
from impasto.engine.result import FloatArray, Status
from impasto.errors import OptionError, UnknownNameError

Function = Callable[[FloatArray], tuple[float, FloatArray]]

CASES: dict[str, Optimizer] = {
    "lbfgs": Lbfgsb(history=10),
    "lbfgs-numpy": Lbfgs(history=10),
    "lbfgs-numpy, safe": Lbfgs(history=10, first_step="safe"),
    "adam": Adam(learning_rate=2.0),
}
optimizers = pytest.mark.parametrize("optimizer", CASES.values(), ids=CASES)


def test_the_cases_cover_the_table() -> None:
    assert set(OPTIMIZERS) <= set(CASES)


def quadratic(x: FloatArray) -> tuple[float, FloatArray]:
    """½ Σ kᵢ (xᵢ − 100)² with k from 1 to 30: a bowl inside the box of colours."""
    stiffness: FloatArray = np.linspace(1, 30, x.size, dtype=np.float32).reshape(x.shape)
    away: FloatArray = x - np.float32(100)
    return float(np.sum(stiffness * away**2) / 2), stiffness * away


def rosenbrock(x: FloatArray) -> tuple[float, FloatArray]:
    """Rosenbrock's valley in grey levels: its minimum, 0, is at 100 everywhere."""
    unit = np.float32(100)
    z: FloatArray = x / unit
    a, b = z[:-1], z[1:]
    gradient: FloatArray = np.zeros_like(z)
    gradient[:-1] = -400 * a * (b - a * a) - 2 * (1 - a)
    gradient[1:] += 200 * (b - a * a)
    return float(np.sum(100 * (b - a * a) ** 2 + (1 - a) ** 2)), gradient / unit


def ignore(_step: Step) -> None:
    return None


def run(
    optimizer: Optimizer,
    function: Function,
    x0: FloatArray,
    iterations: int,
    on_step: Callable[[Step], bool | None] = ignore,
) -> Outcome:
    return optimizer.minimize(BestSoFar(function, x0), iterations=iterations, on_step=on_step)


def start(n: int = 30) -> FloatArray:
    return np.random.default_rng(7).uniform(10, 200, n).astype(np.float32)


@optimizers
def test_a_quadratic_is_minimised(optimizer: Optimizer) -> None:
    x0 = start()
    outcome = run(optimizer, quadratic, x0, iterations=400)
    assert outcome.loss < 1e-4 * quadratic(x0)[0]
    assert np.abs(outcome.x - 100).max() < 1.5


@optimizers
def test_rosenbrocks_valley_is_followed(optimizer: Optimizer) -> None:
    x0 = start(2)
    outcome = run(optimizer, rosenbrock, x0, iterations=1500)
    assert outcome.loss < 1e-3


@optimizers
def test_the_outcome_is_the_best_of_all_evaluations(optimizer: Optimizer) -> None:
    losses: list[float] = []

    def recorded(x: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = rosenbrock(x)
        losses.append(loss)
        return loss, gradient

    outcome = run(optimizer, recorded, start(10), iterations=40)
    assert outcome.loss == min(losses)
    assert outcome.loss == rosenbrock(outcome.x)[0]
    assert outcome.evaluations == len(losses)


@optimizers
def test_steps_are_numbered_and_tell_the_loss_at_their_x(optimizer: Optimizer) -> None:
    steps: list[Step] = []

    def check(step: Step) -> None:
        steps.append(step)
        assert step.x.shape == (1, 3, 2, 5)
        assert step.loss == pytest.approx(quadratic(step.x)[0], rel=1e-5)
        with pytest.raises(ValueError, match="read-only"):
            step.x[...] = 0

    outcome = run(optimizer, quadratic, start().reshape(1, 3, 2, 5), 12, check)
    assert [step.iteration for step in steps] == list(range(1, 13))
    assert outcome.iterations == 12
    assert outcome.status is Status.FINISHED
    assert outcome.x.shape == (1, 3, 2, 5)
    assert outcome.x.dtype == np.float32
    assert steps[-1].evaluations == outcome.evaluations


@optimizers
def test_the_objective_may_reuse_its_gradient_array(optimizer: Optimizer) -> None:
    buffer = np.empty(30, np.float32)

    def reusing(x: FloatArray) -> tuple[float, FloatArray]:
        buffer.fill(np.nan)
        loss, gradient = quadratic(x)
        buffer[...] = gradient
        return loss, buffer

    kept = run(optimizer, quadratic, start(), iterations=25)
    reused = run(optimizer, reusing, start(), iterations=25)
    np.testing.assert_array_equal(kept.x, reused.x)
    assert kept.evaluations == reused.evaluations


@optimizers
def test_the_first_iterate_is_not_changed(optimizer: Optimizer) -> None:
    x0 = start()
    before = x0.copy()
    run(optimizer, quadratic, x0, iterations=5)
    np.testing.assert_array_equal(x0, before)


@optimizers
def test_a_step_can_call_the_run_off(optimizer: Optimizer) -> None:
    outcome = run(optimizer, quadratic, start(), 50, lambda step: step.iteration < 4)
    assert outcome.status is Status.CANCELLED
    assert outcome.iterations == 4


@optimizers
@pytest.mark.parametrize("interrupted_at", [1, 2, 9])
def test_ctrl_c_inside_an_evaluation_leaves_the_best_iterate(
    optimizer: Optimizer, interrupted_at: int
) -> None:
    seen: list[tuple[float, FloatArray]] = []

    def interrupted(x: FloatArray) -> tuple[float, FloatArray]:
        if len(seen) + 1 == interrupted_at:
            raise KeyboardInterrupt
        loss, gradient = quadratic(x)
        seen.append((loss, x.copy()))
        return loss, gradient

    search = BestSoFar(interrupted, start())
    with pytest.raises(KeyboardInterrupt):
        optimizer.minimize(search, iterations=50, on_step=ignore)
    best = min(seen, key=lambda pair: pair[0])[1] if seen else start()
    np.testing.assert_array_equal(search.x, best)


@optimizers
def test_ctrl_c_inside_a_callback_leaves_the_best_iterate(optimizer: Optimizer) -> None:
    def interrupt(step: Step) -> None:
        if step.iteration == 3:
            raise KeyboardInterrupt

    search = BestSoFar(quadratic, start())
    with pytest.raises(KeyboardInterrupt):
        optimizer.minimize(search, iterations=50, on_step=interrupt)
    assert search.loss == quadratic(search.x)[0]


@optimizers
def test_a_zero_gradient_at_the_start_stops_at_once(optimizer: Optimizer) -> None:
    def flat(x: FloatArray) -> tuple[float, FloatArray]:
        return 0.0, np.zeros_like(x)

    outcome = run(optimizer, flat, start(), iterations=50)
    assert outcome.status is Status.STALLED
    assert outcome.evaluations <= 2
    assert outcome.reason
    np.testing.assert_array_equal(outcome.x, start())


@optimizers
def test_numbers_that_are_not_finite_from_the_start_end_as_diverged(optimizer: Optimizer) -> None:
    def hopeless(x: FloatArray) -> tuple[float, FloatArray]:
        return math.nan, np.full_like(x, np.nan)

    outcome = run(optimizer, hopeless, start(), iterations=50)
    assert outcome.status is Status.DIVERGED
    assert outcome.loss == math.inf
    np.testing.assert_array_equal(outcome.x, start())


@optimizers
@pytest.mark.parametrize("broken", ["loss", "gradient", "infinite loss"])
def test_one_evaluation_that_is_not_finite_is_survived(optimizer: Optimizer, broken: str) -> None:
    calls = 0

    def flaky(x: FloatArray) -> tuple[float, FloatArray]:
        nonlocal calls
        calls += 1
        loss, gradient = quadratic(x)
        if calls == 6:
            if broken == "gradient":
                gradient[3] = np.nan
            else:
                loss = math.nan if broken == "loss" else math.inf
        return loss, gradient

    outcome = run(optimizer, flaky, start(), iterations=400)
    assert outcome.status in (Status.FINISHED, Status.STALLED)
    assert outcome.loss < 1e-3 * quadratic(start())[0]


@optimizers
def test_a_recovery_does_not_add_iterations(optimizer: Optimizer) -> None:
    calls = 0

    def flaky(x: FloatArray) -> tuple[float, FloatArray]:
        nonlocal calls
        calls += 1
        loss, gradient = quadratic(x)
        return (math.nan if calls == 6 else loss), gradient

    numbers: list[int] = []
    outcome = run(optimizer, flaky, start(), 10, lambda step: numbers.append(step.iteration))
    assert numbers == list(range(1, 11))
    assert outcome.iterations == 10


@optimizers
def test_a_function_that_breaks_for_good_ends_as_diverged_with_the_best(
    optimizer: Optimizer,
) -> None:
    calls = 0

    def breaking(x: FloatArray) -> tuple[float, FloatArray]:
        nonlocal calls
        calls += 1
        loss, gradient = quadratic(x)
        return (loss, gradient) if calls <= 5 else (math.nan, gradient)

    outcome = run(optimizer, breaking, start(), iterations=400)
    assert outcome.status is Status.DIVERGED
    assert outcome.reason
    assert outcome.evaluations <= 5 + 6
    assert outcome.loss == quadratic(outcome.x)[0] <= quadratic(start())[0]


@optimizers
def test_steps_report_finite_losses_only(optimizer: Optimizer) -> None:
    calls = 0

    def flaky(x: FloatArray) -> tuple[float, FloatArray]:
        nonlocal calls
        calls += 1
        loss, gradient = quadratic(x)
        return (math.nan if calls % 7 == 0 else loss), gradient

    steps: list[float] = []
    run(optimizer, flaky, start(), 30, lambda step: steps.append(step.loss))
    assert steps
    assert all(math.isfinite(loss) for loss in steps)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_an_evaluation_with_a_broken_gradient_is_never_the_best(broken: float) -> None:
    def half_broken(x: FloatArray) -> tuple[float, FloatArray]:
        gradient = np.zeros_like(x)
        gradient[..., -1] = broken
        return 1.0, gradient

    search = BestSoFar(half_broken, start())
    assert search.evaluate(start())[0] == math.inf
    assert search.loss == math.inf


def test_what_belongs_to_the_best_evaluation_can_be_kept() -> None:
    loss_now = math.nan
    kept: list[float] = []

    def tracked(x: FloatArray) -> tuple[float, FloatArray]:
        nonlocal loss_now
        loss_now, gradient = quadratic(x)
        return loss_now, gradient

    search = BestSoFar(tracked, start(), on_improvement=lambda: kept.append(loss_now))
    Lbfgs().minimize(search, iterations=20, on_step=ignore)
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] == search.loss


def test_options_make_optimizers() -> None:
    def made(name: OptimizerName, learning_rate: float = 0.0) -> Optimizer:
        return make_optimizer(Options(optimizer=name, history=7, learning_rate=learning_rate))

    assert made("lbfgs") == Lbfgsb(history=7)
    assert made("lbfgs-numpy") == Lbfgs(7, 1.0, "safe", preconditioner="spectral")
    assert made("lbfgs-numpy", 0.5) == Lbfgs(7, 0.5, "safe", preconditioner="spectral")
    assert made("adam") == Adam(10.0)
    assert made("adam", 3.0) == Adam(3.0)
    reference = make_optimizer(preset_options("neural-style", {}))
    assert reference == Lbfgs(100, 1.0, "reference")


def test_every_choice_of_the_option_is_an_optimizer() -> None:
    assert set(OPTIMIZERS) == set(get_args(OptimizerName))
    with pytest.raises(UnknownNameError, match="lbfgs-numpy"):
        Options(optimizer="sgd")  # type: ignore[arg-type]


def test_a_learning_rate_for_a_line_search_is_refused() -> None:
    with pytest.raises(OptionError, match="line search"):
        make_optimizer(Options(optimizer="lbfgs", learning_rate=1.0))
