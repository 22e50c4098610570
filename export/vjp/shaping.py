"""Ops that move elements: Reshape and its kin, Transpose, Concat, Slice, Pad, Expand."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from impasto.errors import DifferentiationError
from impasto.export.registry import PORTABLE, Cotangents, VjpContext
from impasto.export.vjp.broadcasting import unbroadcast
from impasto.export.vjp.sizes import (
    INT64_MAX,
    Integer,
    integers,
    pad_axis,
    plus,
    reshape_like,
    size_of,
    slice_axis,
)

__all__: list[str] = []


def _first_only(ctx: VjpContext, cotangent: str) -> Cotangents:
    return [cotangent, *[None] * (len(ctx.inputs) - 1)]


# -- the same elements in another shape ----------------------------------------------------------


@PORTABLE.vjp("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y` in the shape of x."""
    return _first_only(ctx, reshape_like(ctx, ctx.cotangent, ctx.inputs[0]))


@PORTABLE.vjp("Transpose")
def transpose_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x` is ȳ transposed by the inverse permutation."""
    rank = ctx.rank(ctx.inputs[0])
    perm = ctx.attribute("perm", list(range(rank))[::-1])
    return [ctx.op("Transpose", ctx.cotangent, perm=np.argsort(perm).tolist())]


@PORTABLE.vjp("Expand")
def expand_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x_i = \sum_{j \to i} \bar y_j`, over the repeats of element i."""
    x, y = ctx.inputs[0], ctx.outputs[0]
    if ctx.static(x) is None or ctx.static(y) is None:
        raise DifferentiationError(
            f"The rule for {ctx.describe()} needs known shapes of {x!r} and {y!r}."
        )
    return [unbroadcast(ctx, ctx.cotangent, 0), None]


# -- joining and cutting -------------------------------------------------------------------------


@PORTABLE.vjp("Concat")
def concat_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x_i` is the part of ȳ that x_i became."""
    axis = int(ctx.attribute("axis")) % ctx.rank(ctx.outputs[0])
    sizes: list[Integer] = [size_of(ctx, value, axis) for value in ctx.inputs]
    ends = list(accumulate(sizes, lambda total, size: plus(ctx, total, size)))
    starts = [0, *ends[:-1]]
    return [
        slice_axis(ctx, ctx.cotangent, axis, start, end) if wanted else None
        for start, end, wanted in zip(starts, ends, ctx.wanted, strict=True)
    ]


@PORTABLE.vjp("Slice")
def slice_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x` is ȳ where x was read, and 0 elsewhere."""
    starts = ctx.require_array(1, "starts").tolist()
    ends = ctx.require_array(2, "ends").tolist()
    rank = ctx.rank(ctx.inputs[0])
    axes = ctx.require_array(3, "axes").tolist() if ctx.has_input(3) else range(len(starts))
    steps = ctx.require_array(4, "steps").tolist() if ctx.has_input(4) else [1] * len(starts)
    begin, behind = [0] * rank, [0] * rank  # pads of the axes on which constants are enough
    others = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        margin = _margins(ctx, axis % rank, start, end) if step == 1 else None
        if margin is None:
            others.append((axis % rank, start, end, step))
        else:
            begin[axis % rank], behind[axis % rank] = margin
    cotangent = ctx.cotangent
    if any(begin) or any(behind):
        pads = ctx.constant([*begin, *behind], "pads")
        cotangent = ctx.op("Pad", cotangent, pads, name="uncut")
    for axis, start, end, step in others:
        cotangent = _unslice(ctx, cotangent, axis, (start, end, step))
    return _first_only(ctx, cotangent)


def _margins(ctx: VjpContext, axis: int, start: int, end: int) -> tuple[int, int] | None:
    """Return what a slice with step 1 leaves before and behind, if constants tell."""
    known = ctx.static(ctx.inputs[0], axis, axis + 1)
    if known:
        first, stop, _ = slice(start, end).indices(known[0])
        return first, known[0] - max(first, stop)
    if start < 0 or (0 <= end < 2**31 - 1):
        return None
    return start, -end if end < 0 else 0


def _unslice(ctx: VjpContext, value: str, axis: int, bounds: tuple[int, int, int]) -> str:
    """Undo a slice of any step and size: gather from ȳ with one zero behind it.

    Slicing 0, 1, 2, … as the axis was sliced tells which elements were read; all others take the
    zero.
    """
    scalar, rank = ctx.constant([0]), ctx.rank(ctx.inputs[0])
    side = integers(ctx, [size_of(ctx, ctx.inputs[0], axis)])
    zero, one = ctx.constant(np.int64(0), "zero"), ctx.constant(np.int64(1), "one")
    index = ctx.op("Range", zero, ctx.op("Squeeze", side, scalar), one, name="index")
    start, end, step = (ctx.constant([bound]) for bound in bounds)
    read = ctx.op("Slice", index, start, end, scalar, step, name="read")
    count = ctx.op("Shape", read, name="count")
    order = ctx.op("Range", zero, ctx.op("Squeeze", count, scalar), one, name="order")
    nowhere = ctx.op("Expand", count, side, name="nowhere")
    source = ctx.op("ScatterElements", nowhere, read, order, axis=0, name="source")
    padded = pad_axis(ctx, value, rank, axis, 0, 1)
    return ctx.op("Gather", padded, source, axis=axis, name="uncut")


# -- Pad -----------------------------------------------------------------------------------------


@PORTABLE.vjp("Pad")
def pad_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x` is ȳ without the border; a reflected or repeated border is added back."""
    mode = ctx.attribute("mode", "constant")
    if mode not in ("constant", "reflect", "edge"):
        raise DifferentiationError(
            f"{ctx.describe()} has mode {mode!r}; its rule knows constant, reflect and edge."
        )
    if len(ctx.wanted) > 2 and ctx.wanted[2]:
        raise DifferentiationError(
            f"The padding value of {ctx.describe()} depends on what the gradient is taken for; "
            "its rule treats it as a constant."
        )
    rank = ctx.rank(ctx.inputs[0])
    pads = ctx.require_array(1, "pads").tolist()
    axes = ctx.require_array(3, "axes").tolist() if ctx.has_input(3) else list(range(rank))
    cotangent = ctx.cotangent
    for index, axis in enumerate(axes):
        begin, end = pads[index], pads[index + len(axes)]
        if begin or end:
            cotangent = _unpad(ctx, cotangent, axis % rank, begin, end, mode)
    return _first_only(ctx, cotangent)


def _unpad(ctx: VjpContext, value: str, axis: int, begin: int, end: int, mode: str) -> str:
    """Take the border off one axis and, unless it was constant, add it where it came from."""
    rank = ctx.rank(ctx.inputs[0])
    core = value
    if begin > 0 or end > 0:
        core = slice_axis(ctx, value, axis, max(begin, 0), -end if end > 0 else INT64_MAX)
    core = pad_axis(ctx, core, rank, axis, max(-begin, 0), max(-end, 0))
    terms = [core]
    side = size_of(ctx, ctx.inputs[0], axis)
    if mode != "constant" and begin > 0:
        border = slice_axis(ctx, value, axis, 0, begin)
        terms.append(_border_before(ctx, border, axis, begin, side, mode))
    if mode != "constant" and end > 0:
        border = slice_axis(ctx, value, axis, -end, INT64_MAX)
        terms.append(_border_behind(ctx, border, axis, end, side, mode))
    return ctx.op("Sum", *terms, name="with_border") if len(terms) > 1 else core


def _border_before(
    ctx: VjpContext, border: str, axis: int, width: int, side: Integer, mode: str
) -> str:
    """Return the cotangent of what the border before the axis was made of."""
    folded, width, skipped = _folded(ctx, border, axis, width, mode)
    rest = plus(ctx, side, width + skipped, -1)
    return pad_axis(ctx, folded, ctx.rank(ctx.inputs[0]), axis, skipped, rest)


def _border_behind(
    ctx: VjpContext, border: str, axis: int, width: int, side: Integer, mode: str
) -> str:
    """Return the cotangent of what the border behind the axis was made of."""
    folded, width, skipped = _folded(ctx, border, axis, width, mode)
    rest = plus(ctx, side, width + skipped, -1)
    return pad_axis(ctx, folded, ctx.rank(ctx.inputs[0]), axis, rest, skipped)


def _folded(ctx: VjpContext, border: str, axis: int, width: int, mode: str) -> tuple[str, int, int]:
    """Return a border's cotangent as it lies on its source, its width, and the cells between.

    An edge is one cell repeated; a reflection is reversed and leaves out the edge itself.
    """
    axes = ctx.constant([axis], "axes")
    if mode == "edge":
        return ctx.op("ReduceSum", border, axes, keepdims=1, name="edge"), 1, 0
    bounds = (ctx.constant([bound]) for bound in (-1, -INT64_MAX))
    reverse = ctx.op("Slice", border, *bounds, axes, ctx.constant([-1]), name="reversed")
    return reverse, width, 1
