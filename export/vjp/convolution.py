"""Conv and ConvTranspose. Weights are constants here: no rule computes their cotangents."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.errors import DifferentiationError
from impasto.export.registry import PORTABLE, Cotangents, VjpContext
from impasto.export.vjp.sizes import INT64_MAX, crop, spatial_axes
from impasto.export.vjp.window import Cell, Window, interleave, known_sizes, tail_cells, window_of

__all__: list[str] = []


@PORTABLE.vjp("Conv")
def conv_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x_{ys + di - p} = \sum_{y,i} W_i^\top \bar y_y`: correlate ȳ with W flipped.

    A constant weight and no stride: a Conv with the flipped weight, in and out swapped. With a
    stride, the phases of the input are channels of one such Conv. Otherwise a ConvTranspose.
    """
    _refuse_weight_cotangents(ctx)
    weight = ctx.array(1)
    window = window_of(ctx, _kernel(ctx))
    plain_steps = set(window.strides) == {1}
    phases_possible = len(window.kernel) == 2 and set(window.dilations) == {1}
    if weight is not None and (plain_steps or phases_possible):
        x = _flipped_convolution(ctx, weight, window)
    else:
        x = _transposed_convolution(ctx, window)
    return [x, *[None] * (len(ctx.inputs) - 1)]


@PORTABLE.vjp("ConvTranspose")
def conv_transpose_vjp(ctx: VjpContext) -> Cotangents:
    r""":math:`\bar x_y = \sum_i W_i \bar y_{ys + di - p}`, the Conv it is the transpose of."""
    _refuse_weight_cotangents(ctx)
    if ctx.attribute("output_shape") or ctx.attribute("auto_pad", "NOTSET") != "NOTSET":
        raise DifferentiationError(
            f"{ctx.describe()} leaves its padding to output_shape or auto_pad. Give explicit pads "
            "and output_padding."
        )
    window = window_of(ctx, _kernel(ctx))
    x = ctx.op(
        "Conv",
        ctx.cotangent,
        ctx.inputs[1],
        name="correlated",
        group=ctx.attribute("group", 1),
        **_attributes(window),
    )
    more = ctx.attribute("output_padding", [0] * len(window.kernel))
    if any(m >= s for m, s in zip(more, window.strides, strict=True)):
        x = crop(ctx, x, [0] * len(window.kernel), ctx.inputs[0], None)
    return [x, *[None] * (len(ctx.inputs) - 1)]


def _refuse_weight_cotangents(ctx: VjpContext) -> None:
    if any(ctx.wanted[1:]):
        raise DifferentiationError(
            f"The weight or bias of {ctx.describe()} depends on what the gradient is taken for. "
            "Weights are constants here: only the cotangent of the first input is computed."
        )


def _kernel(ctx: VjpContext) -> Cell:
    given = ctx.attribute("kernel_shape")
    shape = given or ctx.static(ctx.inputs[1], 2)
    if shape is None:
        raise DifferentiationError(
            f"The kernel size of {ctx.describe()} is unknown: set its kernel_shape."
        )
    return tuple(shape)


def _attributes(window: Window) -> dict[str, list[int]]:
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.strides),
        "dilations": list(window.dilations),
        "pads": [*window.begin, *window.end],
    }


# -- without ConvTranspose -----------------------------------------------------------------------


def _flipped_convolution(ctx: VjpContext, weight: npt.NDArray[Any], window: Window) -> str:
    """Correlate ȳ with the flipped weight, one output channel per input channel and phase."""
    group, strides = ctx.attribute("group", 1), window.strides
    flipped = _flip(weight, strides, group)
    kernel = flipped.shape[2:]
    reach = [d * (k - 1) for k, d in zip(kernel, window.dilations, strict=True)]
    skipped = [p // s for p, s in zip(window.begin, strides, strict=True)]
    begin = np.subtract(reach, skipped)
    end = np.array(tail_cells(ctx, window))
    phases = ctx.op(
        "Conv",
        _trimmed(ctx, ctx.cotangent, np.maximum(-begin, 0), np.maximum(-end, 0)),
        ctx.constant(flipped, "flipped_weight"),
        name="correlated",
        group=group,
        kernel_shape=list(kernel),
        dilations=list(window.dilations),
        pads=[*np.maximum(begin, 0).tolist(), *np.maximum(end, 0).tolist()],
    )
    if set(strides) == {1}:
        return phases
    known, size = known_sizes(ctx, window), None
    if known is not None:
        size = tuple(((np.array(known[1]) - skipped + end) * strides).tolist())
    inside = [p % s for p, s in zip(window.begin, strides, strict=True)]
    return crop(ctx, interleave(ctx, phases, strides, "CRD"), inside, ctx.inputs[0], size)


def _flip(weight: npt.NDArray[Any], strides: Cell, group: int) -> npt.NDArray[Any]:
    """Return V with V[(c, phase), o, j] = W[o, c, (Q−1−j)·stride + phase], zero beyond the kernel.

    Q is the kernel's size in coarse cells. Shapes: W (O, C/group, *kernel), V (C·phases,
    O/group, *Q); input channels stay in the order of their groups.
    """
    out_channels, in_channels, *kernel = weight.shape
    coarse = [-(-k // s) for k, s in zip(kernel, strides, strict=True)]
    missing = [(0, q * s - k) for q, s, k in zip(coarse, strides, kernel, strict=True)]
    filled = np.pad(weight, [(0, 0), (0, 0), *missing])
    blocks = [n for pair in zip(coarse, strides, strict=True) for n in pair]
    split = filled.reshape(group, out_channels // group, in_channels, *blocks)
    cells = [3 + 2 * axis for axis in range(len(kernel))]
    phases = [axis + 1 for axis in cells]
    turned: npt.NDArray[Any] = np.flip(split, tuple(cells)).transpose(0, 2, *phases, 1, *cells)
    return turned.reshape(-1, out_channels // group, *coarse)


def _trimmed(ctx: VjpContext, value: str, begin: npt.NDArray[Any], end: npt.NDArray[Any]) -> str:
    """Cut cells off the cotangent that lie wholly in the padding, which ONNX cannot pad by −n."""
    if not begin.any() and not end.any():
        return value
    ends = np.where(end > 0, -end, INT64_MAX)
    axes = spatial_axes(ctx, ctx.inputs[0])
    return ctx.op(
        "Slice", value, ctx.constant(begin), ctx.constant(ends), ctx.constant(axes), name="trimmed"
    )


# -- with ConvTranspose --------------------------------------------------------------------------


def _transposed_convolution(ctx: VjpContext, window: Window) -> str:
    """Use the weight as it is, known or not, and cut to the input's size."""
    known = known_sizes(ctx, window)
    if known is not None:
        covered = np.subtract(known[1], 1) * window.strides + window.extent
        more = np.add(known[0], window.begin) + window.end - covered
    else:
        more = np.subtract(window.strides, 1)  # the most that any size needs
    x = ctx.op(
        "ConvTranspose",
        ctx.cotangent,
        ctx.inputs[1],
        name="transposed",
        group=ctx.attribute("group", 1),
        output_padding=more.tolist(),
        **_attributes(window),
    )
    exact = known is not None or not more.any()
    return x if exact else crop(ctx, x, [0] * len(window.kernel), ctx.inputs[0], None)
