"""Elementwise ops of one, two or many operands. Each operand's cotangent is un-broadcast once."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from impasto.errors import DifferentiationError
from impasto.export.registry import PORTABLE, Cotangents, VjpContext
from impasto.export.vjp.broadcasting import unbroadcast

__all__: list[str] = []


# -- two or many operands ------------------------------------------------------------------------


@PORTABLE.vjp("Add", "Sum")
def add_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar a = \bar b = \dots = \bar y`."""
    return [
        unbroadcast(ctx, ctx.cotangent, index) if wanted else None
        for index, wanted in enumerate(ctx.wanted)
    ]


@PORTABLE.vjp("Sub")
def sub_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar a = \bar y,\ \bar b = -\bar y`."""
    return [
        unbroadcast(ctx, ctx.cotangent, 0) if ctx.wanted[0] else None,
        unbroadcast(ctx, ctx.op("Neg", ctx.cotangent), 1) if ctx.wanted[1] else None,
    ]


@PORTABLE.vjp("Mul")
def mul_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar a = \bar y b,\ \bar b = \bar y a`."""
    a, b = ctx.inputs
    return [
        unbroadcast(ctx, ctx.op("Mul", ctx.cotangent, b), 0) if ctx.wanted[0] else None,
        unbroadcast(ctx, ctx.op("Mul", ctx.cotangent, a), 1) if ctx.wanted[1] else None,
    ]


@PORTABLE.vjp("Div")
def div_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar a = \bar y / b,\ \bar b = -\bar y\, y / b`."""
    share = ctx.op("Div", ctx.cotangent, ctx.inputs[1], name="share")
    a = unbroadcast(ctx, share, 0) if ctx.wanted[0] else None
    if not ctx.wanted[1]:
        return [a, None]
    loss = ctx.op("Neg", ctx.op("Mul", share, ctx.outputs[0]))
    return [a, unbroadcast(ctx, loss, 1)]


@PORTABLE.vjp("Pow")
def pow_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y\, p\, x^{p-1},\ \bar p = \bar y\, y \ln x`."""
    x = ctx.inputs[0]
    base = power = None
    if ctx.wanted[0]:
        base = unbroadcast(ctx, ctx.op("Mul", ctx.cotangent, _power_slope(ctx)), 0)
    if ctx.wanted[1]:
        slope = ctx.op("Mul", ctx.outputs[0], ctx.op("Log", x), name="slope")
        power = unbroadcast(ctx, ctx.op("Mul", ctx.cotangent, slope), 1)
    return [base, power]


def _power_slope(ctx: VjpContext) -> str:
    x, exponent = ctx.inputs
    known = ctx.array(1)
    if known is None:
        p = ctx.op("CastLike", exponent, x, name="exponent")
        lower = ctx.op("Sub", p, ctx.constant(1.0, "one"), name="lower_exponent")
        return ctx.op("Mul", p, ctx.op("Pow", x, lower), name="slope")
    p = ctx.constant(known.astype(ctx.dtype), "exponent")
    if np.all(known == 2):
        return ctx.op("Mul", p, x, name="slope")
    lower = ctx.constant(known.astype(ctx.dtype) - 1, "lower_exponent")
    return ctx.op("Mul", p, ctx.op("Pow", x, lower), name="slope")


@PORTABLE.vjp("Where")
def where_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar a = \bar y` where the condition holds, else 0; :math:`\bar b` elsewhere."""
    condition, zero = ctx.inputs[0], ctx.constant(0.0, "zero")
    a = b = None
    if ctx.wanted[1]:
        a = unbroadcast(ctx, ctx.op("Where", condition, ctx.cotangent, zero), 1)
    if ctx.wanted[2]:
        b = unbroadcast(ctx, ctx.op("Where", condition, zero, ctx.cotangent), 2)
    return [None, a, b]


# -- one operand ---------------------------------------------------------------------------------


@PORTABLE.vjp("Neg")
def neg_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = -\bar y`."""
    return [ctx.op("Neg", ctx.cotangent)]


@PORTABLE.vjp("Abs")
def abs_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y\, \operatorname{sign} x`, 0 at 0."""
    return [ctx.op("Mul", ctx.cotangent, ctx.op("Sign", ctx.inputs[0]))]


@PORTABLE.vjp("Sqrt")
def sqrt_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \tfrac12 \bar y / y`."""
    half = ctx.op("Mul", ctx.cotangent, ctx.constant(0.5, "half"))
    return [ctx.op("Div", half, ctx.outputs[0])]


@PORTABLE.vjp("Exp")
def exp_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y\, y`."""
    return [ctx.op("Mul", ctx.cotangent, ctx.outputs[0])]


@PORTABLE.vjp("Log")
def log_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y / x`."""
    return [ctx.op("Div", ctx.cotangent, ctx.inputs[0])]


@PORTABLE.vjp("Identity")
def identity_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y`."""
    return [ctx.cotangent]


@PORTABLE.vjp("Cast")
def cast_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y` as x's type; nothing flows through a cast to integers."""
    reals = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    if ctx.attribute("to") not in reals:
        return [None]
    return [ctx.op("CastLike", ctx.cotangent, ctx.inputs[0])]


@PORTABLE.vjp("Dropout")
def dropout_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x = \bar y`: at inference Dropout is the identity."""
    if ctx.has_input(2):
        training = ctx.require_array(2, "training_mode")
        if np.any(training):
            raise DifferentiationError(
                f"{ctx.describe()} is in training mode; export the network for inference."
            )
    return [ctx.cotangent, *[None] * (len(ctx.inputs) - 1)]
