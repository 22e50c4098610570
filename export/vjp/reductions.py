"""Reductions: ReduceSum, ReduceMean, ReduceSumSquare."""

from __future__ import annotations

import numpy as np

from impasto.export.registry import PORTABLE, Cotangents, VjpContext

__all__: list[str] = []


@PORTABLE.vjp("ReduceSum")
def reduce_sum_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x_i = \bar y`, for every element i that was summed."""
    return _with_axes(ctx, _spread(ctx, _kept(ctx)))


@PORTABLE.vjp("ReduceMean")
def reduce_mean_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x_i = \bar y / n`, n being the number of elements averaged."""
    return _with_axes(ctx, _spread(ctx, _per_element(ctx, _kept(ctx))))


@PORTABLE.vjp("ReduceSumSquare")
def reduce_sum_square_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = 2 \bar y\, x`."""
    twice = ctx.op("Mul", _kept(ctx), ctx.constant(2.0, "two"), name="twice")
    return _with_axes(ctx, ctx.op("Mul", ctx.inputs[0], twice))


def _with_axes(ctx: VjpContext, cotangent: str) -> Cotangents:
    return [cotangent, *[None] * (len(ctx.inputs) - 1)]


def _axes(ctx: VjpContext) -> list[int]:
    """Return the reduced axes, counted from the front; an attribute or an input, by opset."""
    rank = ctx.rank(ctx.inputs[0])
    given = ctx.require_array(1, "axes") if ctx.has_input(1) else ctx.attribute("axes", ())
    axes = [int(axis) % rank for axis in np.ravel(given)]
    nothing = bool(ctx.attribute("noop_with_empty_axes", 0))
    return axes if axes or nothing else list(range(rank))


def _kept(ctx: VjpContext) -> str:
    """Return ȳ with the reduced axes as dimensions of 1; a scalar broadcasts as it is."""
    axes = _axes(ctx)
    rank = ctx.rank(ctx.inputs[0])
    if ctx.attribute("keepdims", 1) or not axes or len(axes) == rank:
        return ctx.cotangent
    return ctx.op("Unsqueeze", ctx.cotangent, ctx.constant(sorted(axes), "axes"), name="kept")


def _spread(ctx: VjpContext, cotangent: str) -> str:
    if not _axes(ctx):
        return cotangent
    return ctx.op("Expand", cotangent, ctx.size(ctx.inputs[0]), name="spread")


def _per_element(ctx: VjpContext, cotangent: str) -> str:
    x, axes = ctx.inputs[0], _axes(ctx)
    sides = [ctx.static(x, axis, axis + 1) for axis in axes]
    if all(side is not None for side in sides):
        count = float(np.prod([side for side in sides if side]))
        return ctx.op("Mul", cotangent, ctx.constant(1 / count, "per_element"), name="share")
    chosen = ctx.op("Gather", ctx.size(x), ctx.constant(axes), name="reduced_sizes")
    product = ctx.op("ReduceProd", chosen, keepdims=0, name="count")
    return ctx.op("Div", cotangent, ctx.op("CastLike", product, cotangent), name="share")
