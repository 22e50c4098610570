"""The one place that undoes broadcasting: sum a cotangent over the axes an operand lacks."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.errors import DifferentiationError
from impasto.export.graph import Dim, Shape
from impasto.export.registry import VjpContext

__all__ = ["known_shape", "sum_repeats", "unbroadcast"]


def unbroadcast(ctx: VjpContext, cotangent: str, operand: int) -> str:
    r"""Return the cotangent of input `operand` of a broadcasting node.

    :math:`\bar x_i = \sum_{j \to i} \bar g_j`, over the elements j that x's element i was
    repeated to. `cotangent` has the shape of the node's first output.

    Notes
    -----
    Two dimensions of unknown size are taken as equal; the cotangent is then reshaped to the
    operand's shape, so that a graph in which they are not fails when it runs instead of returning
    a wrong gradient.

    Raises
    ------
    DifferentiationError
        If the rank of an operand or of the output is unknown.
    """
    value = ctx.inputs[operand]
    others = [
        known_shape(ctx, name)
        for index, name in enumerate(ctx.inputs)
        if index != operand and name and name != value
    ]
    shape, output = known_shape(ctx, value), known_shape(ctx, ctx.outputs[0])
    return sum_repeats(ctx, cotangent, value, shape, output, others)


def sum_repeats(
    ctx: VjpContext,
    cotangent: str,
    operand: str,
    shape: Shape,
    output: Shape,
    others: Sequence[Shape],
) -> str:
    """Sum a cotangent over the axes along which an operand was repeated.

    `shape`, `output` and `others` are the dimensions that broadcast: of the operand, of the result
    and of the other operands. The cotangent begins with those of the result.
    """
    leading = len(output) - len(shape)
    repeated = [axis for axis, dim in enumerate(shape, leading) if dim == 1 != output[axis]]
    if repeated:
        axes = ctx.constant(repeated, "axes")
        cotangent = ctx.op("ReduceSum", cotangent, axes, keepdims=1, name="unbroadcast")
    if leading:
        axes = ctx.constant(list(range(leading)), "axes")
        cotangent = ctx.op("ReduceSum", cotangent, axes, keepdims=0, name="unbroadcast")
    if _certain(shape, output, others):
        return cotangent
    return ctx.op("Reshape", cotangent, ctx.size(operand), name="of_operand_shape")


def known_shape(ctx: VjpContext, value: str) -> Shape:
    """Return a shape, whose dimensions may be unknown but not its rank."""
    shape = ctx.shape(value)
    if shape is None:
        raise DifferentiationError(
            f"The rule for {ctx.describe()} cannot tell how {value!r} is broadcast: its rank is "
            "unknown. Give the graph's inputs a shape; symbolic dimensions are enough."
        )
    return shape


def _certain(shape: Shape, output: Shape, others: Sequence[Shape]) -> bool:
    """Whether the known dimensions alone show that every repeated axis was summed."""
    rank = len(output)
    return all(
        isinstance(dim, int)
        or (dim is not None and dim == output[axis])
        or all(_aligned(other, axis, rank) == 1 for other in others)
        for axis, dim in enumerate(shape, rank - len(shape))
    )


def _aligned(shape: Shape, axis: int, rank: int) -> Dim:
    index = axis - (rank - len(shape))
    return shape[index] if index >= 0 else 1
