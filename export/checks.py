"""Check a VJP rule: the dot-product test, in float64, on NumPy.

Reverse mode computes Jᵀu; the transpose is right if ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ for random u and v. Jv is a
central difference of eighth order: at the step used, exact to rounding for linear functions, for
piecewise linear ones away from their kinks, and for smooth ones of moderate derivatives. So 1e-10
holds without trusting the rule anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

import impasto.export.vjp  # noqa: F401  (fills the portable table)
from impasto.errors import DifferentiationError
from impasto.export.backward import append_gradient
from impasto.export.graph import GraphBuilder
from impasto.export.reference import evaluate
from impasto.export.registry import PORTABLE, Rules

__all__ = ["check_vjp", "gradient_model", "separated_values"]

Array = npt.NDArray[np.float64]
Feeds = Mapping[str, npt.NDArray[Any]]

STEP = 2.0**-10
"""Step of the central difference; inputs move by at most four of them."""

COEFFICIENTS = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
"""Central first difference of eighth order (Fornberg 1988, table 1), antisymmetric."""


def check_vjp(
    model: onnx.ModelProto,
    wrt: Sequence[str],
    feeds: Feeds | None = None,
    *,
    seed: int = 0,
    tolerance: float = 1e-10,
    rules: Rules = PORTABLE,
) -> None:
    r"""Check :math:`\langle u, J v\rangle = \langle J^\top u, v\rangle` for random u and v.

    Parameters
    ----------
    model : onnx.ModelProto
        A float64 graph with one output: an op, or a few.
    wrt : sequence of str
        Inputs to differentiate for, all at once.
    feeds : mapping of str to ndarray, optional
        Value of every input. By default `separated_values` of the inputs' shapes, which must then
        be known. Values should be 0.01 apart from each other and from every kink (0 for Relu).
    seed : int
        Of u, v and the default inputs.
    tolerance : float
        Largest accepted difference, relative to :math:`\sum_i |u_i (J v)_i|`.
    rules : Rules
        Rules to check.

    Raises
    ------
    AssertionError
        If the two differ, or a gradient has another shape than its input; names ops, seed and
        both numbers.
    DifferentiationError
        If the model cannot be differentiated, or has several outputs.
    """
    rng = np.random.default_rng(seed)
    output = model.graph.output[0].name
    values = {
        name: np.asarray(value) for name, value in (feeds or _default_feeds(model, rng)).items()
    }
    directions = {name: rng.uniform(-1, 1, values[name].shape) for name in wrt}
    derivative = _directional_derivative(model, values, directions)
    u = rng.normal(size=derivative.shape)

    reverse = evaluate(gradient_model(model, wrt, rules=rules), {**values, "cotangent": u})
    described = f"{', '.join(node.op_type for node in model.graph.node)} (seed {seed})"
    pulled_back = 0.0
    for name, direction in directions.items():
        gradient = reverse[f"{name}_gradient"]
        if gradient.shape != direction.shape:
            raise AssertionError(
                f"{described}: the gradient for {name!r} has shape {gradient.shape}, the input "
                f"has {direction.shape}."
            )
        pulled_back += float(np.vdot(gradient, direction))
    pushed_forward = float(np.vdot(u, derivative))
    scale = float(np.abs(u * derivative).sum())
    if not abs(pushed_forward - pulled_back) <= tolerance * max(scale, 1e-12):
        raise AssertionError(
            f"{described}: <u, J v> = {pushed_forward!r} by central differences of {output!r}, "
            f"but <Jt u, v> = {pulled_back!r} by the rules, for {', '.join(map(repr, wrt))}. "
            f"Relative to {scale:.3g} they differ by more than {tolerance:g}."
        )


def gradient_model(
    model: onnx.ModelProto, wrt: Sequence[str], *, rules: Rules = PORTABLE
) -> onnx.ModelProto:
    """Return the model that computes Jᵀu: one more input ``cotangent``, outputs ``<x>_gradient``.

    Parameters
    ----------
    model : onnx.ModelProto
        With one output; ``cotangent`` has its shape.
    wrt : sequence of str
        Inputs to differentiate for.
    rules : Rules
        Rules to use.

    Raises
    ------
    DifferentiationError
        If the model has several outputs, or cannot be differentiated.
    """
    if len(model.graph.output) != 1:
        raise DifferentiationError(
            f"A model with one output is needed; this one has {len(model.graph.output)}."
        )
    graph = GraphBuilder.from_model(model)
    output = model.graph.output[0].name
    shapes = graph.shapes()
    cotangent = graph.input("cotangent", shapes[output])
    gradients = append_gradient(graph, output, wrt, rules, seed=cotangent)
    graph.outputs.clear()
    for name, gradient in gradients.items():
        graph.output(gradient, f"{name}_gradient", shapes[name])
    return graph.build("vector_jacobian_product")


def separated_values(
    shape: Sequence[int], rng: np.random.Generator, spacing: float = 0.02
) -> Array:
    """Return values in random order, `spacing` apart and half of it from 0: no ties, no kinks."""
    count = math.prod(shape)
    ranks = rng.permutation(count) - count // 2
    return np.asarray((ranks + 0.5) * spacing, np.float64).reshape(shape)


def _default_feeds(model: onnx.ModelProto, rng: np.random.Generator) -> dict[str, Array]:
    feeds = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        if tensor.elem_type != helper.np_dtype_to_tensor_dtype(np.dtype(np.float64)):
            raise DifferentiationError(f"Input {value.name!r} is not float64: give feeds.")
        dims = tensor.shape.dim
        if any(dim.dim_param for dim in dims):
            raise DifferentiationError(f"Input {value.name!r} has a symbolic size: give feeds.")
        feeds[value.name] = separated_values([dim.dim_value for dim in dims], rng)
    return feeds


def _directional_derivative(
    model: onnx.ModelProto, values: Feeds, directions: Mapping[str, Array]
) -> Array:
    """Return J v by a central difference."""
    (output,) = (value.name for value in model.graph.output)
    total: Array | float = 0.0
    for steps, coefficient in COEFFICIENTS.items():
        for sign in (1, -1):
            moved = dict(values)
            for name, direction in directions.items():
                moved[name] = values[name] + sign * steps * STEP * direction
            total = total + sign * coefficient / STEP * evaluate(model, moved)[output]
    return np.asarray(total, np.float64)
