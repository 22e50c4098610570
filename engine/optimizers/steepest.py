"""Steepest descent beside L-BFGS, for variables that hardly move: no pairs, and one step length."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from impasto.engine.optimizers.base import Numbers
from impasto.engine.optimizers.long_rows import LongRows
from impasto.engine.optimizers.state import StateReader
from impasto.engine.result import FloatArray

__all__ = ["Steepest"]


class Steepest:
    """The direction −min(a, b) g, with a told and b what the last step of these variables fits.

    L-BFGS's H₀ = a I comes from other variables. Where these are steeper, such a step would
    overshoot, and no pair would tell. So it is at most b = (y·s / y·y) of their own last step
    s and change of gradient y, the shorter step length of Barzilai and Borwein (1988, "Two-point
    step size gradient methods"), which is at most 1 / λ for some curvature λ there is.

    Parameters
    ----------
    size : int
        Variables; there may be none.
    dtype : dtype
        Of all arrays.
    threads : int
        Of the products. The numbers do not depend on it.

    Attributes
    ----------
    direction : ndarray
        Of the last :meth:`update`, until :meth:`move`.
    """

    def __init__(self, size: int, dtype: npt.DTypeLike, threads: int = 1) -> None:
        self.direction: FloatArray = np.zeros(size, dtype)
        self._row = LongRows(self.direction.reshape(1, -1), threads)
        self._rate = 0.0
        """Times the last gradient and -1, what `direction` is; 0 if it is nothing."""
        self._square = 0.0
        """g·g of that gradient."""
        self._longest = math.inf

    def forget(self) -> None:
        """Go back to knowing nothing."""
        self._rate = 0.0
        self._longest = math.inf
        # What led here may be a direction that is not finite.
        self.direction[...] = 0

    def update(self, gradient: FloatArray, scale: float) -> None:
        """Take in the gradient at the new iterate, and `scale`, which is a."""
        if not gradient.size:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            step_gradient = square = 0.0
            for products in self._row.each(lambda block: self._products(gradient, block)):
                step_gradient += products[0]
                square += products[1]
            if self._rate:
                # y = g + s / rate
                curvature = step_gradient + self._rate * self._square
                change = square + 2 * step_gradient / self._rate + self._square
                is_sound = 0 < curvature < math.inf and 0 < change < math.inf
                self._longest = curvature / change if is_sound else math.inf
            self._square = square
            self._rate = min(scale, self._longest)
            np.multiply(gradient, -self._rate, out=self.direction)

    def move(self, length: float) -> FloatArray:
        """Return the step of `length` along the direction."""
        if length != 1.0:
            # The next evaluation answers an iterate that is not finite.
            with np.errstate(over="ignore", invalid="ignore"):
                self.direction *= length
        self._rate *= length
        return self.direction

    def numbers(self) -> Numbers:
        """Return the numbers of a state to be taken between :meth:`update` and :meth:`move`."""
        return {"rest.longest": self._longest} if math.isfinite(self._longest) else {}

    def restore(self, reader: StateReader) -> None:
        """Go back to what :meth:`numbers` told; :meth:`update` then takes the saved gradient."""
        told = "rest.longest"
        self._longest = reader.real(told, 0.0) if told in reader else math.inf

    def _products(self, gradient: FloatArray, block: slice) -> tuple[float, float]:
        """Return s·g and g·g within a block."""
        part = gradient[block]
        with np.errstate(over="ignore", invalid="ignore"):  # each thread has its own
            return float(self._row.times(gradient, block)[0]), self._row.dot(part, part)
