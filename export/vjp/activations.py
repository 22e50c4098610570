"""Activations: Relu, LeakyRelu, Sigmoid, Tanh, Clip."""

from __future__ import annotations

from impasto.export.registry import PORTABLE, Cotangents, VjpContext

__all__ = ["where_positive"]


@PORTABLE.vjp("Relu")
def relu_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y` where :math:`y > 0`, else 0."""
    return [ctx.cotangent if ctx.is_masked else where_positive(ctx, ctx.cotangent)]


def where_positive(ctx: VjpContext, value: str) -> str:
    """Return `value` where the output is positive, and 0 elsewhere."""
    zero = ctx.constant(0.0, "zero")
    positive = ctx.op("Greater", ctx.outputs[0], zero, name="positive")
    return ctx.op("Where", positive, value, zero)


@PORTABLE.vjp("LeakyRelu")
def leaky_relu_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y` where :math:`x > 0`, else :math:`\alpha \bar y`."""
    positive = ctx.op("Greater", ctx.inputs[0], ctx.constant(0.0, "zero"), name="positive")
    leaked = ctx.op(
        "Mul", ctx.cotangent, ctx.constant(float(ctx.attribute("alpha", 0.01)), "alpha")
    )
    return [ctx.op("Where", positive, ctx.cotangent, leaked)]


@PORTABLE.vjp("Sigmoid")
def sigmoid_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y\, y (1 - y)`."""
    y = ctx.outputs[0]
    rest = ctx.op("Sub", ctx.constant(1.0, "one"), y)
    return [ctx.op("Mul", ctx.cotangent, ctx.op("Mul", y, rest, name="slope"))]


@PORTABLE.vjp("Tanh")
def tanh_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y (1 - y^2)`."""
    y = ctx.outputs[0]
    slope = ctx.op("Sub", ctx.constant(1.0, "one"), ctx.op("Mul", y, y, name="square"))
    return [ctx.op("Mul", ctx.cotangent, slope)]


@PORTABLE.vjp("Clip")
def clip_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y` where :math:`\text{min} \le x \le \text{max}`, else 0."""
    inside = [
        ctx.op(comparison, ctx.inputs[0], ctx.inputs[bound], name="inside")
        for bound, comparison in ((1, "GreaterOrEqual"), (2, "LessOrEqual"))
        if ctx.has_input(bound)
    ]
    unbounded = [None] * (len(ctx.inputs) - 1)
    if not inside:
        return [ctx.cotangent, *unbounded]
    both = ctx.op("And", *inside, name="inside") if len(inside) > 1 else inside[0]
    return [ctx.op("Where", both, ctx.cotangent, ctx.constant(0.0, "zero")), *unbounded]
