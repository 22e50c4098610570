"""An L-BFGS approximation of the inverse Hessian that keeps changes of gradients, and few steps."""

from __future__ import annotations

import math

import numpy as np

from impasto.engine.optimizers.lean_memory import LeanMemory
from impasto.engine.optimizers.long_rows import LongRows
from impasto.engine.optimizers.two_loops import two_loops
from impasto.engine.optimizers.vectors import Products
from impasto.engine.result import FloatArray

__all__ = ["LeanInverseHessian"]

GROWTH = 16.0
"""How much larger a gradient may be than the smallest that a step is made of, which costs the step
as much in digits. Without a line search, gradients 1000 times as large have been seen."""

SAMPLE = 2**10
"""About so many entries of a gradient tell its size."""


class LeanInverseHessian(LeanMemory):
    """The inverse Hessian H as pairs tell it, most of whose steps are in no memory.

    A step of L-BFGS is a combination of the gradient, of changes of the gradient and of earlier
    steps. So where the changes y and the gradient are kept, a step s is known by its factors, some
    dozens of numbers, as long as the vectors it is made of are there: with the same memory, and
    the same memory traffic, there are nearly twice as many pairs. When there is no room left,
    steps are written out and older vectors forgotten: as many pairs as `room` says stay. So their
    number goes up and down, between a fifth of what there is room for and all of it. Steps are
    written out, too, before a gradient comes that is much larger than those they are made of: as
    differences of larger vectors they would lose digits.

    The direction is found among dot products (`impasto.engine.optimizers.two_loops`), in two passes
    over all vectors: one for their products with the new y, one for the combination. The products
    of a step are combinations, too. Those of the vectors with the gradient grow by those with y.
    (The other way round, with y's products as the differences of the gradient's, they would be
    rounded to a part of |g|, and y can be much smaller.)

    Parameters
    ----------
    x, directory, team, times
        As for :class:`~impasto.engine.optimizers.vectors.Vectors`, as are the attributes and what
        is raised.
    room : Room

    Notes
    -----
    That quasi-Newton steps lie among the gradients, so that half the memory will do, is known: Gill
    and Leonard (2001), "Reduced-Hessian quasi-Newton methods for unconstrained optimization", and
    for limited memory (2003). They keep an orthonormal basis and a Hessian in it. Here no basis is
    made, and the directions are those of the two-loop recursion.
    """

    def update(self, gradient: FloatArray) -> bool:
        """Take in the gradient at the new iterate; return whether `direction` leads downhill."""
        # Overflow makes the slope infinite or NaN, which the last line answers.
        with np.errstate(over="ignore", invalid="ignore"):
            if not np.may_share_memory(gradient, self.place):
                np.copyto(self.place, gradient)
            gradient = self.place
            if self._moved or not self._used:  # and not restored, products and all
                self._take_in()
                gradient = self._rows[self._used - 1]
            slope = self._combine(gradient)
        self.release()
        return -math.inf < slope < 0

    def move(self, length: float) -> FloatArray:
        """Return the step of `length` along the direction; the next pair remembers it."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._own *= length
        return super().move(length)

    def _take_in(self) -> None:
        """Finish the pair in the making, if it is moved, with the gradient in its place."""
        size = float(np.linalg.norm(self.place[:: 1 + self.place.size // SAMPLE]))
        if self._moved and size > GROWTH * self._least:
            self._write_out(is_growing=True)
        self._least = min(self._least, size)
        self._used += 1
        last = self._used - 1
        gradient = self._rows[last]
        rows = LongRows(self._rows[: self._used], self._team)
        with_change: Products = np.zeros(self._used)
        curvature = square = 0.0

        def finish(block: slice) -> tuple[float, float, Products]:
            step_change, products = 0.0, np.zeros(self._used)
            with np.errstate(over="ignore", invalid="ignore"):  # each thread has its own
                if self._moved:
                    change = self._rows[last - 1]  # the gradient until now
                    np.subtract(gradient[block], change[block], change[block])
                    step_change = rows.dot(self.direction[block], change[block])
                # Before the products with all rows, which drive these out of the cache.
                own = rows.dot(gradient[block], gradient[block])
                if self._moved:
                    products = rows.times(self._rows[last - 1], block)
            self._release(block)
            return step_change, own, products

        for part_of_curvature, part_of_square, products in rows.each(finish):
            curvature += part_of_curvature
            square += part_of_square
            with_change += products
        self._with_gradient[last] = square
        if self._moved:
            self.is_new = False
            self._with_gradient[: last - 1] += with_change[: last - 1]
            self._with_gradient[last - 1] = with_change[last]
            self._add_pair(with_change, curvature)
        if self._used == len(self._rows):
            self._write_out()

    def _combine(self, gradient: FloatArray) -> float:
        """Write −H g into `direction`; return the slope."""
        count, used = len(self._pairs), self._used
        factors = np.zeros(len(self._own))
        self.scale = 1.0
        if count:
            step_change = self._step_change[:count, :count]
            change_change = self._change_change[:count, :count]
            self.scale = self._times * float(step_change[-1, -1] / change_change[-1, -1])
            changes = self._change_rows()
            of_steps, of_changes = two_loops(
                step_change,
                change_change,
                self._factors[:count, :used] @ self._with_gradient[:used],
                self._with_gradient[changes],
                self.scale,
            )
            factors[:used] = of_steps @ self._factors[:count, :used]
            factors[changes] += of_changes
        factors[used - 1] += self.scale
        rounded = -factors.astype(gradient.dtype)
        self._own[...] = rounded
        rows, direction = LongRows(self._rows[:used], self._team), self.direction

        def write(block: slice) -> float:
            with np.errstate(over="ignore", invalid="ignore"):  # each thread has its own
                rows.combined(rounded[:used], block, direction[block])
                slope = rows.dot(gradient[block], direction[block])
            self._release(block)
            return slope

        return sum(rows.each(write))
