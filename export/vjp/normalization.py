"""BatchNormalization (at inference) and local response normalisation."""

from __future__ import annotations

import numpy as np

from impasto.errors import DifferentiationError
from impasto.export.registry import PORTABLE, Cotangents, VjpContext
from impasto.export.vjp.sizes import pad_axis, slice_axis

__all__: list[str] = []


@PORTABLE.vjp("BatchNormalization")
def batch_normalization_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y\, \gamma / \sqrt{\sigma^2 + \epsilon}`, per channel."""
    if ctx.attribute("training_mode", 0):
        raise DifferentiationError(
            f"{ctx.describe()} is in training mode; export the network for inference."
        )
    if any(ctx.wanted[1:]):
        raise DifferentiationError(
            f"Scale, bias, mean or variance of {ctx.describe()} depend on what the gradient is "
            "taken for; the rule knows the cotangent of the first input only."
        )
    epsilon = float(ctx.attribute("epsilon", 1e-5))
    gamma, variance = ctx.array(1), ctx.array(4)
    per_channel = [-1, *[1] * (ctx.rank(ctx.inputs[0]) - 2)]
    if gamma is not None and variance is not None:
        slope = ctx.constant((gamma / np.sqrt(variance + epsilon)).reshape(per_channel), "slope")
    else:
        shifted = ctx.op("Add", ctx.inputs[4], ctx.constant(epsilon, "epsilon"))
        ratio = ctx.op("Div", ctx.inputs[1], ctx.op("Sqrt", shifted, name="deviation"))
        slope = ctx.op("Reshape", ratio, ctx.constant(per_channel), name="slope")
    return [ctx.op("Mul", ctx.cotangent, slope), None, None, None, None]


@PORTABLE.vjp("LRN")
def lrn_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x_c = \bar y_c D_c^{-\beta} - a x_c \sum_{k \ni c} \bar y_k y_k / D_k`.

    :math:`D = \text{bias} + \tfrac\alpha n \sum x^2` over n channels, :math:`a = 2\alpha\beta/n`.
    """
    x, y, g = ctx.inputs[0], ctx.outputs[0], ctx.cotangent
    size = int(ctx.attribute("size"))
    alpha, beta = float(ctx.attribute("alpha", 1e-4)), float(ctx.attribute("beta", 0.75))
    before, behind = (size - 1) // 2, size // 2
    squares = _channel_sums(ctx, ctx.op("Mul", x, x, name="square"), before, behind)
    scaled = ctx.op("Mul", squares, ctx.constant(alpha / size, "alpha_over_size"))
    scale = ctx.op("Add", scaled, ctx.constant(float(ctx.attribute("bias", 1.0)), "bias"))
    direct = ctx.op("Mul", g, ctx.op("Pow", scale, ctx.constant(-beta, "minus_beta")))
    # Channel k's window reaches `behind` channels up, so channel c is in windows from below.
    ratio = ctx.op("Div", ctx.op("Mul", g, y), scale, name="ratio")
    through = ctx.op("Mul", x, _channel_sums(ctx, ratio, behind, before))
    factor = ctx.constant(2 * alpha * beta / size, "factor")
    return [ctx.op("Sub", direct, ctx.op("Mul", through, factor))]


def _channel_sums(ctx: VjpContext, value: str, before: int, behind: int) -> str:
    """Return, for each channel, the sum over its neighbours within reach and itself."""
    rank = ctx.rank(ctx.inputs[0])
    padded = pad_axis(ctx, value, rank, 1, before, behind)
    last = before + behind
    parts = [
        slice_axis(ctx, padded, 1, start, start - last if start < last else 2**62)
        for start in range(last + 1)
    ]
    return ctx.op("Sum", *parts, name="channel_sums") if len(parts) > 1 else value
