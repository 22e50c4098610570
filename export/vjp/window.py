"""Sliding windows of convolutions and poolings: where they lie, and how to scatter back from them.

Along one axis, output y reads the padded input at ``y·stride + offset·dilation``. To scatter back,
the offsets are sorted by *phase* (offset modulo stride): the cells of one phase form an image of
output size, shifted by ``offset // stride``; the phases interleave to the full image
(DepthToSpace). This needs neither ConvTranspose nor ScatterND.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from impasto.errors import DifferentiationError
from impasto.export.registry import VjpContext
from impasto.export.vjp.sizes import crop, integers

__all__ = [
    "Cell",
    "Window",
    "interleave",
    "known_sizes",
    "scatter",
    "tail_cells",
    "upsample",
    "window_of",
]

Cell = tuple[int, ...]
"""One integer per spatial axis."""


@dataclass(frozen=True)
class Window:
    """Geometry of a convolution or pooling, one entry per spatial axis.

    Parameters
    ----------
    kernel, strides, dilations : tuple of int
    begin, end : tuple of int
        Padding before and behind.
    ceil : bool
        Whether a last incomplete window counts.
    """

    kernel: Cell
    strides: Cell
    dilations: Cell
    begin: Cell
    end: Cell
    ceil: bool = False

    @property
    def extent(self) -> Cell:
        """Cells from the first to the last that a window reads."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any(self.begin) or any(self.end)

    @property
    def tiles(self) -> bool:
        """Whether the windows lie side by side, without overlap, gaps or padding."""
        return self.extent == self.strides == self.kernel and not self.padded

    def count(self, size: Cell) -> Cell:
        """Return the number of windows along each axis of an input of `size`."""
        found = []
        axes = zip(size, self.extent, self.strides, self.begin, self.end, strict=True)
        for side, extent, stride, begin, end in axes:
            room = side + begin + end - extent
            steps = -(-room // stride) if self.ceil else room // stride
            if self.ceil and steps * stride >= side + begin:  # it would begin in the padding
                steps -= 1
            found.append(steps + 1)
        return tuple(found)

    def offsets(self) -> list[Cell]:
        """Return the position of every cell of a window."""
        return list(itertools.product(*map(range, self.kernel)))


def window_of(ctx: VjpContext, kernel: Cell) -> Window:
    """Read a node's window; `auto_pad` becomes padding.

    Raises
    ------
    DifferentiationError
        If `auto_pad` makes the padding depend on a size that is not known.
    """
    ones = (1,) * len(kernel)
    strides = tuple(ctx.attribute("strides", ones))
    dilations = tuple(ctx.attribute("dilations", ones))
    auto_pad = ctx.attribute("auto_pad", "NOTSET")
    ceil = bool(ctx.attribute("ceil_mode", 0))
    if auto_pad == "NOTSET":
        pads = tuple(ctx.attribute("pads", (0,) * 2 * len(kernel)))
    elif auto_pad == "VALID":
        pads = (0,) * 2 * len(kernel)
    else:
        bare = Window(kernel, strides, dilations, ones, ones)
        pads = _same_padding(ctx, bare, upper=auto_pad == "SAME_UPPER")
    begin, end = pads[: len(kernel)], pads[len(kernel) :]
    return Window(kernel, strides, dilations, begin, end, ceil)


def _same_padding(ctx: VjpContext, window: Window, *, upper: bool) -> Cell:
    """Return the padding with which the output has ceil(size / stride) cells."""
    size = ctx.static(ctx.inputs[0], 2)
    if size is None:
        if any(stride > 1 for stride in window.strides):
            raise DifferentiationError(
                f"auto_pad with a stride makes the padding of {ctx.describe()} depend on the "
                "input's size, which is symbolic. Give explicit pads, or fix the size."
            )
        size = window.extent  # with stride 1 any size gives the same padding
    totals = [
        max(0, (-(-side // stride) - 1) * stride + extent - side)
        for side, stride, extent in zip(size, window.strides, window.extent, strict=True)
    ]
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (*less, *more) if upper else (*more, *less)


def known_sizes(ctx: VjpContext, window: Window) -> tuple[Cell, Cell] | None:
    """Return the input's and the output's spatial size if every reader of the graph agrees on them.

    In ceil mode a window that would begin in the padding behind does not count, to the standard's
    text and to the runtimes; `onnx.shape_inference` counts it up to opset 21. Where that matters,
    sizes are computed at run time.
    """
    size, count = ctx.static(ctx.inputs[0], 2), ctx.static(ctx.outputs[0], 2)
    if size is None or count is None or (window.ceil and window.count(size) != count):
        return None
    return size, count


def tail_cells(ctx: VjpContext, window: Window) -> Cell:
    """Return how many coarse cells to add behind the output to reach the end of the input.

    A coarse cell is `stride` cells of the padded input. Exact where the size is known, else the
    most that any size needs. Negative if the output reaches beyond the input.
    """
    known = known_sizes(ctx, window)
    if known is not None:
        return tuple(
            -(-(begin + side) // stride) - count
            for begin, side, stride, count in zip(
                window.begin, known[0], window.strides, known[1], strict=True
            )
        )
    # At most stride − 1 cells are left over behind the last window, padding included.
    return tuple(
        -(-(extent - end + stride - 1) // stride) - 1
        for extent, end, stride in zip(window.extent, window.end, window.strides, strict=True)
    )


def scatter(ctx: VjpContext, parts: Mapping[Cell, str], window: Window) -> str:
    r"""Return :math:`\bar x_{y s + o - p} = \sum_o t_o(y)`, the transpose of reading windows.

    Parameters
    ----------
    ctx : VjpContext
        Of a pooling with two spatial axes.
    parts : mapping of (row, column) to str
        For each offset o in the window, a tensor t of the output's shape.
    window : Window
        Without dilation.

    Returns
    -------
    str
        A tensor of the input's shape.
    """
    strides = window.strides
    furthest = [(k - 1) // s for k, s in zip(window.kernel, strides, strict=True)]
    behind = [max(pair) for pair in zip(furthest, tail_cells(ctx, window), strict=True)]
    shifted: dict[tuple[str, Cell], str] = {}
    phases: defaultdict[Cell, list[str]] = defaultdict(list)
    for offset, part in parts.items():
        shift = tuple(o // s for o, s in zip(offset, strides, strict=True))
        if (part, shift) not in shifted:
            pads = [0, 0, *shift, 0, 0, *np.subtract(behind, shift).tolist()]
            shifted[part, shift] = (
                ctx.op("Pad", part, integers(ctx, pads), name="shifted") if any(pads) else part
            )
        phase = tuple(o % s for o, s in zip(offset, strides, strict=True))
        phases[phase].append(shifted[part, shift])
    images = {
        phase: ctx.op("Sum", *terms, name="phase") if len(terms) > 1 else terms[0]
        for phase, terms in phases.items()
    }
    every = list(itertools.product(*map(range, strides)))
    if len(images) < len(every):
        blank = _zeros_like(ctx, next(iter(images.values())))
        images = {phase: images.get(phase, blank) for phase in every}
    joined = images[every[0]]
    if len(every) > 1:
        joined = ctx.op("Concat", *(images[phase] for phase in every), axis=1, name="phases")
        joined = interleave(ctx, joined, strides, "DCR")
    known, size = known_sizes(ctx, window), None
    if known is not None:
        size = tuple((n + b) * s for n, b, s in zip(known[1], behind, strides, strict=True))
    return crop(ctx, joined, window.begin, ctx.inputs[0], size)


def _zeros_like(ctx: VjpContext, value: str) -> str:
    zero = ctx.constant(0.0, "zero")
    return ctx.op("Expand", zero, ctx.op("Shape", value, name="size"), name="zeros")


def interleave(ctx: VjpContext, value: str, strides: Cell, mode: str) -> str:
    """Return the image whose phases are channels of `value`; `mode` is that of DepthToSpace.

    DepthToSpace has one block size for both axes; different strides take Reshape and Transpose.
    """
    if set(strides) == {1}:
        return value
    rows, columns = strides
    if rows == columns:
        return ctx.op("DepthToSpace", value, blocksize=rows, mode=mode, name="interleaved")
    size = ctx.op("Shape", value, start=2, name="size")
    split = [0, -1, rows, columns] if mode == "CRD" else [0, rows, columns, -1]
    blocks = ctx.op("Concat", ctx.constant(split, "split"), size, axis=0, name="split_shape")
    perm = [0, 1, 4, 2, 5, 3] if mode == "CRD" else [0, 3, 4, 1, 5, 2]
    turned = ctx.op("Transpose", ctx.op("Reshape", value, blocks), perm=perm)
    finer = ctx.op("Mul", size, ctx.constant([rows, columns], "strides"))
    whole = ctx.op("Concat", ctx.constant([0, 0]), finer, axis=0, name="whole_shape")
    return ctx.op("Reshape", turned, whole, name="interleaved")


def upsample(ctx: VjpContext, value: str, factors: Cell) -> str:
    """Repeat every cell of `value`, of rank 4, `factors` times along the spatial axes."""
    return ctx.op(
        "Resize",
        value,
        "",
        ctx.constant(np.array([1, 1, *factors], np.float32), "factors"),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
        name="upsampled",
    )
