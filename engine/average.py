"""A moving average of the images of a run, which is smoother than any one of them."""

from __future__ import annotations

import numpy as np

from impasto.engine.optimizers.arrays import blocks, read_only, scratch
from impasto.engine.result import FloatArray

__all__ = ["MovingAverage"]


class MovingAverage:
    r"""An exponentially decaying mean, corrected for its beginning.

    Of :math:`x_1, \dots, x_k` with a decay d

    .. math:: a_k = \frac{(1-d) \sum_i d^{k-i} x_i}{1 - d^k}
              = a_{k-1} + \frac{1-d}{1-d^k} (x_k - a_{k-1})

    so that the weights' sum is 1 from the first image on. crowsonkb/style-transfer-pytorch averages
    so, with a decay of 0.99; the correction is that of Adam (Kingma and Ba 2015, section 3).

    Parameters
    ----------
    decay : float
        d, from 0 (the last image alone) to below 1.
    shape : tuple of int
        Of the images.
    value : ndarray, optional
        The average to go on from; copied.
    count : int
        Images in it.

    Attributes
    ----------
    count : int
    """

    def __init__(
        self,
        decay: float,
        shape: tuple[int, ...],
        value: FloatArray | None = None,
        count: int = 0,
    ) -> None:
        self._decay = decay
        self._value: FloatArray = np.zeros(shape, np.float32)
        self.count = count
        if value is not None:
            np.copyto(self._value, value)

    @property
    def image(self) -> FloatArray:
        """The average, a read-only view that the next image changes."""
        return read_only(self._value)

    def add(self, image: FloatArray) -> None:
        """Take in an image. Where Ctrl-C cuts it short, some pixels have it and others do not."""
        share = (1 - self._decay) / (1 - self._decay ** (self.count + 1))
        value, new = self._value.reshape(-1), image.reshape(-1)
        step = scratch(value.size, value.dtype)
        for block in blocks(value.size):
            part = step[: block.stop - block.start]
            np.subtract(new[block], value[block], out=part)
            part *= share
            value[block] += part
        self.count += 1
