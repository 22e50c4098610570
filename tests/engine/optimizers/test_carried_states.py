"""What an optimizer takes along to the next scale of a coarse-to-fine run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from impasto.engine.optimizers import (
    Adam,
    BestSoFar,
    Lbfgs,
    Lbfgsb,
    Optimizer,
    OptimizerState,
    Step,
)
from impasto.engine.result import FloatArray
from impasto.errors import CheckpointError

SMALL, LARGE = 20, 40


def bowl(x: FloatArray) -> tuple[float, FloatArray]:
    away: FloatArray = x - np.linspace(40, 200, x.size, dtype=np.float32)
    return float(np.sum(away**2) / 2), away


def flat(x: FloatArray) -> tuple[float, FloatArray]:
    return 1.0, np.zeros_like(x)


def doubled(x: FloatArray) -> FloatArray:
    return np.repeat(x, LARGE // SMALL)


def last_state(optimizer: Optimizer, iterations: int = 6) -> OptimizerState:
    kept: list[OptimizerState] = []

    def keep(step: Step) -> None:
        state = step.state()
        arrays = {name: array.copy() for name, array in state.arrays.items()}
        kept.append(replace(state, arrays=arrays, pairs={}))

    search = BestSoFar(bowl, np.full(SMALL, 128, np.float32))
    optimizer.minimize(search, iterations=iterations, on_step=keep)
    return kept[-1]


def first_iterates(
    optimizer: Optimizer,
    resume: OptimizerState,
    iterations: int = 3,
    function: Callable[[FloatArray], tuple[float, FloatArray]] = bowl,
) -> list[FloatArray]:
    found: list[FloatArray] = []
    search = BestSoFar(function, np.full(LARGE, 7, np.float32))
    optimizer.minimize(
        search,
        iterations=iterations,
        on_step=lambda step: found.append(step.x.copy()),
        resume=resume,
    )
    return found


@pytest.mark.parametrize("optimizer", [Lbfgs(3), Lbfgsb(3)], ids=["lbfgs-numpy", "lbfgs"])
def test_curvature_is_not_carried_to_another_grid(optimizer: Optimizer) -> None:
    assert optimizer.carried(last_state(optimizer), doubled) is None


def test_a_carried_run_begins_with_the_first_iteration_at_the_resized_iterate() -> None:
    state = last_state(Adam())
    carried = Adam().carried(state, doubled)
    assert carried is not None
    assert carried.numbers["iteration"] == 0
    assert carried.numbers["age"] == state.numbers["age"] == 6
    found = first_iterates(Adam(), carried, 3)
    assert len(found) == 3
    np.testing.assert_array_equal(found[0], doubled(state.arrays["x"]))


def test_the_first_step_goes_along_the_carried_mean() -> None:
    adam = Adam(learning_rate=1.0)
    carried = adam.carried(last_state(adam), doubled)
    assert carried is not None
    mean, square = carried.arrays["mean"], carried.arrays["square"]
    first, second = first_iterates(adam, carried, 2)
    gradient = bowl(first)[1]
    mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
    length = np.sqrt(1 - 0.999**7) / (1 - 0.9**7)
    np.testing.assert_allclose(
        first - second, length * mean / (np.sqrt(square) + 1e-8), rtol=1e-3, atol=1e-4
    )


def test_recoveries_are_forgotten_and_nothing_is_shared() -> None:
    state = last_state(Adam())
    worn = replace(
        state, numbers={**state.numbers, "recovery.left": 1, "recovery.step_scale": 0.25}
    )
    carried = Adam().carried(worn, lambda x: x.copy())
    assert carried is not None
    assert carried.numbers["recovery.step_scale"] == 1.0
    for name, array in carried.arrays.items():
        assert not np.shares_memory(array, state.arrays[name])


def test_resampling_that_undershoots_gives_no_boundless_step() -> None:
    adam = Adam(learning_rate=1.0)
    state = last_state(adam)

    def overshooting(x: FloatArray) -> FloatArray:
        large = doubled(x)
        large[::5] = -0.1 * np.abs(large[::5]).max()
        return large

    carried = adam.carried(state, overshooting)
    assert carried is not None
    assert carried.arrays["square"].min() >= 0
    assert carried.arrays["x"].min() >= 0
    # Where the new gradient is small, too, only the carried squares bound the step.
    first, second = first_iterates(adam, carried, 2, flat)
    # The most Adam moves by at all: (1 − β₁) / √((1 − β₂) (1 − β₁² / β₂)), and the age's share.
    assert np.abs(second - first).max() < 7.3


def test_moments_beyond_float32_are_forgotten() -> None:
    state = last_state(Adam())
    arrays = {**state.arrays, "square": np.full(SMALL, np.inf, np.float32)}

    def filtered(x: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            return doubled(x) - np.float32(0.1) * doubled(x)

    carried = Adam().carried(replace(state, arrays=arrays), filtered)
    assert carried is not None
    assert carried.numbers["age"] == 0
    assert not carried.arrays["mean"].any()
    assert not carried.arrays["square"].any()
    assert np.isfinite(first_iterates(Adam(), carried)[-1]).all()


def test_a_state_of_another_optimizer_is_not_carried() -> None:
    with pytest.raises(CheckpointError, match="lbfgs-numpy"):
        Adam().carried(last_state(Lbfgs(3)), doubled)
    with pytest.raises(CheckpointError, match="'x'"):
        Adam().carried(OptimizerState(), doubled)
