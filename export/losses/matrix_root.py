r"""The trace of a matrix's square root in matrix products only, with its exact gradient.

Standard ONNX has no eigenvalues. Newton and Schulz's iteration (Higham, *Functions of Matrices*,
2008, equation 6.35) needs products only and converges for every positive definite Q of eigenvalues
up to 1:

.. math:: T_k = \tfrac12 (3 I - Z_k Y_k),\quad Y_{k+1} = Y_k T_k,\quad Z_{k+1} = T_k Z_k

with Y₀ = Q, Z₀ = I, Y → Q^½ and Z → Q^{-½}. A small eigenvalue's root grows by a factor 1.5 a step
only; scaled as Chen and Chow (2014, "A stable scaling of Newton-Schulz for improving the sign
function computation of a Hermitian matrix") do, which takes a lower bound of the eigenvalues, it
grows by 2.6.
"""

from __future__ import annotations

import math

import numpy as np

from impasto.export.graph import GraphBuilder

__all__ = ["LEAST_SHARE", "append_trace", "append_trace_of_root", "scalings"]

LEAST_SHARE = 1e-6
"""Least eigenvalue the iteration is made for, as a share of the trace: what float32 can tell from
rounding in a product of matrices of some hundred rows."""

TOLERANCE = 1e-12
"""Of the roots' relative error. It is squared from one of the last steps to the next, so that the
digits beyond float32's, for the tests in float64, cost one step."""


def append_trace_of_root(graph: GraphBuilder, matrix: str, channels: int) -> str:
    r"""Append :math:`\operatorname{tr} Q^{1/2}`.

    Parameters
    ----------
    graph : GraphBuilder
    matrix : str
        Q, symmetric, of shape (C, C), with no eigenvalue below `LEAST_SHARE` times its trace.
    channels : int
        C.

    Returns
    -------
    str
        A scalar.

    Notes
    -----
    It is the least value of :math:`\tfrac12(\langle Z, Q\rangle + \operatorname{tr} Z^{-1})` over
    all positive definite Z, taken at Z = Q^{-½}. So that is what is appended, with Z and Z⁻¹ = Y
    from the iteration *held*: at a minimum the derivative through Z is 0, and what is left is
    :math:`\bar Q = \tfrac12 \bar t\, Z`, the exact one. Nothing is differentiated through the
    iteration, where float32 would lose the small eigenvalues.
    """
    trace = append_trace(graph, matrix, channels)
    identity = graph.constant(np.eye(channels, dtype=graph.dtype), "identity")
    three = graph.op("Mul", identity, graph.constant(3.0, "number"), name="three")
    y, z = graph.op("Div", matrix, trace, name="scaled"), identity
    for scaling in scalings():
        product = graph.op("MatMul", z, y, name="product")
        squared = graph.constant(scaling**2, "squared_scaling")
        inner = graph.op("Sub", three, graph.op("Mul", product, squared), name="inner")
        t = graph.op("Mul", inner, graph.constant(scaling / 2, "half_scaling"), name="update")
        y, z = graph.op("MatMul", y, t, name="y"), graph.op("MatMul", t, z, name="z")
    size = graph.op("Sqrt", trace, name="root_of_trace")
    inverse_root = graph.hold(graph.op("Div", z, size, name="inverse_root"))
    trace_of_root = graph.hold(
        graph.op("Mul", append_trace(graph, y, channels), size, name="trace_of_root")
    )
    weighted = graph.op("Mul", inverse_root, matrix, name="weighted")
    inner_product = graph.op("ReduceSum", weighted, name="inner_product", keepdims=0)
    both = graph.op("Add", inner_product, trace_of_root, name="twice")
    return graph.op("Mul", both, graph.constant(0.5, "half"), name="root_trace")


def append_trace(graph: GraphBuilder, matrix: str, channels: int) -> str:
    """Append the sum of the diagonal of a matrix of shape (C, C)."""
    identity = graph.constant(np.eye(channels, dtype=graph.dtype), "identity")
    diagonal = graph.op("Mul", matrix, identity, name="diagonal")
    return graph.op("ReduceSum", diagonal, name="trace", keepdims=0)


def scalings() -> tuple[float, ...]:
    r"""Return Chen and Chow's scalings, one for each step.

    With l the least root of an eigenvalue so far, :math:`\alpha = \sqrt{3 / (1 + l + l^2)}` and
    :math:`l \leftarrow \tfrac12 \alpha l (3 - \alpha^2 l^2)`, until l is 1.
    """
    least, found = math.sqrt(LEAST_SHARE), []
    while 1 - least > TOLERANCE:
        scaling = math.sqrt(3 / (1 + least + least**2))
        found.append(scaling)
        least = scaling * least * (3 - (scaling * least) ** 2) / 2
    return tuple(found)
