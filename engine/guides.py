"""Guides of masks: how much every cell of every layer counts.

After Gatys et al. (2017, arXiv:1611.07865, section 4 and its supplement). A mask goes through the
layers as the picture does. In the *soft* way a cell of a pooling counts the average of the cells it
stands for; convolutions, whose cells stand for one each, leave a mask as it is. In the *inside* way
a cell counts the least of all that its receptive field sees, so that what counts has seen nothing
of the outside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from impasto.engine.backends.base import FloatArray
from impasto.engine.images import ByteArray
from impasto.engine.masks import resize_mask
from impasto.engine.network import Network
from impasto.export.encoder import LayerLike, window_count

__all__ = [
    "Guided",
    "cells_by_layer",
    "content_guides",
    "inner_cells",
    "region_guides",
    "style_guides",
]

Size = tuple[int, int]
Cells = TypeVar("Cells", FloatArray, npt.NDArray[np.bool_])

LEAST_CELLS = 1.0
"""Cells that a region must have at a layer: the statistics of less than one say nothing."""

MOST_LEFT_OUT = 0.25
"""Share of a style's rows, and of its columns, that is left out at each side of a layer at most."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Guided:
    """Guides of a picture.

    Parameters
    ----------
    guides : dict of str to ndarray
        ``guide.<name>`` of shape (1, 1, h, w): the root of how much a cell counts, scaled so that
        the sum of squares is h w; zeros where too little counts.
    areas : dict of str to float
        By the same names, the share of the layer's cells that count; 0 where too little does.
    """

    guides: dict[str, FloatArray]
    areas: dict[str, float]


def region_guides(
    network: Network, masks: Mapping[str, ByteArray], size: Size, edges: str
) -> Guided:
    """Return the guides of all style terms that have one, for an image of `size`.

    Parameters
    ----------
    network : Network
    masks : mapping of str to ndarray of shape (H, W)
        uint8, of every region; of any size.
    size : (height, width)
    edges : {"soft", "inside"}

    Notes
    -----
    That a region is too small for a layer is logged as a warning.
    """
    found = Guided({}, {})
    for region, mask in masks.items():
        layers = [name for name in network.style_layers if region in _regions(network, name)]
        cells = cells_by_layer(network, resize_mask(mask, size), edges)
        guided = _scaled({name: cells[name] for name in layers})
        for name in layers:
            found.guides[f"guide.{name}.{region}"] = guided.guides[f"guide.{name}"]
            found.areas[f"{name}.{region}"] = guided.areas[name]
        lost = [name for name in layers if not guided.areas[name]]
        if lost and mask.any():  # of black masks it is said when they are read
            logger.warning(
                "Region %s is less than a cell of %s at %dx%d pixels; it has no style there.",
                *(region, ", ".join(lost), size[1], size[0]),
            )
    return found


def style_guides(network: Network, mask: ByteArray | None, size: Size, edges: str) -> Guided:
    """Return ``guide.<layer>`` for every style layer of a style picture of `size`.

    Without a mask, all of it counts. If the image is a torus, only `inner_cells` do, unless a mask
    leaves none of them.
    """
    whole = np.full(size, 255, np.uint8)
    cells = cells_by_layer(network.flat, whole if mask is None else resize_mask(mask, size), edges)
    if network.wraps:
        used = {name: cells[name] for name in network.style_layers}
        cells = _inside(used, inner_cells(network, size))
    guided = _scaled({name: cells[name] for name in network.style_layers})
    lost = [name for name in network.style_layers if not guided.areas[name]]
    if lost and mask is not None and mask.any():
        logger.warning(
            "A style mask leaves less than a cell of %s at %dx%d pixels; its picture gives no "
            "style there.",
            *(", ".join(lost), size[1], size[0]),
        )
    return guided


def content_guides(network: Network, mask: ByteArray, size: Size) -> dict[str, FloatArray]:
    """Return ``content_guide.<layer>``: the root of how much a cell counts, not scaled."""
    cells = cells_by_layer(network, resize_mask(mask, size), "soft")
    return {
        f"content_guide.{name}": np.sqrt(cells[name])[None, None] for name in network.content_layers
    }


def cells_by_layer(network: Network, mask: ByteArray, edges: str) -> dict[str, FloatArray]:
    """Return how much each cell of each layer counts, from 0 to 1: float32 of shape (h, w).

    Parameters
    ----------
    network : Network
        If it wraps, a receptive field goes on at the other end.
    mask : ndarray of shape (H, W)
        uint8, of the image's size.
    edges : {"soft", "inside"}
    """
    wraps = network.wraps
    cells: FloatArray = mask.astype(np.float32)
    cells /= 255
    found = {}
    for layer in network.encoder.layers:
        if layer.kind != "relu":
            cells = _average(cells, layer) if edges == "soft" else _least(cells, layer, wraps)
        found[layer.name] = cells
    return found


def inner_cells(network: Network, size: Size) -> dict[str, tuple[slice, slice]]:
    """Return the rows and columns of each layer whose cells have not seen the picture's border.

    The others have seen the zeros that a convolution puts around a picture: what no place of a
    torus sees, so that a texture without borders cannot have their features and should not be asked
    for them.

    Parameters
    ----------
    network : Network
    size : (height, width)
        Of a style picture.

    Notes
    -----
    Of small pictures every cell of a deep layer has seen a border, if only by the far corner of its
    receptive field. So no more than `MOST_LEFT_OUT` of a layer's rows and columns are left out at
    each side: the outermost, which see most of the border.
    """
    seen_in = [np.ones(side, bool) for side in size]
    found = {}
    for layer in network.encoder.layers:
        if layer.kind != "relu":
            seen_in = [_least_rows(cells, layer, beyond=0) for cells in seen_in]
        found[layer.name] = (_inner(seen_in[0]), _inner(seen_in[1]))
    return found


def _inner(cells: npt.NDArray[np.bool_]) -> slice:
    """Return where the cells are that may count, a quarter at each end being the most to miss."""
    most = int(len(cells) * MOST_LEFT_OUT)
    before = most if not cells[: most + 1].any() else int(cells.argmax())
    behind = most if not cells[len(cells) - most - 1 :].any() else int(cells[::-1].argmax())
    return slice(before, len(cells) - behind)


def _inside(
    cells: Mapping[str, FloatArray], inner: Mapping[str, tuple[slice, slice]]
) -> dict[str, FloatArray]:
    """Return `cells` of which the inner ones count; the others, where these are less than one."""
    found = {}
    for name, each in cells.items():
        found[name] = each
        if each[inner[name]].sum(dtype=np.float64) >= LEAST_CELLS:
            found[name] = np.zeros_like(each)
            found[name][inner[name]] = each[inner[name]]
    return found


def _regions(network: Network, layer: str) -> Sequence[str]:
    return network.guides.regions.get(layer, ())


def _scaled(cells: Mapping[str, FloatArray]) -> Guided:
    """Return guides with a mean square of 1; layers that share an array share its guide."""
    found = Guided({}, {})
    known: dict[int, tuple[FloatArray, float]] = {}
    for name, each in cells.items():
        if id(each) not in known:
            total = float(each.sum(dtype=np.float64))
            if total < LEAST_CELLS:
                known[id(each)] = np.zeros((1, 1, *each.shape), np.float32), 0.0
            else:
                guide = np.sqrt(each * np.float32(each.size / total))[None, None]
                known[id(each)] = guide, total / each.size
        found.guides[f"guide.{name}"], found.areas[name] = known[id(each)]
    return found


def _average(cells: FloatArray, layer: LayerLike) -> FloatArray:
    """Average, for each cell of the output, over the input's cells that it stands for.

    Those are as many as the stride, around the middle of the window: of a pooling of 2 by 2, the
    window. Cells that lie in by a half count by a half.
    """
    if layer.stride == 1 and 2 * layer.padding == layer.kernel - 1:
        return cells
    return _along_both(cells, lambda each: _average_rows(each, layer))


def _average_rows(cells: FloatArray, layer: LayerLike) -> FloatArray:
    side = len(cells)
    count = window_count(layer, side)
    middles = np.arange(count) * layer.stride - layer.padding + layer.kernel / 2
    starts = np.clip(middles - layer.stride / 2, 0, side - 0.5)
    stops = np.clip(middles + layer.stride / 2, 0.5, side)
    total = np.zeros((count, *cells.shape[1:]), np.float32)
    first = np.floor(starts).astype(int)
    for offset in range(layer.stride + 1):
        at = first + offset
        share = np.clip(np.minimum(stops, at + 1) - np.maximum(starts, at), 0, None)
        share /= stops - starts
        total += share.astype(np.float32)[:, None] * cells[np.minimum(at, side - 1)]
    return total


def _least(cells: FloatArray, layer: LayerLike, wraps: bool) -> FloatArray:
    """Take the least of each window; beyond the picture there is no outside."""
    if layer.kernel == layer.stride == 1:
        return cells
    return _along_both(cells, lambda each: _least_rows(each, layer, beyond=None if wraps else 1))


def _least_rows(cells: Cells, layer: LayerLike, beyond: int | None) -> Cells:
    """Take the least of each window of rows; `beyond` them are such cells, or the other end's."""
    side = len(cells)
    steps = (window_count(layer, side) - 1) * layer.stride
    behind = max(0, steps + layer.kernel - layer.padding - side)
    around = ((layer.padding, behind), *((0, 0),) * (cells.ndim - 1))
    if beyond is None:
        padded = np.pad(cells, around, "wrap")
    else:
        padded = np.pad(cells, around, constant_values=beyond)
    windows = [padded[at : at + steps + 1 : layer.stride] for at in range(layer.kernel)]
    least: Cells = np.minimum.reduce(windows)
    return least


def _along_both(cells: FloatArray, change: Callable[[FloatArray], FloatArray]) -> FloatArray:
    rows = change(cells)
    return np.ascontiguousarray(change(rows.T).T)
