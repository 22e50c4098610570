"""Matrix products: MatMul, Gemm."""

from __future__ import annotations

from impasto.export.registry import PORTABLE, Cotangents, VjpContext
from impasto.export.vjp.broadcasting import known_shape, sum_repeats

__all__: list[str] = []


@PORTABLE.vjp("MatMul")
def matmul_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar A = \bar Y B^\top,\ \bar B = A^\top \bar Y`.

    Of a Gram matrix :math:`A A^\top`, one product instead of two:
    :math:`\bar A = (\bar Y + \bar Y^\top) A`; and of :math:`B^\top B`,
    :math:`\bar B = B (\bar Y + \bar Y^\top)`.
    """
    a, b = ctx.inputs
    g = ctx.cotangent
    if all(ctx.wanted) and _is_transpose(ctx, b, a):
        return [ctx.op("MatMul", _symmetric(ctx), a), None]
    if all(ctx.wanted) and _is_transpose(ctx, a, b):
        return [None, ctx.op("MatMul", b, _symmetric(ctx))]
    # A vector is a matrix of one row on the left and of one column on the right.
    if ctx.rank(b) == 1:
        column = ctx.constant([-1])
        g, b = ctx.op("Unsqueeze", g, column), ctx.op("Unsqueeze", b, column)
    if ctx.rank(a) == 1:
        row = ctx.constant([-2])
        g, a = ctx.op("Unsqueeze", g, row), ctx.op("Unsqueeze", a, row)
    rank_a, rank_b = (max(2, ctx.rank(value)) for value in ctx.inputs)
    found: list[str | None] = [None, None]
    if ctx.wanted[0]:
        product = ctx.op("MatMul", g, _transposed(ctx, b, rank_b))
        found[0] = _of_operand(ctx, product, 0, vector_axis=-2)
    if ctx.wanted[1]:
        product = ctx.op("MatMul", _transposed(ctx, a, rank_a), g)
        found[1] = _of_operand(ctx, product, 1, vector_axis=-1)
    return found


def _symmetric(ctx: VjpContext) -> str:
    """Return ȳ + ȳᵀ."""
    g = ctx.cotangent
    return ctx.op("Add", g, _transposed(ctx, g, ctx.rank(ctx.inputs[0])), name="symmetric")


def _transposed(ctx: VjpContext, value: str, rank: int) -> str:
    array = ctx.graph.array_of(value)
    if array is not None:
        return ctx.constant(array.swapaxes(-1, -2), "transposed")
    return ctx.op("Transpose", value, perm=_swapped(rank), name="transposed")


def _swapped(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]


def _is_transpose(ctx: VjpContext, value: str, of: str) -> bool:
    return any(
        node.op_type == "Transpose"
        and value in node.output
        and of in node.input
        and any(list(a.ints) == _swapped(ctx.rank(of)) for a in node.attribute)
        for node in ctx.graph.nodes
    )


def _of_operand(ctx: VjpContext, product: str, operand: int, vector_axis: int) -> str:
    """Sum over repeated batch axes; drop the axis that was given to a vector."""
    shape, other = (known_shape(ctx, ctx.inputs[index]) for index in (operand, 1 - operand))
    if len(shape) == 1:
        repeats = list(range(max(0, len(other) - 2)))
        axes = ctx.constant([*repeats, vector_axis], "axes")
        return ctx.op("ReduceSum", product, axes, keepdims=0, name="as_vector")
    matrix_axes = sum(len(s) > 1 for s in (shape, other))
    output = known_shape(ctx, ctx.outputs[0])
    batch = output[: len(output) - matrix_axes]
    value = ctx.inputs[operand]
    return sum_repeats(ctx, product, value, shape[:-2], batch, [other[:-2]])


@PORTABLE.vjp("Gemm")
def gemm_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar A = \alpha\bar Y B^\top, \bar B = \alpha A^\top \bar Y, \bar C = \beta\bar Y`.

    A and B are meant as they enter the product; one given transposed gets ḡ transposed.
    """
    a, b, g = ctx.inputs[0], ctx.inputs[1], ctx.cotangent
    trans_a, trans_b = ctx.attribute("transA", 0), ctx.attribute("transB", 0)
    alpha, beta = float(ctx.attribute("alpha", 1.0)), float(ctx.attribute("beta", 1.0))
    found: list[str | None] = [None] * len(ctx.inputs)
    if ctx.wanted[0]:
        found[0] = (
            ctx.op("Gemm", b, g, transA=trans_b, transB=1, alpha=alpha)
            if trans_a
            else ctx.op("Gemm", g, b, transB=1 - trans_b, alpha=alpha)
        )
    if ctx.wanted[1]:
        found[1] = (
            ctx.op("Gemm", g, a, transA=1, transB=trans_a, alpha=alpha)
            if trans_b
            else ctx.op("Gemm", a, g, transA=1 - trans_a, alpha=alpha)
        )
    if len(ctx.inputs) > 2 and ctx.wanted[2]:
        scaled = ctx.op("Mul", g, ctx.constant(beta, "beta")) if beta != 1 else g
        c, y = (known_shape(ctx, value) for value in (ctx.inputs[2], ctx.outputs[0]))
        found[2] = sum_repeats(ctx, scaled, ctx.inputs[2], c, y, [y])
    return found
