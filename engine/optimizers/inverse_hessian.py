"""The L-BFGS approximation of the inverse Hessian, in memory or in a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from impasto.engine.optimizers.arrays import read_only
from impasto.engine.optimizers.base import Numbers
from impasto.engine.optimizers.long_rows import LongRows
from impasto.engine.optimizers.state import StateReader, packed_reals
from impasto.engine.optimizers.team import Team
from impasto.engine.optimizers.two_loops import two_loops
from impasto.engine.optimizers.vectors import CURVATURE, Products, Vectors
from impasto.engine.result import FloatArray

__all__ = ["InverseHessian"]


class InverseHessian(Vectors):
    """The inverse Hessian H as the last pairs tell it, and the direction it gives.

    The two-loop recursion (Nocedal and Wright 2006, algorithm 7.4) needs of the pairs s, y and the
    gradient g nothing but their dot products: the direction is a combination of them whose factors
    the recursion can find among the products (Chen, Wang and Zhou 2014, "Large-scale L-BFGS using
    MapReduce"). So an update passes over the pairs twice, in matrix-vector products: once for the
    products of the new g with all of them, once for the combination. Those of the new y with older
    pairs are the differences of g's and the last g's: rounded to a part of |g|, not of |y|, which
    is 1e-6 of it at most; s·y and y·y of one pair are computed as they are.

    The pairs are rows of two ring buffers, which have one row more than `history`: the free row
    takes the pair in the making, so that a pair that is refused costs no old one. Its step is the
    direction until :meth:`move` gives it its length, its change the gradient until there is the
    next one. Pairs are numbered through; pair k is in row k modulo the number of rows.

    Parameters
    ----------
    x, directory, team, times
        As for :class:`~impasto.engine.optimizers.vectors.Vectors`, as are the attributes and what
        is raised. From a file one step and some columns of everything else are in memory at a time.
    history : int
        Pairs remembered.
    """

    def __init__(
        self,
        x: FloatArray,
        history: int,
        directory: Path | None = None,
        team: Team | None = None,
        times: float = 1.0,
    ) -> None:
        super().__init__(x, 2 * (history + 1), directory, team, times)
        self._rings = self._all.reshape(2, history + 1, x.size)
        self._steps, self._changes = self._rings
        self._both = LongRows(self._all, self._team)
        self._history = history
        # By row: s·y where the step is not younger than the change, and y·y.
        self._step_change: Products = np.zeros((history + 1, history + 1))
        self._change_change: Products = np.zeros((history + 1, history + 1))
        # S·g and Y·g of the last update, by row.
        self._with_gradient: Products = np.zeros((2, history + 1))
        self._count = 0

    def forget(self) -> None:
        """Go back to knowing nothing."""
        self._count = 0
        super().forget()

    @property
    def is_empty(self) -> bool:
        """Whether no pair is remembered, so that the direction is −g."""
        return not self._count

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
            step_gradient, change_gradient = self._products(gradient)
            factors = self._factors(step_gradient, change_gradient)
            slope = self._combine(gradient, *factors)
        self.release()
        return -math.inf < slope < 0

    def numbers(self) -> Numbers:
        """Return the numbers of a state to be taken between :meth:`update` and :meth:`move`."""
        rows = self._rows()
        told = {}
        for place, serial in enumerate(self._serials()):
            row, older = rows[place], rows[: place + 1]
            products = (self._step_change[older, row], self._change_change[older, row])
            told[_products_of(serial)] = packed_reals(np.concatenate(products))
        return {
            "is_new": self.is_new,
            "pairs": self._count,
            "pair_entries": self._steps.shape[1],
            "next_pair": self._next,
            **told,
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
        entries = self._steps.shape[1]
        reader.integer("pair_entries", entries, entries)
        self.is_new = reader.flag("is_new")
        self._next = reader.integer("next_pair", 0, iteration - 1)
        most = 0 if self.is_new else min(self._history, self._next)
        self._count = reader.integer("pairs", 0, most)
        rows = self._rows()
        for place, serial in enumerate(self._serials()):
            # The last of each half is the pair's own: s·y and y·y.
            told = reader.reals(_products_of(serial), 2 * (place + 1), {place: CURVATURE, -1: 0.0})
            row, older = rows[place], rows[: place + 1]
            self._step_change[older, row], self._change_change[older, row] = np.split(told, 2)
            self._change_change[row, older] = self._change_change[older, row]
            for ring, name in ((self._steps, _step(serial)), (self._changes, _change(serial))):
                np.copyto(self._row(ring, serial), reader.pair(name, ring.shape[1]))
            self.release()

    def _row(self, ring: FloatArray, serial: int) -> FloatArray:
        row: FloatArray = ring[serial % len(ring)]
        return row

    def _serials(self) -> range:
        """Return the numbers of the pairs remembered, the oldest first."""
        return range(self._next - self._count, self._next)

    def _rows(self) -> npt.NDArray[np.intp]:
        """Return the rows of the pairs remembered, the oldest first."""
        return np.array(self._serials(), np.intp) % len(self._steps)

    def _products(self, gradient: FloatArray) -> tuple[Products, Products]:
        """Finish the pair in the making, if it is moved; return S·g and Y·g by row."""
        free = self._next % len(self._steps)
        # With all rows, also those not in use, which are zeros: a product's rounding depends on
        # how many there are, and a resumed run is to round alike.
        with_gradient = np.zeros((2, len(self._steps)))
        curvature = square = 0.0

        def finish(block: slice) -> tuple[float, float, Products]:
            step, change = self._rings[:, free, block]
            own = (0.0, 0.0)
            with np.errstate(over="ignore", invalid="ignore"):  # each thread has its own
                if self._moved:
                    np.subtract(gradient[block], change, change)
                    own = self._both.dot(step, change), self._both.dot(change, change)
                products = self._both.times(gradient, block)
            self._release(block)
            return *own, products

        for part_of_curvature, part_of_square, products in self._both.each(finish):
            curvature += part_of_curvature
            square += part_of_square
            with_gradient += products.reshape(2, -1)
        if self._moved:
            step_change, change_change = with_gradient - self._with_gradient
            step_change[free], change_change[free] = curvature, square
            self._add_pair(step_change, change_change)
        self._with_gradient = with_gradient
        step_gradient, change_gradient = with_gradient
        return step_gradient, change_gradient

    def _add_pair(self, step_change: Products, change_change: Products) -> None:
        """Keep the pair in the making, given its products with the rows, if it is a sound one."""
        free = self._next % len(self._steps)
        curvature, square = float(step_change[free]), float(change_change[free])
        if not (CURVATURE < curvature < math.inf and 0 < square < math.inf):
            return
        self._step_change[:, free] = step_change
        self._change_change[:, free] = self._change_change[free, :] = change_change
        self._next += 1
        self._count = min(self._count + 1, self._history)

    def _factors(
        self, step_gradient: Products, change_gradient: Products
    ) -> tuple[Products, Products]:
        """Run the two-loop recursion on products, and set `scale`.

        Returns
        -------
        step_factors, change_factors
            With H g = scale · g + S step_factors + Y change_factors, by row.
        """
        rows = self._rows()
        step_factors, change_factors = np.zeros((2, len(self._steps)))
        self.scale = 1.0
        if not len(rows):
            return step_factors, change_factors
        step_change = self._step_change[np.ix_(rows, rows)]
        change_change = self._change_change[np.ix_(rows, rows)]
        self.scale = self._times * float(step_change[-1, -1] / change_change[-1, -1])
        step_factors[rows], change_factors[rows] = two_loops(
            step_change, change_change, step_gradient[rows], change_gradient[rows], self.scale
        )
        return step_factors, change_factors

    def _combine(
        self, gradient: FloatArray, step_factors: Products, change_factors: Products
    ) -> float:
        """Write −H g into `direction`, and the gradient beside it; return the slope."""
        free = self._next % len(self._steps)
        change_factors[free] = self.scale  # of the gradient
        factors = -np.concatenate([step_factors, change_factors]).astype(gradient.dtype)

        def write(block: slice) -> float:
            # The gradient belongs to the objective: the row of the next pair keeps it until then.
            self._changes[free, block] = gradient[block]
            with np.errstate(over="ignore", invalid="ignore"):  # each thread has its own
                # All rows hold finite numbers, so those whose factor is 0 add nothing.
                # Not into its row, which is one of those that are read.
                direction = np.empty_like(gradient[block])
                self._both.combined(factors, block, direction)
                part_of_slope = self._both.dot(gradient[block], direction)
            self._steps[free, block] = direction
            self._release(block)
            return part_of_slope

        return sum(self._both.each(write))


def _step(serial: int) -> str:
    return f"step.{serial:06d}"


def _change(serial: int) -> str:
    return f"change.{serial:06d}"


def _products_of(serial: int) -> str:
    return f"products.{serial:06d}"
