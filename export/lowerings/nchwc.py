"""Rules for ONNX Runtime on a CPU: stay in its blocked NCHWc layout between convolutions.

ONNX Runtime computes convolutions on channels in blocks of 8 or 16. Add, Mul, HardSigmoid, 2-D
poolings and integer nearest-neighbour Resize understand that layout; Greater, Equal, Where, Div
and Slice do not, and each costs a reordering of the whole tensor there and back. So the masks of
the backward pass are written in the ops that do:

=========================  =======================================================================
x > 0                      ``HardSigmoid(alpha=2^100 x)``
x == up(max)               ``HardSigmoid(alpha=2^100 (x − up(max)) + 1)``, as x ≤ up(max)
1 / k for k tied of 4      the cubic through (k/4, 1/k), k = 1…4, of the mask's average
=========================  =======================================================================

Notes
-----
A positive x below 2^-100 (8e-31) would get a fraction of the mask; float32 features are never
that small, apart from exact zeros, which get none.
"""

from __future__ import annotations

import numpy as np

from impasto.export.graph import GraphBuilder
from impasto.export.registry import Cotangents, Rule, Rules, VjpContext

__all__ = ["pull_into_blocked_layout", "rules"]

STEEP = 2.0**100

# Ops whose result is blocked if their operands are.
_LAYOUT_KEEPING = {"Add", "Sum", "Mul", "HardSigmoid", "Resize", "MaxPool", "AveragePool", "Relu"}


def rules(portable: Rules) -> Rules:
    """Return the portable rules with those of ReLU and max pooling replaced."""
    return portable.override(
        Relu=_relu_vjp, MaxPool=_max_pool_vjp(portable), AveragePool=_average_pool_vjp(portable)
    )


def _relu_vjp(ctx: VjpContext) -> Cotangents:
    """x̄ = ȳ · [y > 0]."""
    return [ctx.cotangent if ctx.is_masked else ctx.op("Mul", ctx.cotangent, _positive(ctx))]


def _positive(ctx: VjpContext) -> str:
    """Return 1 where the output is positive, and 0 elsewhere."""
    return ctx.op("HardSigmoid", ctx.outputs[0], alpha=STEEP, beta=0.0, name="positive")


def _max_pool_vjp(portable: Rules) -> Rule:
    fallback = portable.rules["MaxPool"]

    def max_pool_vjp(ctx: VjpContext) -> Cotangents:
        """x̄ = [x = up(y)] · up(ȳ / k), where k cells of the window are tied."""
        if not _halves_evenly(ctx):
            return fallback(ctx)
        x, y = ctx.inputs[0], ctx.outputs[0]
        below = ctx.op("Add", x, _upsampled(ctx, _scaled(ctx, y, -1.0, 0.0)), name="below_maximum")
        mask = ctx.op("HardSigmoid", below, alpha=STEEP, beta=1.0, name="is_maximum")
        share = _reciprocal_of_count(
            ctx,
            ctx.op("AveragePool", mask, kernel_shape=[2, 2], strides=[2, 2], name="tied_fraction"),
        )
        if ctx.follows_relu:
            # Its mask, at a quarter of the cost: a maximum is positive where the cells that reach
            # it are. Applied to the share: ONNX Runtime computes the operand that is a convolution
            # first, which the cotangent should be, or all masks are made before they are needed.
            share = ctx.op("Mul", share, _positive(ctx), name="share_of_positive")
        shared = ctx.op("Mul", ctx.cotangent, share, name="shared_cotangent")
        spread = ctx.op("Mul", mask, _upsampled(ctx, shared))
        if ctx.follows_relu:
            ctx.note_masked(spread)
        return [spread]

    return max_pool_vjp


def _average_pool_vjp(portable: Rules) -> Rule:
    fallback = portable.rules["AveragePool"]

    def average_pool_vjp(ctx: VjpContext) -> Cotangents:
        """x̄ = up(ȳ / 4)."""
        if not _halves_evenly(ctx):
            return fallback(ctx)
        return [_upsampled(ctx, _scaled(ctx, ctx.cotangent, 0.25, 0.0))]

    return average_pool_vjp


def _halves_evenly(ctx: VjpContext) -> bool:
    """Whether the pooling is 2×2 with stride 2 and covers a known, even size exactly."""
    size = ctx.static(ctx.inputs[0], 1)
    return (
        size is not None
        and len(size) == 3
        and size[1] % 2 == size[2] % 2 == 0
        and ctx.attribute("kernel_shape") == ctx.attribute("strides") == [2, 2]
        and not any(ctx.attribute("pads", []))
        and ctx.attribute("auto_pad", "NOTSET") == "NOTSET"
    )


def _reciprocal_of_count(ctx: VjpContext, fraction: str) -> str:
    """Return 1/k given k/4: the cubic through the four values it can take, by Horner's rule."""
    k = np.arange(1, 5)
    c3, c2, c1, c0 = np.polyfit(k / 4, 1 / k, 3)
    value = _scaled(ctx, fraction, c3, c2)
    value = _scaled(ctx, ctx.op("Mul", value, fraction), 1.0, c1)
    return _scaled(ctx, ctx.op("Mul", value, fraction), 1.0, c0)


def _scaled(ctx: VjpContext, value: str, scale: float, offset: float) -> str:
    """Return scale · value + offset as a depthwise 1×1 convolution, which keeps the layout."""
    channels = _channels(ctx)
    weight = np.full((channels, 1, 1, 1), scale, ctx.dtype)
    bias = np.full(channels, offset, ctx.dtype)
    return ctx.op(
        "Conv",
        value,
        ctx.constant(weight, "scale"),
        ctx.constant(bias, "offset"),
        kernel_shape=[1, 1],
        group=channels,
        name="scaled",
    )


def _channels(ctx: VjpContext) -> int:
    (channels,) = ctx.static(ctx.inputs[0], 1, 2) or (0,)
    return channels


def _upsampled(ctx: VjpContext, value: str) -> str:
    return ctx.op(
        "Resize",
        value,
        "",
        ctx.constant(np.array([1, 1, 2, 2], np.float32), "twice"),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
        name="upsampled",
    )


def pull_into_blocked_layout(graph: GraphBuilder) -> None:
    """Put an identity convolution before operands that would drag a sum or product out of NCHWc.

    The cotangents of the losses arrive in plain layout (they come from MatMul). One such operand
    makes ONNX Runtime compute the whole sum in plain layout; behind a depthwise 1×1 convolution
    with weight 1 it is reordered once, and the chain goes on in blocks.
    """
    producer = {value: node for node in graph.nodes for value in node.output}
    blocked: dict[str, bool] = {}
    for node in graph.nodes:
        keeps = node.op_type in _LAYOUT_KEEPING and any(blocked.get(v, False) for v in node.input)
        for value in node.output:
            blocked[value] = node.op_type == "Conv" or keeps
    shapes = graph.shapes()
    old, graph.nodes = graph.nodes, []
    for node in old:
        if node.op_type in ("Sum", "Mul", "Add") and blocked[node.output[0]]:
            for index, value in enumerate(node.input):
                shape = shapes.get(value, ())
                plain = value in producer and not blocked[value]
                if plain and len(shape) == 4 and isinstance(channels := shape[1], int):
                    one = graph.constant(np.ones((channels, 1, 1, 1), graph.dtype), "one")
                    node.input[index] = graph.op(
                        "Conv", value, one, group=channels, kernel_shape=[1, 1], name="pull"
                    )
        graph.nodes.append(node)
