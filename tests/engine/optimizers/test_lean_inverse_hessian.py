"""Steps that are in no memory are those that were made, and pairs are what an optimizer thinks."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine.optimizers import lean_inverse_hessian
from impasto.engine.optimizers.lean_inverse_hessian import LeanInverseHessian
from impasto.engine.optimizers.long_rows import COLUMNS
from impasto.engine.optimizers.room import Room
from impasto.engine.optimizers.team import Team

Doubles = npt.NDArray[np.float64]


def direction_of(gradient: Doubles, pairs: list[tuple[Any, Any]], times: float) -> Doubles:
    """Nocedal and Wright 2006, algorithm 7.4, from H₀ = times · (y·s / y·y) I."""
    q, alphas = gradient.copy(), []
    for s, y in reversed(pairs):
        alphas.append((s @ q) / (s @ y))
        q -= alphas[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= times * (s @ y) / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q += s * (alpha - (y @ q) / (s @ y))
    return -q


def remembered(model: LeanInverseHessian) -> list[int]:
    return [int(serial) for serial in str(model.numbers()["pairs"]).split()]


def descend(
    model: LeanInverseHessian,
    x: Any,
    gradient_at: Callable[[Any], Any],
    steps: int,
    length: float = 0.3,
    times: float = 1.0,
) -> list[list[int]]:
    """Go down, every direction being the oracle's; return which pairs were remembered each time."""
    pairs: list[tuple[Any, Any]] = []
    told: list[list[int]] = []
    gradient = gradient_at(x)
    for _ in range(steps):
        assert model.update(gradient)
        told.append(remembered(model))
        expected = direction_of(gradient, [pairs[serial] for serial in told[-1]], times)
        size = float(np.linalg.norm(expected))
        np.testing.assert_allclose(model.direction, expected, rtol=0, atol=1e-7 * size)
        for name, array in model.pairs().items():
            kind, serial = name.split(".")
            vector = pairs[int(serial)][kind == "change"]
            error = float(np.abs(array - vector).max())
            assert error <= 1e-9 * float(np.linalg.norm(vector)), name
        step = model.move(length).copy()
        x = x + step
        after = gradient_at(x)
        pairs.append((step, after - gradient))
        gradient = after
    return told


def quadratic(size: int, seed: int) -> tuple[Any, Callable[[Any], Any]]:
    rng = np.random.default_rng(seed)
    slopes = rng.uniform(0.5, 3, size)
    return rng.normal(size=size), lambda x: slopes * x


@settings(deadline=None, max_examples=40)
@given(
    pairs=st.integers(1, 13),
    size=st.sampled_from([20, 50, 2 * COLUMNS + 50]),
    threads=st.integers(1, 3),
    length=st.sampled_from([0.3, 1.0]),
    times=st.sampled_from([1.0, 2.0]),
    seed=st.integers(0, 99),
)
def test_directions_are_those_of_two_loops_over_the_pairs_remembered(
    pairs: int, size: int, threads: int, length: float, times: float, seed: int
) -> None:
    x, gradient_at = quadratic(size, seed)
    room = Room(pairs, 100)
    model = LeanInverseHessian(x, room, team=Team(threads), times=times)
    told = descend(model, x, gradient_at, 20, length, times)
    assert told[0] == []
    for made, (before, after) in enumerate(pairwise(told)):
        # At the bottom of the quadratic pairs are too short to be kept.
        grown = [*before, made] if made in after or length < 1 else before
        assert after in (grown[-pairs:], grown[-room.kept :])


def test_pairs_come_until_there_is_no_room_and_then_most_are_forgotten() -> None:
    room = Room(10, 100)
    assert (room.kept, room.rows) == (2, 13)
    x, gradient_at = quadratic(60, 4)
    model = LeanInverseHessian(x, room)
    counts = [len(pairs) for pairs in descend(model, x, gradient_at, 26)]
    # At first there are no steps that take room, but 10 pairs are the most.
    assert counts[:14] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 2, 3]
    assert counts[14:] == [4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7]


def test_a_run_that_ends_before_forgets_nothing() -> None:
    room = Room(30, 9)
    assert room.rows == 10
    x, gradient_at = quadratic(60, 4)
    counts = [len(pairs) for pairs in descend(LeanInverseHessian(x, room), x, gradient_at, 9)]
    assert counts == list(range(9))


def test_a_refused_pair_costs_no_old_one() -> None:
    """Steps before are made of the gradient as it was, and later ones of what it became."""
    x, own = quadratic(40, 5)
    calls = 0

    def gradient_at(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return 3 * own(x) if calls == 7 else own(x)

    told = descend(LeanInverseHessian(x, Room(8, 100)), x, gradient_at, 20)
    assert told[6] == told[5], "the pair of the seventh gradient is refused"
    assert told[8][:5] == told[5]
    assert 5 not in told[8]


def test_a_first_pair_that_is_refused_leaves_nothing() -> None:
    x, own = quadratic(40, 6)
    model = LeanInverseHessian(x, Room(8, 100))
    assert model.update(own(x))
    step = model.move(0.3).copy()
    assert model.update(own(x) - step), "the gradient turns against the step"
    assert model.is_empty
    assert not model.is_new
    np.testing.assert_array_equal(model.direction, step - own(x))


@pytest.mark.parametrize("pairs", [1, 2, 8, 30])
def test_a_gradient_that_leaps_costs_few_digits(pairs: int) -> None:
    """In float32. Steps from before would lose some as differences of vectors so much longer."""
    rng = np.random.default_rng(9)
    slopes: Any = rng.uniform(0.5, 3, 4000).astype(np.float32)
    x: Any = rng.normal(size=4000).astype(np.float32)
    model, gradient = LeanInverseHessian(x, Room(pairs, 40)), slopes * x
    made: list[tuple[Any, Any]] = []
    for number in range(24):
        assert model.update(gradient)
        exact = [(s.astype(np.float64), y.astype(np.float64)) for s, y in made]
        expected = direction_of(
            gradient.astype(np.float64), [exact[n] for n in remembered(model)], 1.0
        )
        error = float(np.linalg.norm(model.direction - expected))
        assert error < 2e-3 * float(np.linalg.norm(expected))
        # Far up at every sixth, and down again.
        step = model.move(0.01 if number % 6 == 5 else 0.3).copy()
        x = x + step
        after = slopes * x * np.float32(30 if number % 6 == 4 else 1)
        made.append((step, after - gradient))
        gradient = after


@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38])
def test_what_is_not_finite_leads_nowhere_and_can_be_forgotten(value: float) -> None:
    x = np.linspace(1, 2, 40, dtype=np.float32)
    model = LeanInverseHessian(x, Room(8, 100))
    for _ in range(3):
        assert model.update(x)
        x = x + model.move(0.3)
    assert not model.update(np.full(40, value, np.float32))
    model.forget()
    assert model.is_new
    assert model.update(x)
    np.testing.assert_array_equal(model.direction, -x)


@pytest.mark.parametrize("iterations", [1, 2, 20, 36, 37, 38, 61, 200, 1000])
def test_the_average_of_rows_is_that_of_a_run(
    iterations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lean_inverse_hessian, "GROWTH", math.inf)
    room = Room(30, iterations)
    gradient: Any = np.ones(2)
    model, used = LeanInverseHessian(gradient, room), []
    for _ in range(iterations):
        model.update(gradient)
        used.append(len(model.pairs()) + 1)
        # Any gradients will do whose pairs are sound.
        across, down = model.move(1.0)
        gradient = gradient + (across, down) + np.array([-down, across]) / np.hypot(across, down)
    assert room.average == pytest.approx(float(np.mean(used)), rel=0.1, abs=1)
