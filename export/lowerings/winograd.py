"""Winograd's minimal filtering for wide 3×3 and 5×5 convolutions, in standard operators.

F(4×4, 3×3): a tile of 4×4 outputs takes 36 multiplications for each pair of channels instead of 144
(Lavin and Gray 2016, arXiv:1509.09308); F(2×2, 5×5): one of 2×2 outputs 36 instead of 100. The
transforms before and after the products cost memory traffic that does not grow with the channels,
so it pays where there are many: `Worthwhile` says where.

For input D in tiles d of 6×6, weights g and outputs y in tiles of 4×4 (and 2×2 for 5×5 weights):

====================  ============================================================================
tiles                 d[p, k, c], a Gather of whole rows of channels from the padded input
V = Bᵀ d B            one product with the 36×36 matrix Bᵀ⊗Bᵀ for each tile
U = G g Gᵀ            one product with the 36×9 (36×25) matrix G⊗G, for all weights
M[k] = V[k] U[k]      36 products over the channels: the arithmetic
y = Aᵀ M A            one product with the 16×36 (4×36) matrix Aᵀ⊗Aᵀ
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
doi:10.1145/3412380) explain why such sets differ. In bfloat16 a convolution had an error of 3 % in
a prototype; VGG-19's gradient, which rounds to bfloat16 everywhere, has on the first-use check's
probe a cosine of 0.9974, and 0.9981 with direct convolutions (OpenVINO on an AMD EPYC,
``benchmarks/verification.py --lowerings nhwc nhwc-winograd``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.export.graph import GraphBuilder
from impasto.export.lowerings.toom_cook import Transforms, toom_cook

__all__ = ["FILTERS", "Filter", "Pads", "Worthwhile", "append_winograd"]

SIDE = 6  # of the input's tile

MOST_TILES = 512
"""Tiles that are transformed together: what is computed of them stays in the caches, and takes
little memory."""

POINTS = tuple(Fraction(*ratio) for ratio in ((0, 1), (5, 8), (-5, 8), (3, 2), (-3, 2)))

Pads = tuple[int, int, int, int]
"""Rows above, columns left, rows below, columns right, as in ONNX."""


Size = tuple[int, int]


@dataclass(frozen=True)
class Filter:
    """Minimal filtering with kernels of one size.

    Parameters
    ----------
    taps : int
        Side of the kernel.
    transforms : Transforms
        In two dimensions.
    """

    taps: int
    transforms: Transforms

    @property
    def tile(self) -> int:
        """Side of a tile of outputs."""
        return SIDE + 1 - self.taps

    def output_size(self, size: Size, pads: Pads) -> Size:
        """Return (height, width) of what a convolution makes of `size`."""
        top, left, bottom, right = pads
        return size[0] + top + bottom - self.taps + 1, size[1] + left + right - self.taps + 1

    def tile_counts(self, size: Size, pads: Pads) -> Size:
        """Return how many tiles cover the output, along its height and its width."""
        height, width = self.output_size(size, pads)
        return -(-height // self.tile), -(-width // self.tile)


FILTERS: Mapping[int, Filter] = MappingProxyType(
    {taps: Filter(taps, toom_cook(POINTS, taps).squared()) for taps in (3, 5)}
)
"""By the side of the kernel. All have tiles of `SIDE` inputs, and so the same points."""


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
    taps : int
        Side of the kernels the row is about.
    """

    channels: int
    tiles: int
    taps: int = 3

    def covers(self, weight: tuple[int, ...], tiles: int) -> bool:
        """Whether a convolution with a weight of this shape and so many tiles is in the row."""
        channels_out, channels_in, *kernel = weight
        mean = 2 * channels_in * channels_out / (channels_in + channels_out)
        return kernel == [self.taps] * 2 and mean >= self.channels and tiles >= self.tiles


def append_winograd(
    graph: GraphBuilder,
    image: str,
    size: Size,
    weight: npt.NDArray[Any],
    bias: str,
    pads: Pads,
) -> str:
    """Append a convolution with stride 1, and return its output, channels-last.

    Parameters
    ----------
    graph : GraphBuilder
        Where the nodes go, named in its current scope.
    image : str
        The input, channels-last: of shape (1, height, width, C).
    size : (height, width)
        Of the input. Any size: the last tiles are filled up with zeros and cut.
    weight : ndarray of shape (O, C, taps, taps)
        With a number of taps that `FILTERS` has.
    bias : str
        Value of shape (O,), or an empty string.
    pads : tuple
        Zeros around the input.

    Returns
    -------
    str
        The output, of shape (1, height', width', O).
    """
    channels_out, channels, taps, _ = weight.shape
    minimal = FILTERS[taps]
    tiles = minimal.tile_counts(size, pads)
    padded = _padded(graph, image, size, pads, channels, minimal)
    weights = _transformed_weights(graph, padded, weight)
    cells = _tile_cells(tiles, minimal)
    bands = []
    for numbers in _bands(tiles):
        gathered = graph.op(
            "Gather", padded, graph.constant(cells[numbers].reshape(-1, SIDE**2), "tile_cells"),
            name="tiles", axis=0,
        )  # fmt: skip
        values = graph.op(
            "MatMul", _constant(graph, minimal.transforms.input), gathered, name="transformed"
        )
        by_point = graph.op("Transpose", values, perm=[1, 0, 2], name="by_point")
        products = graph.op("MatMul", by_point, weights, name="products")
        flat = graph.op("Reshape", products, graph.constant([SIDE**2, -1]), name="flat")
        outputs = graph.op(
            "MatMul", _constant(graph, minimal.transforms.output), flat, name="outputs"
        )
        shape = (numbers.stop - numbers.start, tiles[1])
        bands.append(_side_by_side(graph, outputs, shape, minimal.tile, channels_out))
    image = bands[0] if len(bands) == 1 else graph.op("Concat", *bands, name="bands", axis=1)
    whole = (tiles[0] * minimal.tile, tiles[1] * minimal.tile)
    return _finished(graph, image, whole, minimal.output_size(size, pads), bias)


def _bands(tiles: Size) -> list[slice]:
    """Return the rows of tiles that are computed together."""
    rows, columns = tiles
    count = -(-rows * columns // MOST_TILES)
    ends = [round(rows * number / count) for number in range(count + 1)]
    return [slice(*pair) for pair in pairwise(ends) if pair[0] < pair[1]]


def _padded(
    graph: GraphBuilder, image: str, size: Size, pads: Pads, channels: int, minimal: Filter
) -> str:
    """Return the input with zeros around and up to whole tiles, as rows of channels."""
    rows, columns = minimal.tile_counts(size, pads)
    top, left = pads[:2]
    bottom = rows * minimal.tile + minimal.taps - 1 - size[0] - top
    right = columns * minimal.tile + minimal.taps - 1 - size[1] - left
    if any((top, left, bottom, right)):
        widths = graph.constant([0, top, left, 0, 0, bottom, right, 0], "pads")
        image = graph.op("Pad", image, widths, name="padded")
    return graph.op("Reshape", image, graph.constant([-1, channels]), name="cells")


def _tile_cells(tiles: Size, minimal: Filter) -> npt.NDArray[np.int64]:
    """Return, for each tile and each of its 36 cells, the number of the cell in the input.

    Of shape (rows, columns, 36).
    """
    rows, columns = tiles
    width = columns * minimal.tile + minimal.taps - 1
    corner = minimal.tile * (width * np.arange(rows)[:, None] + np.arange(columns))
    inside = width * np.arange(SIDE)[:, None] + np.arange(SIDE)
    return (corner[:, :, None] + inside.reshape(1, 1, -1)).astype(np.int64)


def _transformed_weights(graph: GraphBuilder, cells: str, weight: npt.NDArray[Any]) -> str:
    """Return U, of shape (36, C, O), computed when `cells` is there, and not before.

    The transposition is of all of it, so that ONNX Runtime takes it into the product.
    """
    channels_out, channels, side, _ = weight.shape
    first = graph.op("Slice", cells, graph.constant([0, 0]), graph.constant([1, 1]), name="any")
    one = graph.op("Pow", first, graph.constant(0.0, "zero"), name="one")
    constant = _constant(graph, FILTERS[side].transforms.filter)
    transform = graph.op("Mul", constant, one, name="filter_transform")
    taps = weight.transpose(2, 3, 0, 1).reshape(side**2, -1)
    values = graph.op("MatMul", transform, _constant(graph, taps, "taps"), name="weights")
    shape = graph.constant([SIDE**2, channels_out, channels])
    by_point = graph.op("Reshape", values, shape, name="weights_by_point")
    return graph.op("Transpose", by_point, perm=[0, 2, 1], name="weights_turned")


def _side_by_side(graph: GraphBuilder, outputs: str, tiles: Size, side: int, channels: int) -> str:
    """Return the picture of which `outputs`, of shape (side², tiles · channels), are the tiles."""
    rows, columns = tiles
    split = graph.constant([side, side, rows, columns, channels])
    cells = graph.op("Reshape", outputs, split, name="output_tiles")
    mixed = graph.op("Transpose", cells, perm=[2, 0, 3, 1, 4], name="side_by_side")
    shape = graph.constant([1, rows * side, columns * side, channels])
    return graph.op("Reshape", mixed, shape, name="whole_tiles")


def _finished(graph: GraphBuilder, image: str, whole: Size, size: Size, bias: str) -> str:
    """Return the picture without what its last tiles have beyond it, and with the bias."""
    if whole != size:
        image = graph.op(
            "Slice", image, graph.constant([0, 0]), graph.constant(list(size)),
            graph.constant([1, 2]), name="cut",
        )  # fmt: skip
    return graph.op("Add", image, bias, name="biased") if bias else image


def _constant(graph: GraphBuilder, value: npt.NDArray[Any], name: str = "transform") -> str:
    return graph.constant(value.astype(graph.dtype), name)
