"""Winograd's minimal filtering F(4×4, 3×3) for wide 3×3 convolutions, in standard operators.

A tile of 4×4 outputs takes 36 multiplications for each pair of channels instead of 144 (Lavin and
Gray 2016, arXiv:1509.09308). The transforms before and after the products cost memory traffic that
does not grow with the channels, so it pays where there are many: `Worthwhile` says where.

For input D in tiles d of 6×6, weights g and outputs y in tiles of 4×4:

====================  ============================================================================
tiles                 d[p, k, c], a Gather of whole rows of channels from the padded input
V = Bᵀ d B            one product with the 36×36 matrix Bᵀ⊗Bᵀ for each tile
U = G g Gᵀ            one product with the 36×9 matrix G⊗G, for all weights
M[k] = V[k] U[k]      36 products over the channels: the arithmetic
y = Aᵀ M A            one product with the 16×36 matrix Aᵀ⊗Aᵀ
====================  ============================================================================

All of it is channels-last, because then every copy moves whole rows of channels;
`impasto.export.lowerings.channels_last` keeps what lies between two convolutions in that layout.

Notes
-----
U is four times as large as g: 400 MB for the layers of VGG-19 in both directions. So it is computed
in the graph, at each evaluation, which costs about a tenth of M. A runtime would fold what depends
on constants only, and keep all of U; a factor x⁰ = 1 of a value x of the input prevents it.

Rounding errors depend on the points of evaluation. The relative rms error against float64, for
products over 256 channels in float32, was 1.1e-6 for (0, ±5/8, ±3/2, ∞), the least of 153 sets
(0, ±a, ±b, ∞) in eighths, and 2.6e-6 for Lavin and Gray's (0, ±1, ±2, ∞); Barabasz et al. (2020,
doi:10.1145/3412380) explain why such sets differ. bfloat16 is out of the question: 3 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.export.graph import GraphBuilder
from impasto.export.lowerings.toom_cook import toom_cook

__all__ = ["Pads", "Worthwhile", "append_winograd", "output_size", "tile_counts"]

TILE = 4
TAPS = 3
SIDE = TILE + TAPS - 1  # of the input's tile

POINTS = tuple(Fraction(*ratio) for ratio in ((0, 1), (5, 8), (-5, 8), (3, 2), (-3, 2)))
TRANSFORMS = toom_cook(POINTS, TAPS).squared()

Pads = tuple[int, int, int, int]
"""Rows above, columns left, rows below, columns right, as in ONNX."""


@dataclass(frozen=True)
class Worthwhile:
    """A row of the table that says for which convolutions Winograd pays.

    Parameters
    ----------
    channels : int
        Least harmonic mean of the channels of input and output, 2 C O / (C + O): the products save
        time in proportion to C O, and the transforms cost time in proportion to C + O.
    tiles : int
        Fewest tiles: below, transforming the weights costs more than it saves.
    """

    channels: int
    tiles: int

    def covers(self, weight: tuple[int, ...], tiles: int) -> bool:
        """Whether a convolution with a weight of this shape and so many tiles is in the row."""
        channels_out, channels_in = weight[:2]
        mean = 2 * channels_in * channels_out / (channels_in + channels_out)
        return mean >= self.channels and tiles >= self.tiles


def output_size(size: tuple[int, int], pads: Pads) -> tuple[int, int]:
    """Return (height, width) of what a 3×3 convolution makes of `size`."""
    top, left, bottom, right = pads
    return size[0] + top + bottom - TAPS + 1, size[1] + left + right - TAPS + 1


def tile_counts(size: tuple[int, int], pads: Pads) -> tuple[int, int]:
    """Return how many tiles cover the output, along its height and its width."""
    height, width = output_size(size, pads)
    return -(-height // TILE), -(-width // TILE)


def append_winograd(
    graph: GraphBuilder,
    image: str,
    size: tuple[int, int],
    weight: npt.NDArray[Any],
    bias: str,
    pads: Pads,
) -> str:
    """Append a 3×3 convolution with stride 1, and return its output, channels-last.

    Parameters
    ----------
    graph : GraphBuilder
        Where the nodes go, named in its current scope.
    image : str
        The input, channels-last: of shape (1, height, width, C).
    size : (height, width)
        Of the input. Any size: the last tiles are filled up with zeros and cut.
    weight : ndarray of shape (O, C, 3, 3)
    bias : str
        Value of shape (O,), or an empty string.
    pads : tuple
        Zeros around the input.

    Returns
    -------
    str
        The output, of shape (1, height', width', O).
    """
    channels_out, channels, *_ = weight.shape
    rows, columns = tile_counts(size, pads)
    padded = _padded(graph, image, size, pads, channels)
    weights = _transformed_weights(graph, padded, weight)
    gathered = graph.op("Gather", padded, _tile_cells(graph, rows, columns), name="tiles", axis=0)
    tiles = graph.op("MatMul", _constant(graph, TRANSFORMS.input), gathered, name="transformed")
    products = graph.op(
        "MatMul", graph.op("Transpose", tiles, perm=[1, 0, 2], name="by_point"), weights,
        name="products",
    )  # fmt: skip
    flat = graph.op("Reshape", products, graph.constant([SIDE**2, -1]), name="flat")
    outputs = graph.op("MatMul", _constant(graph, TRANSFORMS.output), flat, name="outputs")
    return _assembled(graph, outputs, (rows, columns), channels_out, output_size(size, pads), bias)


def _padded(
    graph: GraphBuilder, image: str, size: tuple[int, int], pads: Pads, channels: int
) -> str:
    """Return the input with zeros around and up to whole tiles, as rows of channels."""
    rows, columns = tile_counts(size, pads)
    top, left = pads[:2]
    bottom = rows * TILE + TAPS - 1 - size[0] - top
    right = columns * TILE + TAPS - 1 - size[1] - left
    if any((top, left, bottom, right)):
        widths = graph.constant([0, top, left, 0, 0, bottom, right, 0], "pads")
        image = graph.op("Pad", image, widths, name="padded")
    return graph.op("Reshape", image, graph.constant([-1, channels]), name="cells")


def _tile_cells(graph: GraphBuilder, rows: int, columns: int) -> str:
    """Return, for each tile and each of its 36 cells, the number of the cell in the input."""
    width = columns * TILE + TAPS - 1
    corner = TILE * (width * np.arange(rows)[:, None] + np.arange(columns))
    inside = width * np.arange(SIDE)[:, None] + np.arange(SIDE)
    cells = corner.reshape(-1, 1) + inside.reshape(1, -1)
    return graph.constant(cells.astype(np.int64), "tile_cells")


def _transformed_weights(graph: GraphBuilder, cells: str, weight: npt.NDArray[Any]) -> str:
    """Return U, of shape (36, C, O), computed when `cells` is there, and not before.

    The transposition is of all of it, so that ONNX Runtime takes it into the product.
    """
    channels_out, channels, *_ = weight.shape
    first = graph.op("Slice", cells, graph.constant([0, 0]), graph.constant([1, 1]), name="any")
    one = graph.op("Pow", first, graph.constant(0.0, "zero"), name="one")
    transform = graph.op("Mul", _constant(graph, TRANSFORMS.filter), one, name="filter_transform")
    taps = weight.transpose(2, 3, 0, 1).reshape(TAPS**2, -1)
    values = graph.op("MatMul", transform, _constant(graph, taps, "taps"), name="weights")
    shape = graph.constant([SIDE**2, channels_out, channels])
    by_point = graph.op("Reshape", values, shape, name="weights_by_point")
    return graph.op("Transpose", by_point, perm=[0, 2, 1], name="weights_turned")


def _assembled(
    graph: GraphBuilder,
    outputs: str,
    tiles: tuple[int, int],
    channels: int,
    size: tuple[int, int],
    bias: str,
) -> str:
    """Return the picture of which `outputs`, of shape (16, tiles · channels), are the tiles."""
    rows, columns = tiles
    split = graph.constant([TILE, TILE, rows, columns, channels])
    cells = graph.op("Reshape", outputs, split, name="output_tiles")
    mixed = graph.op("Transpose", cells, perm=[2, 0, 3, 1, 4], name="side_by_side")
    whole = (rows * TILE, columns * TILE)
    image = graph.op("Reshape", mixed, graph.constant([1, *whole, channels]), name="whole_tiles")
    if whole != size:
        image = graph.op(
            "Slice", image, graph.constant([0, 0]), graph.constant(list(size)),
            graph.constant([1, 2]), name="cut",
        )  # fmt: skip
    return graph.op("Add", image, bias, name="biased") if bias else image


def _constant(graph: GraphBuilder, value: npt.NDArray[Any], name: str = "transform") -> str:
    return graph.constant(value.astype(graph.dtype), name)
