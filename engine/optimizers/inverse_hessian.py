"""The L-BFGS approximation of the inverse Hessian, in memory or in a file."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path

import numpy as np

from impasto.engine.optimizers.arrays import blocks, read_only, scratch
from impasto.engine.optimizers.base import Numbers
from impasto.engine.optimizers.mapped import MappedArray
from impasto.engine.optimizers.state import StateReader
from impasto.engine.result import FloatArray

__all__ = ["InverseHessian"]

CURVATURE = 1e-10
"""Least y·s of a pair that is kept (torch/optim)."""


class InverseHessian:
    """The inverse Hessian H as the last pairs tell it, and the direction it gives.

    The pairs are rows of two ring buffers, which have one row more than `history`: the free row
    takes the pair in the making, so that a pair that is refused costs no old one. Its step is the
    direction until :meth:`move` gives it its length, its change the gradient until there is the
    next one. Pairs are numbered through; pair k is in row k modulo the number of rows.

    Parameters
    ----------
    x : ndarray
        First iterate, flat: its size and type are those of all arrays.
    history : int
        Pairs remembered.
    directory : Path, optional
        Where the ring buffers are to be, in a file; see
        :class:`~impasto.engine.optimizers.mapped.MappedArray`. In memory if left out.
        From a file one pair at a time is in memory, and none between calls.

    Attributes
    ----------
    is_new : bool
        Whether no pair has been tried since the start or :meth:`forget`.

    Raises
    ------
    OptionError
        If the ring buffers do not fit in the directory.
    """

    def __init__(self, x: FloatArray, history: int, directory: Path | None = None) -> None:
        shape = (history + 1, x.size)
        self._mapped: MappedArray | None = None
        if directory is None:
            self._steps, self._changes = np.empty(shape, x.dtype), np.empty(shape, x.dtype)
        else:
            self._mapped = MappedArray((2, *shape), x.dtype, directory)
            self._steps, self._changes = self._mapped.array
        self._history = history
        self._scratch = scratch(x.size, x.dtype)
        self._next = 0
        self.forget()

    def forget(self) -> None:
        """Go back to knowing nothing."""
        self._curvatures: deque[float] = deque()
        self._scale = 1.0
        self.is_new = True
        self._moved = False

    @property
    def is_empty(self) -> bool:
        """Whether no pair is remembered, so that the direction is −g."""
        return not self._curvatures

    @property
    def direction(self) -> FloatArray:
        """−H g after :meth:`update`, until :meth:`move`."""
        return self._row(self._steps, self._next)

    @property
    def spare(self) -> FloatArray:
        """An array that is free while no pair is remembered; history must be at least 1."""
        return self._row(self._steps, self._next + 1)

    def update(self, gradient: FloatArray) -> bool:
        """Take in the gradient at the new iterate; return whether `direction` leads downhill."""
        # Overflow makes the slope infinite or NaN, which the last line answers.
        with np.errstate(over="ignore", invalid="ignore"):
            if self._moved:
                self.is_new = False
                self._add_pair(gradient)
            self._find_direction(gradient)
            slope = float(np.dot(gradient, self.direction))
        # The gradient belongs to the objective: the row of the next pair keeps it until then.
        np.copyto(self._row(self._changes, self._next), gradient)
        self._release(self._steps, self._changes)
        return -math.inf < slope < 0

    def move(self, x: FloatArray, length: float) -> None:
        """Add the step of `length` along the direction to `x`; the next pair remembers it."""
        self._moved = True
        step = self.direction
        # The next evaluation answers an iterate that is not finite.
        with np.errstate(over="ignore", invalid="ignore"):
            step *= length
            x += step
        self._release(self._steps, self._changes)

    def numbers(self) -> Numbers:
        """Return the numbers of a state to be taken between :meth:`update` and :meth:`move`."""
        curvatures = zip(self._serials(), self._curvatures, strict=True)
        return {
            "is_new": self.is_new,
            "scale": self._scale,
            "pairs": len(self._curvatures),
            "next_pair": self._next,
            **{_curvature(serial): value for serial, value in curvatures},
        }

    def gradient(self) -> FloatArray:
        """Return the gradient of the last :meth:`update`, until :meth:`move`."""
        return read_only(self._row(self._changes, self._next))

    def pairs(self) -> dict[str, FloatArray]:
        """Return the pairs, each array under a name of its own."""
        named = {}
        for serial in self._serials():
            named[_step(serial)] = read_only(self._row(self._steps, serial))
            named[_change(serial)] = read_only(self._row(self._changes, serial))
        return named

    def restore(self, reader: StateReader, iteration: int) -> None:
        """Go back to saved pairs; :meth:`update` with the saved gradient then finds the direction.

        Raises
        ------
        CheckpointError
            If these are not pairs of so many iterations and of at most `history`.
        """
        self.is_new = reader.flag("is_new")
        self._scale = reader.real("scale", 0.0)
        self._next = reader.integer("next_pair", 0, iteration - 1)
        most = 0 if self.is_new else min(self._history, self._next)
        count = reader.integer("pairs", 0, most)
        for serial in range(self._next - count, self._next):
            self._curvatures.append(reader.real(_curvature(serial), CURVATURE))
            np.copyto(self._row(self._steps, serial), reader.pair(_step(serial)))
            np.copyto(self._row(self._changes, serial), reader.pair(_change(serial)))
            self._release(self._steps, self._changes)

    def _release(self, *arrays: FloatArray) -> None:
        """Let go of the memory that pairs in a file take for the moment."""
        if self._mapped is not None:
            for array in arrays:
                self._mapped.release(array)

    def _row(self, ring: FloatArray, serial: int) -> FloatArray:
        row: FloatArray = ring[serial % len(ring)]
        return row

    def _serials(self) -> range:
        """Return the numbers of the pairs remembered, the oldest first."""
        return range(self._next - len(self._curvatures), self._next)

    def _add_pair(self, gradient: FloatArray) -> None:
        step, change = self._row(self._steps, self._next), self._row(self._changes, self._next)
        np.subtract(gradient, change, out=change)
        curvature, square = float(np.dot(change, step)), float(np.dot(change, change))
        if not (curvature > CURVATURE and square > 0):
            return
        self._scale = curvature / square
        self._curvatures.append(curvature)
        self._next += 1
        if len(self._curvatures) > self._history:
            self._curvatures.popleft()

    def _find_direction(self, gradient: FloatArray) -> None:
        """Run the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4)."""
        direction = self.direction
        np.negative(gradient, out=direction)
        pairs = [
            (self._row(self._steps, serial), self._row(self._changes, serial), curvature)
            for serial, curvature in zip(self._serials(), self._curvatures, strict=True)
        ]
        alphas = []
        for step, change, curvature in reversed(pairs):
            alphas.append(float(np.dot(step, direction)) / curvature)
            self._add_multiple(direction, change, -alphas[-1])
            self._release(step, change)
        direction *= self._scale
        for (step, change, curvature), alpha in zip(pairs, reversed(alphas), strict=True):
            beta = float(np.dot(change, direction)) / curvature
            self._add_multiple(direction, step, alpha - beta)
            self._release(step, change)

    def _add_multiple(self, total: FloatArray, array: FloatArray, factor: float) -> None:
        for block in blocks(total.size):
            product = self._scratch[: block.stop - block.start]
            total[block] += np.multiply(array[block], factor, out=product)


def _step(serial: int) -> str:
    return f"step.{serial:06d}"


def _change(serial: int) -> str:
    return f"change.{serial:06d}"


def _curvature(serial: int) -> str:
    return f"curvature.{serial:06d}"
