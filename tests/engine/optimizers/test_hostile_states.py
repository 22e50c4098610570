"""A saved state is untrusted: what is not one is refused, and what might be one does no harm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine.optimizers import (
    Adam,
    BestSoFar,
    Lbfgs,
    Lbfgsb,
    Optimizer,
    OptimizerState,
    Step,
)
from impasto.engine.optimizers.state import packed_reals
from impasto.engine.result import FloatArray
from impasto.errors import CheckpointError

SIZE = 12
ITERATIONS = 9
STOP = 6

CASES: dict[str, Optimizer] = {
    "lbfgs": Lbfgsb(3),
    "lbfgs-numpy": Lbfgs(3),
    # By then one step is written out, and one is factors.
    "spectral": Lbfgs(3, preconditioner="spectral"),
    "adam": Adam(),
}


def bowl(x: FloatArray) -> tuple[float, FloatArray]:
    stiffness = np.linspace(1, 30, x.size, dtype=np.float32).reshape(x.shape)
    away: FloatArray = x - np.float32(100)
    # Hostile iterates may be so far away that the loss is infinite.
    with np.errstate(over="ignore"):
        return float(np.sum(stiffness * away**2) / 2), stiffness * away


def search() -> BestSoFar:
    return BestSoFar(bowl, np.linspace(10, 200, SIZE, dtype=np.float32).reshape(1, 1, 3, 4))


def state_of(optimizer: Optimizer) -> OptimizerState:
    kept: list[OptimizerState] = []

    def keep(step: Step) -> None:
        if step.iteration == STOP:
            state = step.state()
            arrays = {name: array.copy() for name, array in state.arrays.items()}
            pairs = {name: array.copy() for name, array in state.pairs.items()}
            kept.append(OptimizerState(dict(state.numbers), arrays, pairs))

    optimizer.minimize(search(), iterations=ITERATIONS, on_step=keep)
    return kept[0]


STATES = {name: state_of(optimizer) for name, optimizer in CASES.items()}
GONE = object()


def changed(mapping: Mapping[str, Any], name: str, value: object) -> dict[str, Any]:
    return {k: v for k, v in {**mapping, name: value}.items() if v is not GONE}


def assert_refused(optimizer: str, state: OptimizerState, *words: str) -> None:
    fresh = search()
    with pytest.raises(CheckpointError) as caught:
        CASES[optimizer].minimize(
            fresh, iterations=ITERATIONS, on_step=lambda _: None, resume=state
        )
    assert fresh.evaluations == 0
    for word in words:
        assert word in str(caught.value)


NUMBERS = [(name, number) for name, state in STATES.items() for number in state.numbers]
WRONG_NUMBERS = [GONE, None, "7", [1], -5, -1.5, 10**400, 1e400, math.nan, -math.inf]
POSSIBLE = [("loss", -1.5), ("ceiling", GONE)]


@pytest.mark.parametrize(
    ("optimizer", "number", "value"),
    [
        (*one, value)
        for one in NUMBERS
        for value in WRONG_NUMBERS
        if (one[1], value) not in POSSIBLE
    ],
)
def test_wrong_numbers_are_refused_by_name(optimizer: str, number: str, value: object) -> None:
    state = STATES[optimizer]
    numbers = changed(state.numbers, number, value)
    assert_refused(optimizer, OptimizerState(numbers, state.arrays, state.pairs), number)


@pytest.mark.parametrize(
    ("optimizer", "number", "value"),
    [
        ("adam", "iteration", ITERATIONS + 1),
        ("adam", "age", True),
        ("lbfgs", "iteration", ITERATIONS + 1),
        ("lbfgs", "iteration", 0),
        ("lbfgs-numpy", "iteration", 0),
        ("lbfgs-numpy", "iteration", True),
        ("lbfgs-numpy", "iteration", float(STOP)),
        ("lbfgs-numpy", "pairs", 4),
        ("lbfgs-numpy", "pairs", 2),
        ("lbfgs-numpy", "next_pair", STOP),
        ("lbfgs-numpy", "next_pair", 2),
        ("lbfgs-numpy", "is_new", True),
        ("lbfgs-numpy", "restarted", True),
        ("lbfgs-numpy", "recovery.left", 6),
        ("lbfgs-numpy", "recovery.step_scale", 2.0),
        ("lbfgs-numpy", "recovery.step_scale", 1),
        ("lbfgs-numpy", "curvature.000004", 0.0),
        ("lbfgs-numpy", "curvature.000099", 1.0),
        ("lbfgs-numpy", "optimizer", "adam"),
        ("spectral", "next_pair", STOP),
        ("spectral", "next_pair", 4),
        ("spectral", "is_new", True),
        ("spectral", "restarted", True),
        ("spectral", "pairs", ""),
        ("spectral", "pairs", "4 3"),
        ("spectral", "pairs", "3 3"),
        ("spectral", "pairs", "3"),
        ("spectral", "pairs", "03 4"),
        ("spectral", "pairs", "3  4"),
        ("spectral", "pairs", "-3 4"),
        ("spectral", "pairs", "3 4 "),
        ("spectral", "pairs", "1 2 3 4"),
        ("spectral", "pairs", "9" * 5000),
        ("spectral", "changes", "4"),
        ("spectral", "changes", "0 1 2 3 4"),
        ("spectral", "changes", "3 5"),
        ("spectral", "steps", ""),
        ("spectral", "steps", "2"),
        ("spectral", "with_gradient", packed_reals([1.0, 2.0, 3.0])),
        ("spectral", "with_gradient", packed_reals([1.0, 2.0, 3.0, math.nan])),
        ("spectral", "with_gradient", packed_reals([1.0, 2.0, 3.0, -1.0])),
        ("spectral", "with_gradient", "1.0 2.0 3.0 4.0"),
        ("spectral", "with_gradient", packed_reals([1.0, 2.0, 3.0, 4.0])[:-1] + "é"),
        ("spectral", "with_gradient", packed_reals([1.0, 2.0, 3.0, 4.0])[:-1] + " "),
        ("spectral", "with_gradient", "*" + packed_reals([1.0, 2.0, 3.0, 4.0])[1:]),
        ("spectral", "with_gradient", "=" * len(packed_reals([1.0, 2.0, 3.0, 4.0]))),
        ("spectral", "factors.000004", packed_reals([1.0, 2.0])),
        ("spectral", "factors.000003", packed_reals([1.0, 2.0, 3.0])),
        ("spectral", "products.000003", packed_reals([0.0, 1.0])),
        ("spectral", "products.000003", packed_reals([1.0, -1.0])),
    ],
)
def test_numbers_that_contradict_the_run_are_refused(
    optimizer: str, number: str, value: float
) -> None:
    state = STATES[optimizer]
    numbers = changed(state.numbers, number, value)
    assert_refused(optimizer, OptimizerState(numbers, state.arrays, state.pairs))


ARRAYS = [
    (optimizer, kind, name)
    for optimizer, state in STATES.items()
    for kind in ("arrays", "pairs")
    for name in getattr(state, kind)
]
WRONG_ARRAYS: dict[str, object] = {
    "gone": GONE,
    "a list": [0.0] * SIZE,
    "double": np.zeros(SIZE),
    "other byte order": np.zeros(SIZE, ">f4"),
    "objects": np.zeros(SIZE, object),
    "shaped": np.zeros((1, SIZE), np.float32),
    "short": np.zeros(SIZE - 1, np.float32),
    "long": np.zeros(SIZE + 1, np.float32),
    "empty": np.zeros(0, np.float32),
    "not a number": np.full(SIZE, np.nan, np.float32),
    "minus infinity": np.full(SIZE, -np.inf, np.float32),
}


@pytest.mark.parametrize("value", WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
@pytest.mark.parametrize(("optimizer", "kind", "name"), ARRAYS)
def test_wrong_arrays_are_refused_by_name(
    optimizer: str, kind: str, name: str, value: object
) -> None:
    state = STATES[optimizer]
    parts = {"arrays": state.arrays, "pairs": state.pairs}
    parts[kind] = changed(parts[kind], name, value)
    assert_refused(optimizer, OptimizerState(state.numbers, **parts), name)


@pytest.mark.parametrize("kind", ["numbers", "arrays", "pairs"])
@pytest.mark.parametrize("optimizer", CASES)
def test_unknown_names_are_refused(optimizer: str, kind: str) -> None:
    state = STATES[optimizer]
    parts: dict[str, Any] = {k: getattr(state, k) for k in ("numbers", "arrays", "pairs")}
    parts[kind] = {**parts[kind], "surplus": np.zeros(SIZE, np.float32)}
    assert_refused(optimizer, OptimizerState(**parts), "surplus")


@pytest.mark.parametrize("optimizer", CASES)
def test_an_empty_state_is_refused(optimizer: str) -> None:
    assert_refused(optimizer, OptimizerState(), "optimizer")


def test_a_state_of_another_optimizer_is_told_from_a_damaged_one() -> None:
    assert_refused("adam", STATES["lbfgs-numpy"], "'lbfgs-numpy'", "'adam'")


def test_a_negative_mean_of_squares_is_refused() -> None:
    state = STATES["adam"]
    arrays = {**state.arrays, "square": np.full(SIZE, -1e-30, np.float32)}
    assert_refused("adam", OptimizerState(state.numbers, arrays), "square")


@pytest.mark.parametrize("optimizer", ["lbfgs-numpy", "spectral"])
def test_pairs_that_lead_uphill_are_refused(optimizer: str) -> None:
    state = STATES[optimizer]
    arrays = {name: np.zeros(SIZE, np.float32) for name in state.arrays}
    pairs = {name: np.zeros(SIZE, np.float32) for name in state.pairs}
    assert_refused(optimizer, OptimizerState(state.numbers, arrays, pairs), "leads downhill")


def test_a_gradient_of_the_rest_has_as_many_entries_as_the_rest() -> None:
    optimizer = Lbfgs(3, preconditioner="spectral")
    kept: list[OptimizerState] = []

    def small() -> BestSoFar:
        return BestSoFar(bowl, np.linspace(10, 200, 108, dtype=np.float32).reshape(1, 3, 6, 6))

    optimizer.minimize(small(), iterations=4, on_step=lambda step: kept.append(step.state()))
    state = kept[-1]
    leading, rest = state.arrays["gradient"].size, state.arrays["rest.gradient"].size
    assert (leading, leading + rest) == (54, 108)
    for name, size in (("gradient", 108), ("rest.gradient", leading + 1)):
        arrays = {**state.arrays, name: np.zeros(size, np.float32)}
        with pytest.raises(CheckpointError, match=f"'{name}'"):
            optimizer.minimize(
                small(),
                iterations=6,
                on_step=lambda _: None,
                resume=OptimizerState(state.numbers, arrays, state.pairs),
            )


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    optimizer=st.sampled_from(["lbfgs-numpy", "spectral", "adam"]),
    number=st.sampled_from(sorted({number for _, number in NUMBERS})),
    value=st.one_of(st.integers(), st.floats(), st.booleans()),
    array=st.sampled_from(sorted({name for _, _, name in ARRAYS})),
    entries=st.floats(width=32),
)
def test_damage_is_refused_or_survived(
    optimizer: str, number: str, value: float, array: str, entries: float
) -> None:
    state = STATES[optimizer]
    numbers = {**state.numbers, **({number: value} if number in state.numbers else {})}
    damaged = {array: np.full(SIZE, entries, np.float32)}
    arrays = {**state.arrays, **(damaged if array in state.arrays else {})}
    pairs = {**state.pairs, **(damaged if array in state.pairs else {})}
    try:
        outcome = CASES[optimizer].minimize(
            search(),
            iterations=ITERATIONS,
            on_step=lambda _: None,
            resume=OptimizerState(numbers, arrays, pairs),
        )
    except CheckpointError:
        return
    assert outcome.iterations <= ITERATIONS
    assert np.isfinite(outcome.x).all()
