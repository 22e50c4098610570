"""The image a run begins from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from impasto.engine.color_transfer import (
    ColorMap,
    ColorStatistics,
    color_statistics,
    linear_transfer,
    mixed_statistics,
)
from impasto.engine.images import ByteArray, resize, to_network
from impasto.engine.inputs import Inputs
from impasto.engine.masks import resize_mask
from impasto.engine.mixture import regions_of, weights_at
from impasto.engine.objective import blend
from impasto.engine.options import Options
from impasto.engine.result import FloatArray
from impasto.engine.srgb import row_strips
from impasto.models.layer import Preprocessing

__all__ = ["first_image", "recolored"]

Size = tuple[int, int]

NOISE = 0.001
"""Standard deviation of the noise a picture begins from, in levels of 0-255."""

TEXTURE_NOISE = 5.0
"""The same of a texture: enough for features to tell its places apart, and gone in the end."""


def first_image(
    inputs: Inputs, size: Size, options: Options, preprocessing: Preprocessing
) -> FloatArray:
    """Return the image a run begins from.

    Parameters
    ----------
    inputs : Inputs
    size : (height, width)
    options : Options
    preprocessing : Preprocessing
        Of the model.

    Returns
    -------
    ndarray of shape (1, 3, height, width)
        float32 RGB, in levels of 0-255.

    Notes
    -----
    Noise is what neural-style starts from: normal with standard deviation 0.001 around the mean
    colour of the network's training pictures, which is 0 after preprocessing. That of a texture has
    a standard deviation of `TEXTURE_NOISE` around the mean colour of its styles.
    """
    if inputs.initial is not None:
        height, width = size
        return to_network(resize(inputs.initial, width, height))
    if options.init == "content":
        return to_network(inputs.content_at(size))
    if options.init == "recolored":
        return to_network(recolored(inputs, size, options))
    if inputs.photo is None:
        mean, deviation = _mean_colour(inputs, options), TEXTURE_NOISE
    else:
        order = -1 if preprocessing.channel_order == "bgr" else 1
        mean, deviation = np.array(preprocessing.mean[::order]), NOISE
    noise = np.random.default_rng(options.seed).standard_normal((1, 3, *size), np.float32)
    noise *= np.float32(deviation)
    noise += mean.astype(np.float32).reshape(1, 3, 1, 1)
    return noise


def recolored(inputs: Inputs, size: Size, options: Options) -> ByteArray:
    """Return the content in the colours of the styles that are painted.

    Mean and covariance of its colours become the styles', mixed by their blend weights
    (`impasto.engine.color_transfer`). With masks those of every region become its own styles', and
    what no style is painted on keeps its colours.

    Parameters
    ----------
    inputs : Inputs
    size : (height, width)
    options : Options

    Returns
    -------
    ndarray of shape (height, width, 3)
        uint8 RGB.
    """
    content = inputs.content_at(size)
    if not options.style_layers or options.style_weight == 0:
        return content
    masked: list[tuple[ByteArray, ColorMap]] = []
    for mask, change in _maps(inputs, content, options):
        if mask is None:
            return change(content)
        masked.append((mask, change))
    mixed = np.empty_like(content)
    for rows in row_strips(*size):
        mixed[rows] = _mixed(content[rows], [(mask[rows], each) for mask, each in masked])
    return mixed


def _maps(
    inputs: Inputs, content: ByteArray, options: Options
) -> Iterator[tuple[ByteArray | None, ColorMap]]:
    """Yield the mask, at the content's size, and the change of colours of every region."""
    height, width, _ = content.shape
    count = len(inputs.styles)
    regions = regions_of(options, count, transparent=inputs.cutout is not None)
    if not regions:
        target = _style_colors(inputs, _shares(options, range(count), count))
        yield None, linear_transfer(color_statistics(content), target)
    for region in regions:
        mask = resize_mask(inputs.masks.regions[region.name], (height, width))
        shares = _shares(options, region.styles, count)
        if mask.any() and any(shares):
            target = _style_colors(inputs, shares)
            yield mask, linear_transfer(color_statistics(content, mask), target)


def _shares(options: Options, members: Collection[int], count: int) -> tuple[float, ...]:
    """Return how much the colours of each style count among those of a region; all 0 for none.

    The shallowest layer knows most of colours: its blend weights count where styles have layers of
    their own.
    """
    for layer in options.style_layer_weights:
        own = weights_at(options, layer, count)
        shares = blend([own[place] * (place in members) for place in range(count)], count)
        if any(shares):
            return shares
    return (0.0,) * count


def _style_colors(inputs: Inputs, shares: Sequence[float]) -> ColorStatistics:
    """Return the statistics of the styles' colours, where their masks have something."""
    masks = inputs.masks.styles or (None,) * len(inputs.styles)
    counted = [
        (color_statistics(style, mask if mask is not None and mask.any() else None), share)
        for style, mask, share in zip(inputs.styles, masks, shares, strict=True)
        if share
    ]
    statistics, given = zip(*counted, strict=True)
    return mixed_statistics(statistics, given)


def _mixed(
    content: ByteArray, maps: Sequence[tuple[ByteArray, ColorMap]]
) -> npt.NDArray[np.float64]:
    """Return strips of one picture, changed by maps as much as their masks say, rounded.

    Where masks overlap and add up to more than white, they share the pixel.
    """
    shares = [mask[..., np.newaxis] / 255 for mask, _ in maps]
    total = sum(shares, np.zeros((1, 1, 1)))
    over = np.maximum(total, 1)
    mixed = (1 - total / over) * content
    for share, (_, change) in zip(shares, maps, strict=True):
        mixed += share / over * change(content)
    return np.rint(mixed, out=mixed)


def _mean_colour(inputs: Inputs, options: Options) -> npt.NDArray[np.float64]:
    """Return the mean of the styles' mean colours, by their blend weights."""
    shares = blend(options.style_blend_weights, len(inputs.styles))
    means = [style.mean(axis=(0, 1), dtype=np.float64) for style in inputs.styles]
    return np.average(means, axis=0, weights=shares)
