"""Matrix products: MatMul, Gemm."""

from __future__ import annotations

from impasto.export.registry import PORTABLE, Cotangents, VjpContext
from impasto.export.vjp.broadcasting import known_shape, sum_repeats, unbroadcast

__all__: list[str] = []


@PORTABLE.vjp("MatMul")
def matmul_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar A = \bar Y B^\top,\ \bar B = A^\top \bar Y`.

    Of a Gram matrix :math:`A A^\top`, one product instead of two:
    :math:`\bar A = (\bar Y + \bar Y^\top) A`.
    """
    a, b = ctx.inputs
    g = ctx.cotangent
    if all(ctx.wanted) and _is_transpose(ctx, b, a):
        both = ctx.op("Add", g, _transposed(ctx, g, ctx.rank(a)), name="symmetric")
        return [ctx.op("MatMul", both, a), None]
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
    batch, other_batch = shape[:-2], other[:-2]
    longer, shorter = sorted((batch, other_batch), key=len, reverse=True)
    leading = len(longer) - len(shorter)
    output = (
        *longer[:leading],
        *(b if a == 1 else a for a, b in zip(longer[leading:], shorter, strict=True)),
    )
    product = sum_repeats(ctx, product, batch, output)
    if len(shape) == 1:
        return ctx.op("Squeeze", product, ctx.constant([vector_axis]), name="as_vector")
    certain = all(
        isinstance(dim, int) or (dim in (output[axis], None) and output[axis] == dim)
        for axis, dim in enumerate(batch, len(output) - len(batch))
    )
    same = batch == other_batch and None not in batch
    if certain and (same or all(isinstance(dim, int) for dim in batch)):
        return product
    return ctx.op("Reshape", product, ctx.size(ctx.inputs[operand]), name="of_operand_shape")


@PORTABLE.vjp("Gemm")
def gemm_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar A = \alpha \bar Y B^\top,\ \bar B = \alpha A^\top \bar Y,\ \bar C = \beta \bar Y`.

    A and B as they enter the product; a transposed one takes the transposed cotangent.
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
        found[2] = _bias_cotangent(ctx, scaled)
    return found


def _bias_cotangent(ctx: VjpContext, scaled: str) -> str:
    """Sum over the axes along which C was repeated; A and B do not broadcast with it."""
    return unbroadcast(ctx, scaled, 2)
