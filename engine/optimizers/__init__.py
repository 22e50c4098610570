"""Optimizers: what moves the image. The table below is the list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from impasto.engine.optimizers.adam import Adam
from impasto.engine.optimizers.base import (
    ObjectiveFunction,
    OnStep,
    Optimizer,
    OptimizerState,
    Outcome,
    Step,
)
from impasto.engine.optimizers.best import BestSoFar
from impasto.engine.optimizers.lbfgs import Lbfgs
from impasto.engine.optimizers.lbfgsb import Lbfgsb
from impasto.engine.options import Options
from impasto.errors import OptionError

__all__ = [
    "OPTIMIZERS",
    "Adam",
    "BestSoFar",
    "Lbfgs",
    "Lbfgsb",
    "ObjectiveFunction",
    "OnStep",
    "Optimizer",
    "OptimizerState",
    "Outcome",
    "Step",
    "history_of",
    "make_optimizer",
]


def _lbfgsb(options: Options, _directory: Path | None) -> Optimizer:
    if options.learning_rate:
        raise OptionError(
            f"--learning-rate is {options.learning_rate:g}, but --optimizer lbfgs finds its step "
            "length by a line search. Leave it out, or take lbfgs-numpy or adam."
        )
    if options.normalize_gradients:
        raise OptionError(
            "--normalize-gradients makes gradients that are not the derivative of the loss, and "
            "--optimizer lbfgs searches along lines for a lower loss. Take lbfgs-numpy or adam."
        )
    return Lbfgsb(history_of(options))


def _lbfgs(options: Options, directory: Path | None) -> Optimizer:
    return Lbfgs(
        history_of(options),
        options.learning_rate or 1.0,
        options.first_step,
        directory,
        options.preconditioner,
        options.threads,
        options.tileable,
    )


def _adam(options: Options, _directory: Path | None) -> Optimizer:
    return Adam(options.learning_rate or 10.0)


OPTIMIZERS: Mapping[str, Callable[[Options, Path | None], Optimizer]] = MappingProxyType(
    {"lbfgs": _lbfgsb, "lbfgs-numpy": _lbfgs, "adam": _adam}
)
"""How each choice of ``--optimizer`` is made from the options."""

HISTORY = 30
"""Pairs of lbfgs-numpy in frequencies, at most. Their number goes up and down; 18 in the mean do as
well as always 20 (docs/default-preset.md)."""

HISTORY_IN_PIXELS = 20
"""Without a preconditioner it is always as many, and they are twice as long."""

HISTORY_SCIPY = 10
"""A pair of SciPy's is float64, and costs several times as much of a step."""


def history_of(options: Options) -> int:
    """Return how many pairs L-BFGS is to remember where memory allows."""
    if options.history:
        return options.history
    if options.optimizer == "lbfgs":
        return HISTORY_SCIPY
    return HISTORY if options.preconditioner == "spectral" else HISTORY_IN_PIXELS


def make_optimizer(options: Options, directory: Path | None = None) -> Optimizer:
    """Return the optimizer that `options` ask for.

    Parameters
    ----------
    options : Options
        Which one, and its hyper-parameters.
    directory : Path, optional
        Where ``lbfgs-numpy`` is to keep its history, instead of in memory; the others have no use
        for it.

    Raises
    ------
    OptionError
        If a learning rate or normalised gradients are given to an optimizer with a line search.
    """
    return OPTIMIZERS[options.optimizer](options, directory)
