r"""Normalised gradients: every loss pulls with a strength that does not depend on its size.

With g the gradient of a loss without its weight w, with respect to the features F of its layer,
what is carried back to the image is

.. math:: w \frac{g}{\|g\|_1 + 10^{-8}}

in the place of :math:`w g`. That is ``-normalize_gradients`` of jcjohnson/neural-style; the total
variation is not normalised there either. The sum is not the derivative of the loss, nor, in
general, of anything: a line search cannot use it.

One thing differs. A content loss begins at 0 where a run begins from the photo, but for rounding,
and rounding must not be normalised: it would pull like a loss, and in strips, where norm and
gradient come from graphs that round in other ways, without bound. So the norm of a content loss is
at least `LEAST_DIFFERENCE` of what it would be if F were 0, :math:`\frac 2N \|P\|_1`.

ProGamerGov/neural-style-pt has an option of the same name that does something else: it divides the
derivative with respect to the *loss*, one number that is always w, by its own magnitude, and
multiplies by w². Its gradients are those of the loss with w squared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from impasto.export.backward import append_gradient, append_vjp
from impasto.export.graph import GraphBuilder
from impasto.export.guides import append_guided
from impasto.export.registry import Rules
from impasto.export.sizes import element_count

__all__ = [
    "LEAST_DIFFERENCE",
    "LEAST_NORM",
    "Pull",
    "append_least_content_norm",
    "append_norm",
    "append_normalized_gradient",
]

LEAST_NORM = 1e-8
"""What is added to a norm, as the reference does: a loss that is 0 does not pull."""

LEAST_DIFFERENCE = 0.01
"""Of feature maps from their target, as a share of it, below which a content loss pulls less. In
bfloat16 rounding alone is some thousandths."""


@dataclass(frozen=True)
class Pull:
    """A loss that is normalised.

    Parameters
    ----------
    loss : str
        Its value, without weight.
    features : str
        What it is a function of: the output of its layer, shape (1, C, h, w).
    weight : str
        The scalar w.
    least : str, optional
        The least that its gradient's norm is taken to be, a scalar.
    """

    loss: str
    features: str
    weight: str
    least: str | None = None


def append_norm(graph: GraphBuilder, cotangent: str) -> str:
    r"""Append :math:`\|g\|_1`, a scalar, of a cotangent of shape (1, C, h, w).

    Row by row first: a float32 sum of all at once loses digits.
    """
    rows = graph.op(
        "ReduceL1", cotangent, graph.constant([3], "axes"), name="norms_of_rows", keepdims=0
    )
    return graph.op("ReduceSum", rows, name="norm", keepdims=0)


def append_least_content_norm(graph: GraphBuilder, target: str, guide: str | None) -> str:
    """Append the least norm of a content loss.

    Parameters
    ----------
    graph : GraphBuilder
    target : str
        P, of shape (1, C, h, w).
    guide : str, optional
        T, of shape (1, 1, h, w): P counts T² times.
    """
    seen = target
    if guide is not None:
        seen = append_guided(graph, append_guided(graph, target, guide), guide)
    share = graph.op(
        "Div",
        graph.constant(2 * LEAST_DIFFERENCE, "share"),
        element_count(graph, target),
        name="share_per_element",
    )
    return graph.op("Mul", append_norm(graph, seen), share, name="least_norm")


def append_normalized_gradient(
    graph: GraphBuilder, pulls: Iterable[Pull], other: str, image: str, rules: Rules
) -> str:
    """Append the normalised gradients of losses, carried back to the image.

    Parameters
    ----------
    graph : GraphBuilder
        Graph that computes the losses.
    pulls : iterable of Pull
    other : str
        A loss, with its weight, whose gradient is added as it is.
    image : str
    rules : Rules

    Returns
    -------
    str
        Of the image's shape.

    Raises
    ------
    DifferentiationError
        As `impasto.export.backward.append_vjp`.
    """
    seeds: defaultdict[str, list[str]] = defaultdict(list)
    for pull in pulls:
        gradient = append_gradient(graph, pull.loss, [pull.features], rules)[pull.features]
        with graph.scope(f"normalized/{pull.loss}"):
            norm = append_norm(graph, gradient)
            if pull.least is not None:
                norm = graph.op("Max", norm, pull.least, name="norm_or_least")
            least = graph.op("Add", norm, graph.constant(LEAST_NORM, "least_norm"), name="least")
            share = graph.op("Div", pull.weight, least, name="share")
            seeds[pull.features].append(graph.op("Mul", gradient, share, name="pull"))
    seeds[other].append(graph.constant(np.ones((), graph.dtype), "seed_cotangent"))
    summed = {
        value: parts[0] if len(parts) == 1 else graph.op("Sum", *parts, name=f"{value}__seed")
        for value, parts in seeds.items()
    }
    return append_vjp(graph, summed, [image], rules)[image]
