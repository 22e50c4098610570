"""A run that is stopped and resumed is the run that was not, bit for bit."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine.checkpoint import manifest
from impasto.engine.optimizers import (
    Adam,
    BestSoFar,
    Lbfgs,
    Lbfgsb,
    Optimizer,
    OptimizerState,
    Outcome,
    Step,
)
from impasto.engine.optimizers.lbfgs import FirstStep, Preconditioner
from impasto.engine.options import Options
from impasto.engine.result import FloatArray, Status
from impasto.errors import OptionError

SIZE = 37


@dataclass
class Hills:
    """A function with many valleys, in grey levels; some evaluations break down.

    Parameters
    ----------
    broken : mapping of int to float
        Loss by the number of the evaluation, counted from 1, that gives it instead of the true one.
    calls : int
        Evaluations before the first.
    """

    broken: dict[int, float] = field(default_factory=dict)
    calls: int = 0

    def __call__(self, x: FloatArray) -> tuple[float, FloatArray]:
        self.calls += 1
        unit = np.float32(64)
        with np.errstate(over="ignore", invalid="ignore"):  # of iterates that are far away
            z = x / unit - np.float32(2)
            value = np.sum(z**4 / 4 - 2 * z**2 + np.cos(5 * z)) + 6 * x.size
            gradient: FloatArray = (z**3 - 4 * z - 5 * np.sin(5 * z)) / unit
        return self.broken.get(self.calls, float(value)), gradient


@dataclass(frozen=True)
class Moment:
    """All there is to a run after one iteration, as a store would keep it."""

    step: tuple[int, int, float, bytes]
    state: OptimizerState
    best: FloatArray
    loss: float


def stored(state: OptimizerState) -> OptimizerState:
    """Return what comes back from strict JSON and from raw bytes."""
    numbers = json.loads(json.dumps(dict(state.numbers), allow_nan=False))

    def copied(arrays: Any) -> dict[str, FloatArray]:
        return {name: np.frombuffer(a.tobytes(), a.dtype) for name, a in arrays.items()}

    return OptimizerState(numbers, copied(state.arrays), copied(state.pairs))


def listened(
    optimizer: Optimizer, search: BestSoFar, iterations: int, resume: OptimizerState | None = None
) -> tuple[list[Moment], Outcome]:
    moments: list[Moment] = []

    def keep(step: Step) -> None:
        told = (step.iteration, step.evaluations, step.loss, step.x.tobytes())
        moments.append(Moment(told, stored(step.state()), search.x.copy(), search.loss))

    outcome = optimizer.minimize(search, iterations=iterations, on_step=keep, resume=resume)
    return moments, outcome


def resumed(
    optimizer: Optimizer, moment: Moment, broken: dict[int, float], iterations: int
) -> tuple[list[Moment], Outcome]:
    evaluations = moment.step[1]
    search = BestSoFar(
        Hills(broken, evaluations), moment.best, loss=moment.loss, evaluations=evaluations
    )
    return listened(optimizer, search, iterations, moment.state)


def assert_same_states(one: OptimizerState, other: OptimizerState) -> None:
    assert one.numbers == other.numbers
    for left, right in ((one.arrays, other.arrays), (one.pairs, other.pairs)):
        assert {k: v.tobytes() for k, v in left.items()} == {
            k: v.tobytes() for k, v in right.items()
        }


def assert_resumable_everywhere(
    optimizer: Optimizer, x0: FloatArray, broken: dict[int, float], iterations: int
) -> list[Moment]:
    search = BestSoFar(Hills(dict(broken)), x0)
    whole, outcome = listened(optimizer, search, iterations)
    for number, moment in enumerate(whole, 1):
        later, again = resumed(optimizer, moment, broken, iterations)
        assert [m.step for m in later] == [m.step for m in whole[number:]]
        for one, other in zip(later, whole[number:], strict=True):
            assert_same_states(one.state, other.state)
        assert (again.status, again.reason) == (outcome.status, outcome.reason)
        assert (again.loss, again.iterations) == (outcome.loss, outcome.iterations)
        assert again.evaluations == outcome.evaluations
        np.testing.assert_array_equal(again.x, outcome.x)
    return whole


def start(seed: int) -> FloatArray:
    return np.random.default_rng(seed).uniform(0, 255, (1, 1, 1, SIZE)).astype(np.float32)


LOSSES = st.sampled_from([math.nan, math.inf, 1e30])
"""What breaks an evaluation; the last is an explosion to L-BFGS."""
BROKEN = st.dictionaries(st.integers(2, 16), LOSSES, max_size=5)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    broken=BROKEN,
    history=st.integers(1, 20),
    rate=st.sampled_from([0.3, 1.0, 30.0]),
    safe=st.booleans(),
    preconditioner=st.sampled_from(["none", "spectral"]),
)
def test_lbfgs_goes_on_bit_equally_from_every_iteration(
    seed: int,
    broken: dict[int, float],
    history: int,
    rate: float,
    safe: bool,
    preconditioner: Preconditioner,
) -> None:
    first: FirstStep = "safe" if safe else "reference"
    optimizer = Lbfgs(history, rate, first, preconditioner=preconditioner)
    assert_resumable_everywhere(optimizer, start(seed), broken, 14)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seed=st.integers(0, 1000), broken=BROKEN, rate=st.sampled_from([1.0, 10.0, 200.0]))
def test_adam_goes_on_bit_equally_from_every_iteration(
    seed: int, broken: dict[int, float], rate: float
) -> None:
    assert_resumable_everywhere(Adam(rate), start(seed), broken, 14)


OPTIMIZERS = pytest.mark.parametrize(
    "optimizer",
    [
        Lbfgs(3),
        Lbfgs(3, first_step="safe"),
        Lbfgs(3, first_step="safe", preconditioner="spectral"),
        Adam(),
    ],
    ids=["lbfgs", "safe", "spectral", "adam"],
)


@OPTIMIZERS
@pytest.mark.parametrize("seed", range(3))
def test_recoveries_are_among_the_iterations_resumed_from(optimizer: Optimizer, seed: int) -> None:
    broken = {5: math.nan, 6: math.inf, 12: math.nan}
    whole = assert_resumable_everywhere(optimizer, start(seed), broken, 20)
    scales = [moment.state.numbers["recovery.step_scale"] for moment in whole]
    assert scales[3:6] == [1.0, 0.25, 0.25**2]
    assert scales[-1] == 0.25**3


@OPTIMIZERS
def test_giving_up_comes_after_as_many_restarts(optimizer: Optimizer) -> None:
    broken = dict.fromkeys(range(4, 40), math.nan)
    whole = assert_resumable_everywhere(optimizer, start(0), broken, 30)
    assert len(whole) == 3 + 5


@OPTIMIZERS
def test_nothing_is_evaluated_after_the_last_iteration(optimizer: Optimizer) -> None:
    whole, outcome = listened(optimizer, BestSoFar(Hills(), start(1)), 6)
    later, again = resumed(optimizer, whole[-1], {}, 6)
    assert later == []
    assert (again.status, again.evaluations) == (Status.FINISHED, outcome.evaluations)
    np.testing.assert_array_equal(again.x, outcome.x)


@pytest.mark.parametrize("preconditioner", ["none", "spectral"])
def test_a_pair_is_the_same_as_long_as_its_name_lasts(preconditioner: Preconditioner) -> None:
    search = BestSoFar(Hills({9: math.nan, 15: math.nan}), start(2))
    known: dict[str, bytes] = {}
    gone: set[str] = set()
    held: set[str] = set()

    def check(step: Step) -> None:
        pairs = step.state().pairs
        for name, array in pairs.items():
            assert name not in gone
            assert known.setdefault(name, array.tobytes()) == array.tobytes()
        gone.update(held - set(pairs))
        held.clear()
        held.update(pairs)

    optimizer = Lbfgs(4, preconditioner=preconditioner)
    optimizer.minimize(search, iterations=30, on_step=check)
    assert len(known) > 25
    assert gone


@pytest.mark.parametrize("optimizer", [Lbfgs(3), Adam(), Lbfgsb(3)], ids=lambda o: type(o).__name__)
def test_states_are_read_only_views(optimizer: Optimizer) -> None:
    def check(step: Step) -> None:
        state = step.state()
        np.testing.assert_array_equal(state.arrays["x"], step.x.reshape(-1))
        assert np.shares_memory(state.arrays["x"], step.x)
        assert state.numbers["iteration"] == step.iteration
        for array in (*state.arrays.values(), *state.pairs.values()):
            assert array.shape == (SIZE,)
            assert not array.flags.writeable

    optimizer.minimize(BestSoFar(Hills(), start(3)), iterations=8, on_step=check)


def ill_conditioned(x: FloatArray) -> tuple[float, FloatArray]:
    stiffness: FloatArray = np.geomspace(1, 1000, x.size).astype(np.float32).reshape(x.shape)
    away: FloatArray = x - np.float32(100)
    return float(np.sum(stiffness * away**2) / 2), stiffness * away


@pytest.mark.parametrize("stop", [1, 4, 19])
def test_scipy_goes_on_from_the_iterate_with_the_iterations_that_are_left(stop: int) -> None:
    optimizer = Lbfgsb(5)
    points: list[FloatArray] = []

    def recorded(x: FloatArray) -> tuple[float, FloatArray]:
        points.append(x.copy())
        return ill_conditioned(x)

    whole, _ = listened(optimizer, BestSoFar(ill_conditioned, start(4)), 20)
    moment = whole[stop - 1]
    search = BestSoFar(recorded, moment.best, loss=moment.loss, evaluations=moment.step[1])
    later, outcome = listened(optimizer, search, 20, moment.state)
    assert points[0].tobytes() == moment.step[3]
    assert [m.step[0] for m in later] == list(range(stop + 1, 21))
    assert outcome.evaluations == moment.step[1] + len(points)
    assert outcome.loss < moment.loss
    assert outcome.status is Status.FINISHED


def test_a_search_for_a_resumed_run_keeps_the_better_iterate() -> None:
    best = start(5)
    search = BestSoFar(Hills(), best, loss=-math.inf, evaluations=7)
    search.evaluate(start(6).reshape(-1))
    assert search.evaluations == 8
    np.testing.assert_array_equal(search.x, best)


@pytest.mark.parametrize("preconditioner", ["none", "spectral"])
def test_the_most_pairs_there_can_be_fit_in_a_checkpoint(preconditioner: Preconditioner) -> None:
    pairs, most = 250, 1000
    with pytest.raises(OptionError, match=f"to {most}"):
        Options(history=most + 1)
    states: list[OptimizerState] = []

    def bowl(x: FloatArray) -> tuple[float, FloatArray]:
        slopes = np.geomspace(1, 100, x.size, dtype=np.float32).reshape(x.shape)
        return float(np.vdot(slopes * x, x)) / 2, slopes * x

    def keep(step: Step) -> bool:
        if step.iteration <= pairs:
            return True
        states.append(step.state())
        return False

    # Steps are short, so that there is a way to go to the end.
    optimizer = Lbfgs(pairs, learning_rate=0.01, first_step="safe", preconditioner=preconditioner)
    search = BestSoFar(bowl, np.ones((1, 1, 10, 50), np.float32))
    optimizer.minimize(search, iterations=2 * pairs + 1, on_step=keep)
    told = states[0].numbers
    assert sum(name.startswith("products.") for name in told) == pairs
    # Of each pair there are its products with all others.
    needed = len(json.dumps(dict(told))) * (most / pairs) ** 2
    assert needed < 0.6 * manifest._MAX_HEADER
