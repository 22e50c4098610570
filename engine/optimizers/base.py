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

__all__ = [
    "Numbers",
    "ObjectiveFunction",
    "OnStep",
    "Optimizer",
    "OptimizerState",
    "Outcome",
    "Step",
]


class ObjectiveFunction(Protocol):
    """A scalar function of an array, with its gradient; `impasto.engine.objective` has the one."""

    def __call__(self, x: FloatArray, /) -> tuple[float, FloatArray]:
        """Return the value and the gradient at `x`, the gradient in the shape of `x`.

        The gradient array may be overwritten by the next call: copy it to keep it.
        """


Numbers = Mapping[str, int | float | bool | str]
"""Numbers of a state by name."""


@dataclass(frozen=True)
class OptimizerState:
    """What an optimizer needs besides the best iterate to go on as if it had never stopped.

    Parameters
    ----------
    numbers : mapping of str to (int, float, bool or str)
        Counters and scalars, among them ``optimizer``, the algorithm, and ``iteration``, the
        iterations done. Floats are finite, and told exactly (JSON's shortest form that reads back
        equal); what would be infinite is left out.
    arrays : mapping of str to ndarray
        Current values, flat, among them ``x``, the iterate to go on from, which need not be the
        best one; read-only views, which the next iteration overwrites.
    pairs : mapping of str to ndarray
        Arrays that never change under their name, so that a store needs to write each only once.
        Names are not used again in a run, also not by a resumed one for other numbers. Flat
        read-only views; the memory under them is used again once their name is gone.
    """

    numbers: Numbers = field(default_factory=dict)
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
    state : callable
        Without arguments: returns the :class:`OptimizerState` to go on from after this iteration.
        Cheap, for nothing is copied; to be called before :data:`OnStep` returns, and to be written
        away before it returns.
    """

    iteration: int
    evaluations: int
    loss: float
    x: FloatArray
    state: Callable[[], OptimizerState]


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

    def minimize(
        self,
        search: BestSoFar,
        *,
        iterations: int,
        on_step: OnStep,
        resume: OptimizerState | None = None,
    ) -> Outcome:
        """Minimise the objective of `search` from its first iterate.

        Parameters
        ----------
        search : BestSoFar
            Objective, first iterate, and the best iterate so far. It belongs to the caller, who
            finds the best iterate in it at any moment: also when an exception such as
            `KeyboardInterrupt` leaves this method. To go on with a stopped run it is made from the
            best iterate, the loss and the evaluations at the moment the state was taken.
        iterations : int
            Iterations to do, at least 1; those done before `resume` was taken are among them.
        on_step : callable
            See :data:`OnStep`.
        resume : OptimizerState, optional
            Where to go on, with the same `iterations`. The arrays are copied, one at a time.
            After a state of iteration k > 0 the next iteration is k + 1, and it and all later ones
            are bit-equal to those of the run that did not stop (given an objective that repeats
            itself, and BLAS with the same number of threads) unless the optimizer's docstring
            says otherwise. A state of iteration 0 is one from :meth:`carried`: the first iteration
            evaluates its ``x`` instead of that of `search`.

        Returns
        -------
        Outcome
            Numbers that are not finite, and steps that lead nowhere, end in a status, not in an
            exception.

        Raises
        ------
        CheckpointError
            If `resume` is not a state this optimizer can have given for such an image.
        """

    def carried(
        self, state: OptimizerState, resize: Callable[[FloatArray], FloatArray]
    ) -> OptimizerState | None:
        """Return the state to begin the next, larger scale of a coarse-to-fine run with.

        Parameters
        ----------
        state : OptimizerState
            State after the last iteration of the smaller scale.
        resize : callable
            Maps a flat array of the smaller image to a new flat array of the larger one; linear,
            in general not positive: resampling filters overshoot.

        Returns
        -------
        OptimizerState or None
            State of iteration 0, to be given to :meth:`minimize` as `resume`; it shares no memory
            with `state`. ``None`` if nothing of a state is of use on another grid: begin afresh,
            with a `search` made from the resized image.

        Raises
        ------
        CheckpointError
            As :meth:`minimize`.
        """

    def traffic(self, entries: int, iterations: int) -> float:
        """Return about how many bytes its own arithmetic reads and writes in a run.

        Parameters
        ----------
        entries, iterations : int
            As for :meth:`memory`. Only for predictions of time.
        """

    def memory(self, entries: int, iterations: int) -> int:
        """Return the bytes :meth:`minimize` needs for itself at its peak.

        Parameters
        ----------
        entries : int
            Entries of a float32 image, all channels counted.
        iterations : int
            Iterations to do.

        Returns
        -------
        int
            Its own arrays, its copy of the iterate included, as resident memory; of memory-mapped
            files only what is resident at a time. Not included: what belongs to the caller (the
            best iterate in `search`, the objective and its gradient array, `resume`).
        """
