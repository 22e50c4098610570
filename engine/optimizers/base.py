"""What an optimizer is: something that moves an image to where a function of it is smaller.

This file holds the words optimizers and the driver share, and no algorithm. An optimizer is one
file with one frozen dataclass that implements :class:`Optimizer`, and one row of the table in
`impasto.engine.optimizers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from impasto.engine.result import FloatArray, Status

if TYPE_CHECKING:
    from impasto.engine.optimizers.best import BestSoFar

__all__ = ["ObjectiveFunction", "OnStep", "Optimizer", "OptimizerState", "Outcome", "Step"]


class ObjectiveFunction(Protocol):
    """A scalar function of an array, with its gradient; `impasto.engine.objective` has the one."""

    def __call__(self, x: FloatArray, /) -> tuple[float, FloatArray]:
        """Return the value and the gradient at `x`, the gradient in the shape of `x`.

        The gradient array may be overwritten by the next call: copy it to keep it.
        """


@dataclass(frozen=True)
class OptimizerState:
    """What an optimizer needs besides the best iterate to go on as if it had never stopped.

    Parameters
    ----------
    numbers : mapping of str to (int, float, bool or str)
        Counters and scalars. Floats are told exactly (JSON's shortest form that reads back equal).
    arrays : mapping of str to ndarray
        Current values; the next iteration overwrites them.
    pairs : mapping of str to ndarray
        Arrays that never change under their name, so that a store needs to write each only once.
    """

    numbers: Mapping[str, int | float | bool | str] = field(default_factory=dict)
    arrays: Mapping[str, FloatArray] = field(default_factory=dict)
    pairs: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Where an optimizer stands after one iteration.

    Parameters
    ----------
    iteration : int
        Iterations done, this one included.
    evaluations : int
        Evaluations of the objective so far.
    loss : float
        Objective at `x`; finite.
    x : ndarray
        Current iterate, in the shape of the first one: a read-only view, which the next iteration
        overwrites. Copy it to keep it.
    """

    iteration: int
    evaluations: int
    loss: float
    x: FloatArray


OnStep = Callable[[Step], bool | None]
"""Called after every iteration; returning ``False`` calls the optimisation off."""


@dataclass(frozen=True)
class Outcome:
    """How an optimisation ended.

    Parameters
    ----------
    x : ndarray
        The *best* iterate that was evaluated, in the shape of the first one: not the last iterate.
    loss : float
        Objective at `x`; ``inf`` if no evaluation gave finite numbers, and then `x` is the first
        iterate.
    iterations, evaluations : int
        Iterations and evaluations done.
    status : Status
        Why it ended.
    reason : str
        The same in the algorithm's own words; empty where there is nothing to add.
    """

    x: FloatArray
    loss: float
    iterations: int
    evaluations: int
    status: Status
    reason: str


class Optimizer(Protocol):
    """An algorithm with its hyper-parameters. Frozen: a run's state lives in `minimize`."""

    def minimize(self, search: BestSoFar, *, iterations: int, on_step: OnStep) -> Outcome:
        """Minimise the objective of `search` from its first iterate.

        Parameters
        ----------
        search : BestSoFar
            Objective, first iterate, and the best iterate so far. It belongs to the caller, who
            finds the best iterate in it at any moment: also when an exception such as
            `KeyboardInterrupt` leaves this method.
        iterations : int
            Iterations to do, at least 1.
        on_step : callable
            See :data:`OnStep`.

        Returns
        -------
        Outcome
            Numbers that are not finite, and steps that lead nowhere, end in a status, not in an
            exception.
        """
