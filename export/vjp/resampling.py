"""Resize: a linear map along each axis, found by resizing the identity matrix."""

from __future__ import annotations

import numpy as np
from onnx import helper

from impasto.errors import DifferentiationError
from impasto.export.registry import PORTABLE, Cotangents, VjpContext
from impasto.export.vjp.sizes import integers, size_of

__all__: list[str] = []

REPEATING = (("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"))
"""Coordinate and nearest modes in which a whole scale s repeats every cell s times."""


@PORTABLE.vjp("Resize")
def resize_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = R^\top \bar y` along each axis; a sum over blocks where cells are repeated.

    Row i of R holds what output i takes from each input: it is the identity matrix resized by the
    node's own settings.
    """
    _refuse_unknown_modes(ctx)
    rank = ctx.rank(ctx.inputs[0])
    scales = _scales(ctx, rank)
    none = [None] * (len(ctx.inputs) - 1)
    if scales is not None and _repeats(ctx, scales):
        return [_block_sums(ctx, [int(s) for s in scales[2:]]), *none]
    cotangent = ctx.cotangent
    for axis in range(rank):
        scale = None if scales is None else scales[axis]
        if scale == 1 or _keeps_size(ctx, axis):
            continue
        matrix = _resized_identity(ctx, axis, scale)
        last = [*(a for a in range(rank) if a != axis), axis]
        turned = _transpose(ctx, cotangent, last)
        cotangent = _transpose(ctx, ctx.op("MatMul", turned, matrix), np.argsort(last).tolist())
    return [cotangent, *none]


def _refuse_unknown_modes(ctx: VjpContext) -> None:
    not_linear = ctx.attribute("coordinate_transformation_mode") == "tf_crop_and_resize"
    policy = ctx.attribute("keep_aspect_ratio_policy", "stretch")
    if not_linear or policy != "stretch" or ctx.attribute("exclude_outside", 0):
        raise DifferentiationError(
            f"{ctx.describe()} uses tf_crop_and_resize, exclude_outside or an aspect ratio policy "
            "other than stretch, which its rule does not know."
        )


def _axes(ctx: VjpContext, rank: int) -> list[int]:
    return [axis % rank for axis in ctx.attribute("axes", range(rank))]


def _scales(ctx: VjpContext, rank: int) -> list[float] | None:
    """Return the scale of every axis, or None if the node gives sizes."""
    if not ctx.has_input(2):
        return None
    given = ctx.require_array(2, "scales")
    scales = [1.0] * rank
    for axis, scale in zip(_axes(ctx, rank), given.tolist(), strict=True):
        scales[axis] = scale
    return scales


def _keeps_size(ctx: VjpContext, axis: int) -> bool:
    """Whether an axis certainly is as long as before, and so is unchanged."""
    rank = ctx.rank(ctx.inputs[0])
    before, after = ((ctx.shape(v) or ())[axis] for v in (ctx.inputs[0], ctx.outputs[0]))
    return axis not in _axes(ctx, rank) or (before is not None and before == after)


def _repeats(ctx: VjpContext, scales: list[float]) -> bool:
    coordinates = ctx.attribute("coordinate_transformation_mode", "half_pixel")
    nearest = ctx.attribute("nearest_mode", "round_prefer_floor")
    return (
        ctx.attribute("mode", "nearest") == "nearest"
        and (coordinates, nearest) in REPEATING
        and len(scales) == 4
        and scales[:2] == [1, 1]
        and all(scale >= 1 and scale == int(scale) for scale in scales)
    )


def _block_sums(ctx: VjpContext, factors: list[int]) -> str:
    mean = ctx.op(
        "AveragePool", ctx.cotangent, kernel_shape=factors, strides=factors, name="block_mean"
    )
    return ctx.op("Mul", mean, ctx.constant(float(np.prod(factors)), "cells"))


def _resized_identity(ctx: VjpContext, axis: int, scale: float | None) -> str:
    """Return R of shape (output size, input size) along `axis`."""
    side = integers(ctx, [size_of(ctx, ctx.inputs[0], axis)])
    square = ctx.op("Concat", side, side, axis=0, name="square")
    filler = helper.make_tensor("one", 1, [1], [1.0])
    ones = ctx.op("ConstantOfShape", square, value=filler)
    real = helper.np_dtype_to_tensor_dtype(ctx.dtype)
    eye = ctx.op("EyeLike", ones, dtype=real, name="identity")
    image = ctx.op("Unsqueeze", eye, ctx.constant([0, 1]), name="identity_image")
    settings = {
        a.name: helper.get_attribute_value(a) for a in ctx.node.attribute if a.name != "axes"
    }
    if scale is not None:
        scales = ctx.constant(np.array([1, 1, scale, 1], np.float32), "scales")
        resized = ctx.op("Resize", image, "", scales, name="resized_identity", **settings)
    else:
        count = integers(ctx, [size_of(ctx, ctx.outputs[0], axis)])
        sizes = ctx.op("Concat", ctx.constant([1, 1]), count, side, axis=0, name="sizes")
        resized = ctx.op("Resize", image, "", "", sizes, name="resized_identity", **settings)
    return ctx.op("Squeeze", resized, ctx.constant([0, 1]), name="resampling_matrix")


def _transpose(ctx: VjpContext, value: str, perm: list[int]) -> str:
    unchanged = perm == list(range(len(perm)))
    return value if unchanged else ctx.op("Transpose", value, perm=perm)
