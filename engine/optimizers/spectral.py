"""A change of variables in which all spatial frequencies of a picture are about as steep.

Losses on the features of a network are far steeper in fine detail, to which its filters answer,
than in coarse shapes. In pixels an optimizer has to learn that from the curvature it meets on its
way; in scaled frequencies it need not.
"""

from __future__ import annotations

import numpy as np

from impasto.engine.result import FloatArray

__all__ = ["EXPONENT", "SpectralScaling"]

AT_ONCE = 2**22
"""Entries up to which all channels are transformed in one call, which threads share better."""

EXPONENT = 0.4
"""Of the frequency in the amplitudes. See docs/default-preset.md for how it was chosen."""


class SpectralScaling:
    r"""The map x = C⁻¹ A z from variables z to pictures x.

    C is the orthonormal two-dimensional discrete cosine transform (type 2) of every channel, which
    continues a picture by its mirror image, and A multiplies each frequency by
    :math:`f^{-p}`, with :math:`f = \sqrt{(k_y/h)^2 + (k_x/w)^2}` of the Nyquist frequency, for the
    mean that of the lowest other frequency. Steepest descent in z is descent with A² as the
    preconditioner in x.

    Parameters
    ----------
    shape : tuple of int
        Of the image: (..., h, w). Anything but the last two axes counts as channels.
    dtype : dtype
        float32 or float64.
    threads : int
        Of the transforms.
    exponent : float
        p.
    wraps : bool
        Whether the picture is a torus. Then x = F⁻¹ A F z with F the discrete Fourier transform,
        and the map commutes with every shift of the picture: no place in it is a border.

    Notes
    -----
    Mordvintsev et al. (2018, "Differentiable Image Parameterizations") scale Fourier coefficients
    by 1/f for feature visualisation; here the exponent is smaller, and the transform mirrors
    instead of wrapping around, so that opposite borders stay apart.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: type[np.floating] | np.dtype[np.floating],
        threads: int = 1,
        exponent: float = EXPONENT,
        wraps: bool = False,
    ) -> None:
        height, width = shape[-2:]
        self._shape = (-1, height, width)
        self._threads = threads
        self._wraps = wraps
        rows, columns = _frequencies(height, width, wraps)
        squares = np.square(rows)[:, None] + np.square(columns)
        squares[0, 0] = (4 if wraps else 1) / max(height, width) ** 2
        self._scale = np.power(squares, -exponent / 2, out=squares).astype(dtype, copy=False)

    @staticmethod
    def memory(entries: int, wraps: bool = False) -> tuple[int, int]:
        """Return the bytes of its table, and of what it works in, for a float32 colour picture."""
        channel = 4 * (entries // 3)
        copies = 2 if wraps else 1  # the spectrum, and what is made of it
        return channel, copies * (4 * entries if entries <= AT_ONCE else channel)

    def of_gradient(self, gradient: FloatArray, out: FloatArray) -> None:
        """Write A C g, the gradient for z, to `out`; both flat."""
        from scipy.fft import dctn  # takes a tenth of a second to import

        for source, target in zip(self._parts(gradient), self._parts(out), strict=True):
            if self._wraps:
                target[...] = self._filtered(source)
                continue
            # In place, if SciPy can: memory that is new to the process takes longer to write to.
            np.copyto(target, source)
            found = dctn(target, axes=(1, 2), norm="ortho", workers=self._threads, overwrite_x=True)
            np.multiply(found, self._scale, out=target)

    def add_step(self, step: FloatArray, x: FloatArray) -> None:
        """Add C⁻¹ A s, the step of x, to `x` in place; both flat."""
        from scipy.fft import idctn

        for source, target in zip(self._parts(step), self._parts(x), strict=True):
            if self._wraps:
                target += self._filtered(source)
                continue
            scaled = source * self._scale
            target += idctn(
                scaled, axes=(1, 2), norm="ortho", workers=self._threads, overwrite_x=True
            )

    def _filtered(self, source: FloatArray) -> FloatArray:
        """Return F⁻¹ A F of channels."""
        from scipy.fft import irfft2, rfft2

        found = rfft2(source, axes=(1, 2), workers=self._threads)
        found *= self._scale
        filtered: FloatArray = irfft2(
            found, s=source.shape[1:], axes=(1, 2), workers=self._threads, overwrite_x=True
        )
        return filtered

    def _parts(self, flat: FloatArray) -> list[FloatArray]:
        """Return what is transformed at a time: all channels, or one of a large picture."""
        channels = flat.reshape(self._shape)
        return [channels] if flat.size <= AT_ONCE else list(channels[:, np.newaxis])


def _frequencies(height: int, width: int, wraps: bool) -> tuple[FloatArray, FloatArray]:
    """Return those of the transform's rows and columns, as shares of the Nyquist frequency."""
    if wraps:
        rows, columns = 2 * np.fft.fftfreq(height), 2 * np.fft.rfftfreq(width)
        return rows.astype(np.float32), columns.astype(np.float32)
    ys, xs = (np.arange(side, dtype=np.float32) for side in (height, width))
    return np.divide(ys, height, out=ys), np.divide(xs, width, out=xs)
