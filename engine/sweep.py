"""Many small runs that differ in one or two options, so that a person can choose by eye."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from impasto.engine.inputs import Picture
from impasto.engine.options import TEXTURE_ONLY, Options
from impasto.engine.result import Callback, Iterate, Status, StylizeResult
from impasto.engine.scales import total_iterations
from impasto.engine.stylize import stylize
from impasto.errors import ImpastoError, OptionError

__all__ = ["MOST_CELLS", "SWEPT", "Axis", "Cell", "check_axes", "sweep", "sweep_iterations"]

MOST_CELLS = 100

NOT_SWEPT = (
    *("bit_depth", "quality", "no_metadata", "checkpoint", "save_every", "print_every"),
    *TEXTURE_ONLY,
)
"""Options that change nothing in the picture, or are for those without a content."""

SWEPT = tuple(item.name for item in fields(Options) if item.name not in NOT_SWEPT)
"""Options that can be swept."""


@dataclass(frozen=True)
class Axis:
    """An option with the values to try.

    Parameters
    ----------
    name : str
        A field of `Options`.
    values : tuple
        As `Options` takes them; at least one.
    """

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Parameters
    ----------
    values : mapping of str to object
        The swept options' values.
    result : StylizeResult, optional
        None if the run failed.
    error : str
        Why it failed; empty if it did not.
    """

    values: Mapping[str, Any]
    result: StylizeResult | None = None
    error: str = ""


def check_axes(axes: Sequence[Axis]) -> None:
    """Refuse axes that cannot be swept.

    Raises
    ------
    OptionError
        If there is none, or more than two, or one of them twice; or if they have no values, more
        than :data:`MOST_CELLS` together, or are not among :data:`SWEPT`.
    """
    names = [axis.name for axis in axes]
    if not 1 <= len(axes) <= 2 or len(set(names)) < len(names):
        raise OptionError(
            f"A sweep is over one option or two different ones; {len(axes)} were given: "
            f"{', '.join(names) or 'none'}."
        )
    for axis in axes:
        if axis.name not in SWEPT:
            raise OptionError(
                f"{axis.name} is no option that changes a picture. What can be swept: "
                f"{', '.join(SWEPT)}."
            )
        if not axis.values:
            raise OptionError(f"There are no values to try for {axis.name}.")
    count = len(axes[0].values) * (len(axes[1].values) if len(axes) > 1 else 1)
    if count > MOST_CELLS:
        raise OptionError(f"These are {count} runs; a sweep takes {MOST_CELLS} at most.")


def sweep(
    content: Picture,
    styles: Sequence[Picture],
    options: Options,
    axes: Sequence[Axis],
    *,
    callback: Callback | None = None,
) -> Iterator[Cell]:
    """Paint once for every combination of values, the last axis changing fastest.

    What the runs have in common is computed once, where files keep it: verdicts on graphs, and
    targets of the same pictures, layers and sizes.

    Parameters
    ----------
    content, styles
        As for `impasto.engine.stylize.stylize`.
    options : Options
        Of every run, but for the swept ones.
    axes : sequence of Axis
        One or two.
    callback : callable, optional
        Called after every step, with iterations and seconds counted over all runs; returning
        ``False`` ends the run, and the sweep with it.

    Yields
    ------
    Cell
        After each run. One that fails, or whose options are refused, does not stop the others.

    Raises
    ------
    OptionError
        As :func:`check_axes`.
    """
    check_axes(axes)
    total, before, began = sweep_iterations(options, axes), 0, time.perf_counter()
    for values in _combinations(axes):
        try:
            asked = replace(options, **values)
            count = total_iterations(asked.schedule)
        except ImpastoError as error:
            yield Cell(values, error=str(error))
            continue

        def on_step(iterate: Iterate, before: int = before) -> bool | None:
            if callback is None:
                return None
            return callback(
                replace(
                    iterate,
                    iteration=before + iterate.iteration,
                    iterations=total,
                    seconds=time.perf_counter() - began,
                )
            )

        try:
            result = stylize(content, styles, asked, callback=on_step)
        except ImpastoError as error:
            yield Cell(values, error=str(error))
        else:
            yield Cell(values, result)
            if result.status is Status.CANCELLED:
                return
        before += count


def sweep_iterations(options: Options, axes: Sequence[Axis]) -> int:
    """Return the steps of all runs together, of those whose options are accepted."""
    steps = 0
    for values in _combinations(axes):
        try:
            steps += total_iterations(replace(options, **values).schedule)
        except ImpastoError:
            continue
    return steps


def _combinations(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    for values in product(*(axis.values for axis in axes)):
        yield {axis.name: value for axis, value in zip(axes, values, strict=True)}
