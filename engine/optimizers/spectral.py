"""A change of variables in which all spatial frequencies of a picture are about as steep.

Losses on the features of a network are far steeper in fine detail, to which its filters answer,
than in coarse shapes. In pixels an optimizer has to learn that from the curvature it meets on its
way; in scaled frequencies it need not. And the frequencies that hardly move can be told apart: an
optimizer need not remember them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from impasto.engine.optimizers.arrays import blocks, even_length
from impasto.engine.optimizers.team import Team
from impasto.engine.result import FloatArray

__all__ = ["EXPONENT", "SpectralScaling"]

AT_ONCE = 2**22
"""Entries up to which all channels are transformed in one call, which threads share better."""

EXPONENT = 0.4
"""Of the frequency in the amplitudes. See docs/default-preset.md for how it was chosen."""

OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Rows: brightness, red against blue, and green against both, of R, G and B; orthonormal.

About the principal components of the colours of pictures (Ohta, Kanade and Sakai 1980, "Color
information for region segmentation"), who have other lengths and signs.
"""

LOW = (1.0, 0.5, 0.5)
"""Up to which frequency, as a share of the Nyquist frequency along each side, an opponent colour is
among the leading variables. See docs/default-preset.md for how they were chosen."""

AT_A_TIME = 2**19
"""Entries of a block of rows or columns, at most, that a thread transforms along them and mixes or
scales while they are in its cache. Smaller ones took up to a fifth longer: short rows."""

PIECE = 3000
"""Pixels of a row whose colours are mixed in one product: too few for BLAS to call threads of its
own, which would spin afterwards (see `impasto.engine.optimizers.long_rows`)."""

MIXED_AT_A_TIME = 2**17
"""Entries that are mixed before they are added to a picture. Smaller ones took up to half as long
again, for threads wait for the interpreter's lock; larger ones no less."""

LINE = 64
"""Bytes of a cache line."""


class SpectralScaling:
    r"""The map x = Qᵀ C⁻¹ A z from variables z to pictures x.

    Q turns R, G and B into :data:`OPPONENT` colours; pictures of another number of channels keep
    theirs. C is the orthonormal two-dimensional discrete cosine transform (type 2) of every
    channel, which continues a picture by its mirror image, and A multiplies each frequency by
    :math:`f^{-p}`, with :math:`f = \sqrt{(k_y/h)^2 + (k_x/w)^2}` of the Nyquist frequency, for the
    mean that of the lowest other frequency. Steepest descent in z is descent with A² as the
    preconditioner in x; as Q is a rotation, and A the same for all channels, it has no part in it.

    What Q is for is the order of z: the first `leading` entries are the frequencies up to
    :data:`LOW`, and the rest hardly moves.

    Parameters
    ----------
    shape : tuple of int
        Of the image: (..., h, w). Anything but the last two axes counts as channels.
    dtype : dtype
        float32 or float64.
    team : Team, optional
        Who computes the transforms; by default the caller alone.
    exponent : float
        p.
    wraps : bool
        Whether the picture is a torus. Then x = F⁻¹ A F z with F the discrete Fourier transform,
        and the map commutes with every shift of the picture: no place in it is a border. z is in
        the order of the pixels, and all of it is leading.

    Attributes
    ----------
    leading : int
        Entries of z, from the first, that an optimizer should remember the curvature of.

    Notes
    -----
    Mordvintsev et al. (2018, "Differentiable Image Parameterizations") scale Fourier coefficients
    by 1/f for feature visualisation, of decorrelated colours; here the exponent is smaller, all
    colours are scaled alike, and the transform mirrors instead of wrapping around, so that opposite
    borders stay apart.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: type[np.floating] | np.dtype[np.floating],
        team: Team | None = None,
        exponent: float = EXPONENT,
        wraps: bool = False,
    ) -> None:
        height, width = shape[-2:]
        channels = math.prod(shape[:-2])
        self._shape = (channels, height, width)
        self._wraps = wraps
        rows, columns = _frequencies(height, width, wraps)
        squares = np.square(rows)[:, None] + np.square(columns)
        squares[0, 0] = (4 if wraps else 1) / max(height, width) ** 2
        self._scale = np.power(squares, -exponent / 2, out=squares).astype(dtype, copy=False)
        is_colour = channels == len(OPPONENT) and not wraps
        self._mixing = (OPPONENT if is_colour else np.eye(channels)).astype(dtype)
        self._bands = list(_bands(self._shape, LOW if is_colour else (1.0,) * channels))
        self.leading = max(band.stop for band in self._bands if band.is_low)
        # Kept, for memory that is new to the process takes longer to write to.
        at_once = self._parts()[0].stop
        padded = _row_length(width, self._scale.itemsize)
        spectrum = np.empty((0 if wraps else at_once, height, padded), dtype)
        self._spectrum = spectrum[:, :, :width]
        self._team = team or Team()
        self._rows = _blocks(height, at_once * width)
        self._columns = _blocks(width, at_once * height)

    @staticmethod
    def memory(entries: int, wraps: bool = False) -> tuple[int, int]:
        """Return the bytes it keeps, and those it works in besides, for a float32 photo."""
        channel = 4 * (entries // 3)
        at_once = 4 * entries if entries <= AT_ONCE else channel
        # On a torus, the spectrum and what is made of it.
        return (channel, 2 * at_once) if wraps else (channel + at_once, 0)

    @staticmethod
    def leading_of(entries: int, wraps: bool = False) -> int:
        """Return about how many variables of a colour picture of so many entries are leading."""
        return entries if wraps else round(entries * sum(low**2 for low in LOW) / len(LOW))

    def of_gradient(self, gradient: FloatArray, leading: FloatArray, rest: FloatArray) -> None:
        """Write A C Q g, the gradient for z: the leading entries and the rest; all flat."""
        from scipy.fft import dct  # takes a tenth of a second to import

        pixels, spectrum = gradient.reshape(self._shape), self._spectrum
        for part in self._parts():
            if self._wraps:
                leading.reshape(self._shape)[part] = self._filtered(pixels[part])
                continue

            def mix(rows: slice, mixing: FloatArray = self._mixing[part]) -> None:
                _mix(mixing, pixels[:, rows], spectrum[:, rows])
                _in_place(dct, spectrum[:, rows], 2)

            def take(columns: slice, part: slice = part) -> None:
                _in_place(dct, spectrum[:, :, columns], 1)
                for band, shown, frequencies, scale in self._bands_of(part, columns):
                    own = band.of(leading) if band.is_low else band.of(rest, self.leading)
                    np.multiply(frequencies, scale, out=own[:, shown])

            self._team.each(mix, self._rows)
            self._team.each(take, self._columns)

    def add_step(
        self, leading: FloatArray, rest: FloatArray, times: float, x: FloatArray, out: FloatArray
    ) -> None:
        """Write x + Qᵀ C⁻¹ A s to `out`, which may be `x`; all are flat.

        s is the leading entries, and `times` the rest.
        """
        from scipy.fft import idct

        spectrum = self._spectrum
        pixels, moved = x.reshape(self._shape), out.reshape(self._shape)
        for number, part in enumerate(self._parts()):
            if self._wraps:
                step = self._filtered(leading.reshape(self._shape)[part])
                np.add(pixels[part], step, out=moved[part])
                continue
            # A large picture's channels, one by one, each have their share of all colours.
            source = moved if number else pixels

            def put(columns: slice, part: slice = part) -> None:
                for band, shown, frequencies, scale in self._bands_of(part, columns):
                    own = band.of(leading) if band.is_low else band.of(rest, self.leading)
                    np.multiply(own[:, shown], scale, out=frequencies)
                    if not band.is_low:
                        with np.errstate(over="ignore", invalid="ignore"):
                            np.multiply(frequencies, times, out=frequencies)
                _in_place(idct, spectrum[:, :, columns], 1)

            def unmix(
                rows: slice,
                mixing: FloatArray = self._mixing[part],
                source: FloatArray = source,
            ) -> None:
                _in_place(idct, spectrum[:, rows], 2)
                _add_mixed(mixing.T, spectrum[:, rows], source[:, rows], moved[:, rows])

            self._team.each(put, self._columns)
            self._team.each(unmix, self._rows)

    def _parts(self) -> list[slice]:
        """Return the channels that are transformed at a time: all, or one of a large picture."""
        channels = self._shape[0]
        if math.prod(self._shape) <= AT_ONCE:
            return [slice(0, channels)]
        return [slice(channel, channel + 1) for channel in range(channels)]

    def _bands_of(
        self, part: slice, columns: slice
    ) -> Iterator[tuple[_Band, slice, FloatArray, FloatArray]]:
        """Return what bands of some channels have of some columns.

        Returns
        -------
        band, columns, frequencies, scale
            The columns are counted within the band; the others are views of the spectrum and of
            the table.
        """
        for band in self._bands:
            start = max(band.columns.start, columns.start)
            stop = min(band.columns.stop, columns.stop)
            if part.start <= band.channel < part.stop and start < stop:
                shown = slice(start - band.columns.start, stop - band.columns.start)
                place = band.rows, slice(start, stop)
                channel = self._spectrum[band.channel - part.start]
                yield band, shown, channel[place], self._scale[place]

    def _filtered(self, source: FloatArray) -> FloatArray:
        """Return F⁻¹ A F of channels."""
        from scipy.fft import irfft2, rfft2

        found = rfft2(source, axes=(1, 2), workers=self._team.threads)
        found *= self._scale
        filtered: FloatArray = irfft2(
            found, s=source.shape[1:], axes=(1, 2), workers=self._team.threads, overwrite_x=True
        )
        return filtered


@dataclass(frozen=True)
class _Band:
    """A rectangle of frequencies of a channel, and where it is among the variables."""

    is_low: bool
    channel: int
    rows: slice
    columns: slice
    start: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def stop(self) -> int:
        """First variable that is not of it any more."""
        return self.start + math.prod(self.shape)

    def of(self, variables: FloatArray, first: int = 0) -> FloatArray:
        """Return a view of its variables, given those from the `first` on."""
        return variables[self.start - first : self.stop - first].reshape(self.shape)


def _bands(shape: tuple[int, int, int], low: tuple[float, ...]) -> Iterator[_Band]:
    """Return the bands of all channels in the order of z: the low ones, and then what is left."""
    _, height, width = shape
    start = 0
    for is_low in (True, False):
        for channel, share in enumerate(low):
            top, left = math.ceil(height * share), math.ceil(width * share)
            rectangles = (
                [(slice(0, top), slice(0, left))]
                if is_low
                else [(slice(0, top), slice(left, width)), (slice(top, height), slice(0, width))]
            )
            for rows, columns in rectangles:
                band = _Band(is_low, channel, rows, columns, start)
                if band.stop > start:
                    yield band
                start = band.stop


def _mix(mixing: FloatArray, source: FloatArray, target: FloatArray) -> None:
    """Write colours of `source`, mixed, to `target`; both (channels, h, w)."""
    by_row, mixed = source.swapaxes(0, 1), target.swapaxes(0, 1)
    for piece in blocks(source.shape[2], PIECE):
        np.matmul(mixing, by_row[:, :, piece], out=mixed[:, :, piece])


def _add_mixed(
    mixing: FloatArray, step: FloatArray, source: FloatArray, target: FloatArray
) -> None:
    """Write `source` and the colours of `step`, mixed, to `target`; all (channels, h, w)."""
    channels, height, width = source.shape
    most = max(1, MIXED_AT_A_TIME // (channels * width))
    room = np.empty_like(source[:, :most])
    for rows in blocks(height, most):
        mixed = room[:, : rows.stop - rows.start]
        _mix(mixing, step[:, rows], mixed)
        np.add(source[:, rows], mixed, out=target[:, rows])


def _in_place(transform: Callable[..., Any], array: FloatArray, axis: int) -> None:
    """Put what SciPy's transform of an array is in its place; SciPy itself does, if it can."""
    found = transform(array, axis=axis, norm="ortho", overwrite_x=True)
    if not np.may_share_memory(found, array):
        np.copyto(array, found)


def _blocks(length: int, others: int) -> list[slice]:
    """Return blocks of rows or columns, of so many entries each, for threads to share."""
    return list(blocks(length, even_length(length, max(1, AT_A_TIME // others))))


def _row_length(width: int, itemsize: int) -> int:
    """Return how many entries apart rows are to be: an odd number of cache lines.

    A column then is in all parts of the cache. Of rows a power of two apart it is in few, and does
    not fit: transforms along columns took twice as long for 1024 entries, and for 512 a fifth more.
    """
    return (math.ceil(width * itemsize / LINE) | 1) * LINE // itemsize


def _frequencies(height: int, width: int, wraps: bool) -> tuple[FloatArray, FloatArray]:
    """Return those of the transform's rows and columns, as shares of the Nyquist frequency."""
    if wraps:
        rows, columns = 2 * np.fft.fftfreq(height), 2 * np.fft.rfftfreq(width)
        return rows.astype(np.float32), columns.astype(np.float32)
    ys, xs = (np.arange(side, dtype=np.float32) for side in (height, width))
    return np.divide(ys, height, out=ys), np.divide(xs, width, out=xs)
