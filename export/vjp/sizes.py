"""Integer vectors that are constants where they are known and nodes where they are not.

Rules hand sizes, offsets and pads to Slice, Pad, Reshape and Expand. With a symbolic height and
width these are computed at run time; with a known size they are constants, and a Slice or Pad
that would do nothing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impasto.export.registry import VjpContext

__all__ = [
    "INT64_MAX",
    "Integer",
    "crop",
    "integers",
    "pad_axis",
    "plus",
    "reshape_like",
    "size_of",
    "slice_axis",
    "spatial_axes",
]

INT64_MAX = int(np.iinfo(np.int64).max)
"""An end that Slice reads as the end of the axis."""

Integer = int | str
"""A number known now, or the name of an int64 vector of length 1."""


def integers(ctx: VjpContext, parts: Sequence[Integer]) -> str:
    """Return `parts` as one int64 vector: a constant if all are known."""
    if all(isinstance(part, int) for part in parts):
        return ctx.constant(np.array(parts, np.int64), "integers")
    values = [ctx.constant([part]) if isinstance(part, int) else part for part in parts]
    return ctx.op("Concat", *values, axis=0, name="integers") if len(values) > 1 else values[0]


def size_of(ctx: VjpContext, value: str, axis: int) -> Integer:
    """Return one dimension of a forward value; `axis` counts from the front."""
    known = ctx.static(value, axis, axis + 1)
    return known[0] if known else ctx.size(value, axis, axis + 1)


def plus(ctx: VjpContext, a: Integer, b: Integer, sign: int = 1) -> Integer:
    """Return a + sign · b, for a sign of 1 or -1."""
    if isinstance(a, int) and isinstance(b, int):
        return a + sign * b
    if b == 0:
        return a
    return ctx.op("Add" if sign > 0 else "Sub", integers(ctx, [a]), integers(ctx, [b]))


def spatial_axes(ctx: VjpContext, value: str) -> list[int]:
    """Return the axes behind batch and channels."""
    return list(range(2, ctx.rank(value)))


def slice_axis(ctx: VjpContext, value: str, axis: int, start: Integer, end: Integer) -> str:
    """Return ``value[start:end]`` along one axis."""
    start, end = integers(ctx, [start]), integers(ctx, [end])
    return ctx.op("Slice", value, start, end, ctx.constant([axis]), name="part")


def pad_axis(
    ctx: VjpContext, value: str, rank: int, axis: int, begin: Integer, end: Integer
) -> str:
    """Return `value` with `begin` zeros before it and `end` behind it along one axis."""
    if begin == 0 and end == 0:
        return value
    amounts: list[Integer] = [0] * (2 * rank)
    amounts[axis], amounts[rank + axis] = begin, end
    return ctx.op("Pad", value, integers(ctx, amounts), name="padded")


def crop(
    ctx: VjpContext,
    value: str,
    begin: Sequence[int],
    like: str,
    size: tuple[int, ...] | None,
) -> str:
    """Return `value` from `begin` on, of the spatial size of the forward value `like`.

    `size` is the spatial size of `value` if it is known.
    """
    wanted = ctx.static(like, 2)
    if wanted is not None and wanted == size and not any(begin):
        return value
    starts = ctx.constant(np.array(begin, np.int64), "crop_starts")
    if wanted is not None:
        ends = ctx.constant(np.add(begin, wanted), "crop_ends")
    else:
        ends = ctx.size(like, 2)
        ends = ctx.op("Add", ends, starts, name="crop_ends") if any(begin) else ends
    return ctx.op(
        "Slice", value, starts, ends, ctx.constant(spatial_axes(ctx, like)), name="cropped"
    )


def reshape_like(ctx: VjpContext, value: str, like: str) -> str:
    """Return `value` in the shape of the forward value `like`, which has as many elements."""
    dims = [d if isinstance(d, int) else -1 for d in ctx.shape(like) or (None, None)]
    few_unknown = dims.count(-1) <= 1 and 0 not in dims
    shape = ctx.constant(np.array(dims, np.int64), "shape") if few_unknown else ctx.size(like)
    return ctx.op("Reshape", value, shape, name="reshaped")
