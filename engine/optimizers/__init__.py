"""Optimizers: what moves the image. The table below is the list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from impasto.engine.optimizers.adam import Adam
from impasto.engine.optimizers.base import ObjectiveFunction, OnStep, Optimizer, Outcome, Step
from impasto.engine.optimizers.best import BestSoFar
from impasto.engine.optimizers.lbfgs import Lbfgs
from impasto.engine.optimizers.lbfgsb import Lbfgsb
from impasto.errors import OptionError, UnknownNameError

__all__ = [
    "OPTIMIZERS",
    "Adam",
    "BestSoFar",
    "Lbfgs",
    "Lbfgsb",
    "ObjectiveFunction",
    "OnStep",
    "Optimizer",
    "Outcome",
    "Step",
    "make_optimizer",
]


def _lbfgsb(history: int, learning_rate: float) -> Optimizer:
    if learning_rate:
        raise OptionError(
            f"--learning-rate is {learning_rate:g}, but --optimizer lbfgs finds its step length by "
            "a line search. Leave it out, or take lbfgs-numpy or adam."
        )
    return Lbfgsb(history)


def _lbfgs(history: int, learning_rate: float) -> Optimizer:
    return Lbfgs(history, learning_rate or 1.0)


def _adam(_history: int, learning_rate: float) -> Optimizer:
    return Adam(learning_rate or 10.0)


OPTIMIZERS: Mapping[str, Callable[[int, float], Optimizer]] = MappingProxyType(
    {"lbfgs": _lbfgsb, "lbfgs-numpy": _lbfgs, "adam": _adam}
)
"""Optimizer by its option's name: history, learning rate (0: its own) → optimizer."""


def make_optimizer(name: str, *, history: int, learning_rate: float) -> Optimizer:
    """Return the optimizer of the options ``--optimizer``, ``--history``, ``--learning-rate``.

    Parameters
    ----------
    name : str
        A key of :data:`OPTIMIZERS`.
    history : int
        Pairs L-BFGS remembers; Adam has none and ignores it.
    learning_rate : float
        Step length; 0 is the optimizer's own.

    Raises
    ------
    UnknownNameError
        If there is no such optimizer.
    OptionError
        If `learning_rate` is given to an optimizer with a line search.
    """
    if name not in OPTIMIZERS:
        raise UnknownNameError("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name](history, learning_rate)
