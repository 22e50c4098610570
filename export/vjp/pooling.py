"""MaxPool, AveragePool, GlobalAveragePool."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from impasto.errors import DifferentiationError
from impasto.export.registry import PORTABLE, Cotangents, VjpContext
from impasto.export.vjp.activations import where_positive
from impasto.export.vjp.sizes import Integer, crop, integers, plus, size_of
from impasto.export.vjp.window import Cell, Window, known_sizes, scatter, upsample, window_of

__all__: list[str] = []


@PORTABLE.vjp("MaxPool")
def max_pool_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x_u = \sum_{y \ni u} [x_u = y]\,\bar y / k_y`, k cells of a window being tied.

    Tied cells share the cotangent equally, so that its sum is kept.
    """
    window = _pooling_window(ctx)
    if not window.tiles:
        return [_overlapping_max(ctx, window)]
    found = _tiled_max(ctx, window)
    if ctx.follows_relu:
        ctx.note_masked(found)
    return [found]


@PORTABLE.vjp("AveragePool")
def average_pool_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x_u = \sum_{y \ni u} \bar y / n_y`, n being the cells the window counts."""
    window = _pooling_window(ctx)
    share = _average_share(ctx, window)
    if window.tiles:
        leftover = _leftover(ctx, window)
        return [_fit_tiles(ctx, upsample(ctx, share, window.strides), window, leftover)]
    return [scatter(ctx, dict.fromkeys(window.offsets(), share), window)]


@PORTABLE.vjp("GlobalAveragePool")
def global_average_pool_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y / (h w)`."""
    x = ctx.inputs[0]
    size = ctx.static(x, 2)
    if size is not None:
        share = ctx.op("Mul", ctx.cotangent, ctx.constant(1 / float(np.prod(size)), "per_cell"))
    else:
        cells = ctx.op("ReduceProd", ctx.size(x, 2), keepdims=0, name="cells")
        count = ctx.op("CastLike", cells, ctx.cotangent, name="count")
        share = ctx.op("Div", ctx.cotangent, count, name="share")
    return [ctx.op("Expand", share, ctx.size(x), name="spread")]


def _pooling_window(ctx: VjpContext) -> Window:
    kernel = tuple(ctx.attribute("kernel_shape"))
    window = window_of(ctx, kernel)
    if len(kernel) != 2:
        raise DifferentiationError(
            f"{ctx.describe()} has {len(kernel)} spatial axes; the rules for poolings know two."
        )
    if set(window.dilations) != {1}:
        raise DifferentiationError(
            f"{ctx.describe()} has dilations {window.dilations}; the rules for poolings know "
            "windows without gaps only."
        )
    return window


# -- max pooling ---------------------------------------------------------------------------------


def _tiled_max(ctx: VjpContext, window: Window) -> str:
    """Compare at full size, count ties and divide at pooled size.

    The mask of a ReLU before the pooling is applied at pooled size as well: a maximum is positive
    where the cells that reach it are.
    """
    x, y = ctx.inputs[0], ctx.outputs[0]
    leftover = _leftover(ctx, window)
    covered = _cover_tiles(ctx, x, window, leftover)
    mask = ctx.op("Equal", covered, upsample(ctx, y, window.strides), name="is_maximum")
    flag = _as_real(ctx, mask)
    tied = ctx.op(
        "AveragePool",
        flag,
        kernel_shape=list(window.kernel),
        strides=list(window.strides),
        name="tied_fraction",
    )
    count = ctx.op("Mul", tied, ctx.constant(float(np.prod(window.kernel)), "cells"))
    # The share is masked, and not the cotangent: then ONNX Runtime 1.32 would make the masks of all
    # poolings before it goes back through the last (1024x683: 3.5 instead of 2.0 GB).
    share = ctx.op("Div", ctx.cotangent, count, name="share")
    if ctx.follows_relu:
        share = where_positive(ctx, share)
    upsampled = upsample(ctx, share, window.strides)
    # A product with the mask last, and not a choice by it: OpenVINO computes operands in their
    # order, and so would make the masks of all poolings before it goes back through the last.
    spread = ctx.op("Mul", upsampled, flag, name="spread")
    return _fit_tiles(ctx, spread, window, leftover)


def _overlapping_max(ctx: VjpContext, window: Window) -> str:
    """Compare offset by offset of the window, each at pooled size, and scatter back."""
    y = ctx.outputs[0]
    padded = _pad_with_lowest(ctx, window)
    masks = {
        offset: ctx.op("Equal", _cells_at(ctx, padded, offset, window), y, name="is_maximum")
        for offset in window.offsets()
    }
    flags = [_as_real(ctx, mask) for mask in masks.values()]
    count = ctx.op("Sum", *flags, name="tied_count") if len(flags) > 1 else flags[0]
    share = ctx.op("Div", ctx.cotangent, count, name="share")
    zero = ctx.constant(0.0, "zero")
    parts = {
        offset: ctx.op("Where", mask, share, zero, name="spread") for offset, mask in masks.items()
    }
    return scatter(ctx, parts, window)


def _pad_with_lowest(ctx: VjpContext, window: Window) -> str:
    """Pad the input so that every window lies inside, with what is never a maximum."""
    known = known_sizes(ctx, window)
    if known is not None:
        reached = np.subtract(known[1], 1) * window.strides + window.kernel
        end = np.maximum(reached - window.begin - np.array(known[0]), 0)
    else:
        end = np.array(window.end) + (np.subtract(window.strides, 1) if window.ceil else 0)
    pads = [0, 0, *window.begin, 0, 0, *end.tolist()]
    if not any(pads):
        return ctx.inputs[0]
    lowest = ctx.constant(-np.inf, "lowest")
    return ctx.op("Pad", ctx.inputs[0], integers(ctx, pads), lowest, name="padded")


def _cells_at(ctx: VjpContext, padded: str, offset: Cell, window: Window) -> str:
    """Return the cell at `offset` of every window, as a tensor of the output's shape."""
    known = known_sizes(ctx, window)
    steps = ctx.constant(list(window.strides), "steps")
    starts = ctx.constant(list(offset), "starts")
    if known is not None:
        ends = ctx.constant(np.multiply(known[1], window.strides) + offset, "ends")
    else:
        span = ctx.op("Mul", _computed_size(ctx, ctx.outputs[0]), steps, name="span")
        ends = ctx.op("Add", span, starts, name="ends")
    return ctx.op("Slice", padded, starts, ends, ctx.constant([2, 3], "axes"), steps, name="cells")


def _computed_size(ctx: VjpContext, value: str) -> str:
    """Return the spatial size a value has at run time, whatever shape inference says."""
    return ctx.op("Shape", value, start=2, name="size")


def _as_real(ctx: VjpContext, mask: str) -> str:
    return ctx.op("Where", mask, ctx.constant(1.0, "one"), ctx.constant(0.0, "zero"), name="flag")


# -- average pooling -----------------------------------------------------------------------------


def _average_share(ctx: VjpContext, window: Window) -> str:
    """Return ȳ divided by the number of cells its window counts."""
    whole = not window.ceil and (not window.padded or bool(ctx.attribute("count_include_pad", 0)))
    known = known_sizes(ctx, window)
    if whole:
        return ctx.op(
            "Mul", ctx.cotangent, ctx.constant(1 / float(np.prod(window.kernel)), "per_cell")
        )
    if known is not None:
        counts = np.multiply.outer(*(_known_counts(ctx, window, axis) for axis in range(2)))
        per_cell = (1 / counts).astype(ctx.dtype)
        return ctx.op("Mul", ctx.cotangent, ctx.constant(per_cell, "per_cell"))
    rows, columns = (_computed_counts(ctx, window, axis) for axis in range(2))
    rows = ctx.op("Unsqueeze", rows, ctx.constant([1]), name="rows")
    counts_by_cell = ctx.op("Mul", rows, columns, name="counts")
    counted = ctx.op("CastLike", counts_by_cell, ctx.cotangent, name="counts")
    return ctx.op("Div", ctx.cotangent, counted, name="share")


def _counted_range(ctx: VjpContext, window: Window, axis: int) -> tuple[int, int]:
    """Return the padding before and behind that counts as cells."""
    if ctx.attribute("count_include_pad", 0):
        return window.begin[axis], window.end[axis]
    return 0, 0


def _known_counts(ctx: VjpContext, window: Window, axis: int) -> npt.NDArray[np.int64]:
    (side,) = ctx.static(ctx.inputs[0], 2 + axis, 3 + axis) or (0,)
    (count,) = ctx.static(ctx.outputs[0], 2 + axis, 3 + axis) or (0,)
    before, behind = _counted_range(ctx, window, axis)
    first = np.arange(count) * window.strides[axis] - window.begin[axis]
    ends = np.minimum(first + window.kernel[axis], side + behind)
    found: npt.NDArray[np.int64] = ends - np.maximum(first, -before)
    return found


def _computed_counts(ctx: VjpContext, window: Window, axis: int) -> str:
    """Do the same with nodes, for a symbolic size."""
    before, behind = _counted_range(ctx, window, axis)
    sizes = _computed_size(ctx, ctx.outputs[0])
    count = ctx.op("Gather", sizes, ctx.constant(np.int64(axis)), name="count")
    zero, one = ctx.constant(np.int64(0), "zero"), ctx.constant(np.int64(1), "one")
    index = ctx.op("Range", zero, count, one, name="index")
    first = ctx.op("Mul", index, ctx.constant([window.strides[axis]]))
    first = ctx.op("Sub", first, ctx.constant([window.begin[axis]]), name="first")
    ends = ctx.op("Add", first, ctx.constant([window.kernel[axis]]))
    limit = ctx.op("Add", ctx.size(ctx.inputs[0], 2 + axis, 3 + axis), ctx.constant([behind]))
    ends = ctx.op("Min", ends, limit, name="ends")
    return ctx.op("Sub", ends, ctx.op("Max", first, ctx.constant([-before])), name="counted")


# -- windows side by side ------------------------------------------------------------------------


def _leftover(ctx: VjpContext, window: Window) -> list[Integer]:
    """Return, per axis, the input's size minus that of all windows; negative in ceil mode."""
    found: list[Integer] = []
    for axis, stride in enumerate(window.strides, 2):
        count = size_of(ctx, ctx.outputs[0], axis)
        covered: Integer = (
            count * stride
            if isinstance(count, int)
            else ctx.op("Mul", count, ctx.constant([stride]), name="covered")
        )
        found.append(plus(ctx, size_of(ctx, ctx.inputs[0], axis), covered, -1))
    return found


def _cover_tiles(ctx: VjpContext, x: str, window: Window, leftover: list[Integer]) -> str:
    """Return the input cut (or, in ceil mode, padded with the lowest value) to whole windows."""
    if not any(leftover):
        return x
    if window.ceil:
        missing = [plus(ctx, 0, amount, -1) for amount in leftover]
        pads = integers(ctx, [0, 0, 0, 0, 0, 0, *missing])
        return ctx.op("Pad", x, pads, ctx.constant(-np.inf, "lowest"), name="covered")
    sides = [size_of(ctx, x, axis) for axis in (2, 3)]
    ends = [plus(ctx, side, rest, -1) for side, rest in zip(sides, leftover, strict=True)]
    starts, axes = ctx.constant([0, 0], "starts"), ctx.constant([2, 3], "axes")
    return ctx.op("Slice", x, starts, integers(ctx, ends), axes, name="covered")


def _fit_tiles(ctx: VjpContext, value: str, window: Window, leftover: list[Integer]) -> str:
    """Return `value`, of the size of all windows, at the input's size."""
    if not any(leftover):
        return value
    if window.ceil:
        return crop(ctx, value, [0, 0], ctx.inputs[0], None)
    return ctx.op("Pad", value, integers(ctx, [0, 0, 0, 0, 0, 0, *leftover]), name="uncovered")
