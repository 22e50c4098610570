"""Reverse-mode differentiation of an ONNX graph: the whole algorithm, and no rule.

1. Reachability: which values depend on what we differentiate for, and which lead to the loss.
2. Reverse walk: for each node on a path, its rule turns output into input cotangents.
3. Accumulation: a value with several consumers gets the sum of their cotangents.

Cotangents are called ``<value>__grad``. Only cotangents on a path from the image to the loss are
computed: no rule is ever asked for the gradient of a weight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx

from impasto.errors import DifferentiationError
from impasto.export.graph import GraphBuilder
from impasto.export.registry import PORTABLE, Rules, VjpContext

__all__ = ["append_gradient", "append_vjp"]


def append_gradient(
    graph: GraphBuilder,
    loss: str,
    wrt: Sequence[str],
    rules: Rules = PORTABLE,
    seed: str | None = None,
) -> dict[str, str]:
    """Append the nodes that compute the gradient of `loss`.

    Parameters
    ----------
    graph : GraphBuilder
        Graph that computes `loss`; its nodes must be in topological order.
    loss : str
        The value to differentiate, a scalar unless `seed` is given.
    wrt : sequence of str
        Values to differentiate for: graph inputs, or any value of the graph.
    rules : Rules
        VJP rules to use.
    seed : str, optional
        Cotangent of `loss`, of its shape. By default the scalar 1.

    Returns
    -------
    dict of str to str
        For each value in `wrt`, the value that holds its gradient.

    Raises
    ------
    DifferentiationError
        If a node on the way has no rule, or if `loss` does not depend on a value in `wrt`.
    """
    one = seed or graph.constant(np.ones((), graph.dtype), "seed_cotangent")
    return append_vjp(graph, {loss: one}, wrt, rules)


def append_vjp(
    graph: GraphBuilder,
    seeds: Mapping[str, str],
    wrt: Sequence[str],
    rules: Rules = PORTABLE,
) -> dict[str, str]:
    """Append the nodes that compute a vector-Jacobian product.

    Values that the graph holds (`GraphBuilder.hold`) count as constants.

    Parameters
    ----------
    graph : GraphBuilder
        Its nodes must be in topological order.
    seeds : mapping of str to str
        Cotangent, of the same shape, of each value the product starts from. A cotangent may itself
        be computed from values of the graph: it counts as a constant.
    wrt, rules
        As in :func:`append_gradient`.

    Returns
    -------
    dict of str to str
        For each value in `wrt`, the value that holds the sum over the seeds of their cotangents,
        carried back to it.

    Raises
    ------
    DifferentiationError
        If a node on the way has no rule, or if no seed depends on a value in `wrt`.
    """
    loss = ", ".join(seeds)
    forward = list(graph.nodes)
    dependent = _dependents(forward, wrt, rules, graph.held)
    shapes = graph.shapes()
    contributions: defaultdict[str, list[str]] = defaultdict(list)
    for seeded, seed in seeds.items():
        contributions[seeded].append(seed)

    masked: set[str] = set()
    for node in reversed(forward):
        cotangents = [_accumulate(graph, contributions, value) for value in node.output]
        wanted = [value in dependent for value in node.input]
        reached = any(c is not None for c in cotangents)
        if not reached or rules.stops_at(node.op_type) or not dependent.intersection(_reads(node)):
            continue
        rule = rules.rule(node.op_type)
        if rule is None:
            raise _missing_rule(graph, node, forward, wrt, loss, rules)
        context = VjpContext(graph, node, cotangents, wanted, shapes, masked)
        found = rule(context)
        if len(found) != len(node.input):
            raise DifferentiationError(
                f"The rule for {context.describe()} returned {len(found)} cotangents for "
                f"{len(node.input)} inputs."
            )
        for value, cotangent, want in zip(node.input, found, wanted, strict=True):
            if cotangent is not None and want:
                contributions[value].append(cotangent)

    gradients = {value: _accumulate(graph, contributions, value) for value in wrt}
    missing = [value for value, gradient in gradients.items() if gradient is None]
    if missing:
        raise DifferentiationError(
            f"{loss!r} does not depend on {', '.join(map(repr, missing))} through differentiable "
            f"nodes. Values that depend on it: {', '.join(sorted(dependent)[:20])}."
        )
    return {value: gradient for value, gradient in gradients.items() if gradient is not None}


def _dependents(
    nodes: Iterable[onnx.NodeProto], wrt: Iterable[str], rules: Rules, held: frozenset[str]
) -> set[str]:
    dependent = set(wrt)
    for node in nodes:
        if not rules.stops_at(node.op_type) and dependent.intersection(_reads(node)):
            # "" is an output left out
            dependent.update(name for name in node.output if name and name not in held)
    return dependent


def _reads(node: onnx.NodeProto) -> set[str]:
    """Return what a node reads, including what its subgraphs (If, Loop, Scan) capture.

    Without those, a value used only inside a subgraph would silently get no gradient.
    """
    names = set(node.input)
    for attribute in node.attribute:
        for subgraph in (attribute.g, *attribute.graphs):
            names.update(*(_reads(inner) for inner in subgraph.node))
    return names


def _accumulate(graph: GraphBuilder, contributions: dict[str, list[str]], value: str) -> str | None:
    """Return the sum of a value's cotangents, one n-ary Sum; None if there is none."""
    parts = contributions.get(value, [])
    if len(parts) > 1:
        parts[:] = [graph.op("Sum", *parts, name=f"{value}__grad")]
    return parts[0] if parts else None


def _missing_rule(
    graph: GraphBuilder,
    node: onnx.NodeProto,
    nodes: Sequence[onnx.NodeProto],
    wrt: Sequence[str],
    loss: str,
    rules: Rules,
) -> DifferentiationError:
    return DifferentiationError(
        f"No VJP rule for op {node.op_type!r} (opset {graph.opset}) at node {node.name!r}, needed "
        f"on the path {_path(nodes, wrt, node)} → {loss}. Rules exist for: "
        f"{', '.join(rules.known())}. To add one see docs/how-to/add-an-op.md."
    )


def _path(nodes: Sequence[onnx.NodeProto], wrt: Sequence[str], end: onnx.NodeProto) -> str:
    """Return one chain of values from `wrt` to the node `end`, for a message."""
    came_from: dict[str, str] = {}
    reached = set(wrt)
    for node in nodes:
        source = next((value for value in sorted(_reads(node)) if value in reached), None)
        if source is not None:
            for value in node.output:
                came_from[value] = source
                reached.add(value)
        if node is end:
            break
    chain = [end.output[0]]
    while chain[-1] in came_from:
        chain.append(came_from[chain[-1]])
    return " → ".join(reversed(chain))
