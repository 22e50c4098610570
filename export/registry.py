"""VJP rules: which there are, how one is registered, and what a rule may ask for.

A rule turns the cotangents of a node's outputs into the cotangents of its inputs,
``x̄ = Jᵀ ȳ``, by adding nodes to the graph. The table has three states for an op:
a rule, *stops* (no gradient flows through: Shape, Floor, comparisons), or missing (an error).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from impasto.errors import DifferentiationError
from impasto.export.graph import GraphBuilder, Shape

__all__ = ["PORTABLE", "Cotangents", "Rule", "Rules", "VjpContext"]

Cotangents = Sequence[str | None]
"""One entry per input of the node, in order; None where no cotangent was asked for or exists."""

Rule = Callable[["VjpContext"], Cotangents]


class VjpContext:
    """What a rule sees of the node it differentiates, and the means to add nodes.

    The nodes it adds are named ``<node>/vjp/<op>``.

    Parameters
    ----------
    graph : GraphBuilder
        The graph that holds the node and receives the new ones.
    node : onnx.NodeProto
        The node to differentiate.
    cotangents : sequence of str or None
        Cotangent of each output; None where no loss depends on it.
    wanted : sequence of bool
        For each input, whether its cotangent is needed.
    shapes : mapping of str to tuple
        Shapes of the forward values, as far as they are known.
    masked : set of str
        Cotangents known to be 0 wherever the ReLU whose output they are of is 0. Rules add to it.
    """

    def __init__(
        self,
        graph: GraphBuilder,
        node: onnx.NodeProto,
        cotangents: Cotangents,
        wanted: Sequence[bool],
        shapes: Mapping[str, Shape],
        masked: set[str],
    ) -> None:
        self.graph = graph
        self.node = node
        self.wanted = wanted
        self._cotangents = cotangents
        self._shapes = shapes
        self._masked = masked

    # -- the node --------------------------------------------------------------------------------

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the node's inputs; ``""`` for an omitted one."""
        return list(self.node.input)

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the node's outputs."""
        return list(self.node.output)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type of the graph's real-valued tensors."""
        return self.graph.dtype

    @property
    def cotangent(self) -> str:
        """Cotangent of the first output."""
        first = self._cotangents[0]
        if first is None:
            raise DifferentiationError(
                f"A loss depends on a further output of {self.describe()} only; its rule "
                "differentiates the first."
            )
        return first

    @property
    def follows_relu(self) -> bool:
        """Whether the first input is the output of a ReLU."""
        before = [node for node in self.graph.nodes if self.node.input[0] in node.output]
        return any(node.op_type == "Relu" for node in before)

    @property
    def is_masked(self) -> bool:
        """Whether the cotangent of a ReLU is 0 already wherever its output is."""
        return self.cotangent in self._masked

    def note_masked(self, cotangent: str) -> None:
        """Tell the rule of the ReLU before that this cotangent of its output needs no mask."""
        self._masked.add(cotangent)

    def describe(self) -> str:
        """Return op, opset and node name, for messages."""
        return f"{self.node.op_type!r} (opset {self.graph.opset}) at node {self.node.name!r}"

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute's value (bytes decoded), or `default` if it is not set."""
        for attribute in self.node.attribute:
            if attribute.name == name:
                value = helper.get_attribute_value(attribute)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def has_input(self, index: int) -> bool:
        """Whether the node has an input `index` that is not omitted."""
        return index < len(self.node.input) and bool(self.node.input[index])

    def array(self, index: int) -> npt.NDArray[Any] | None:
        """Return input `index` as an array if its value is known now; None otherwise."""
        return self.graph.array_of(self.node.input[index]) if self.has_input(index) else None

    def require_array(self, index: int, what: str) -> npt.NDArray[Any]:
        """Return input `index`, called `what` in messages, which must be a constant.

        Raises
        ------
        DifferentiationError
            If it is computed at run time.
        """
        array = self.array(index)
        if array is None:
            raise DifferentiationError(
                f"The rule for {self.describe()} needs {what} (input {index}) as a constant, but "
                f"{self.node.input[index]!r} is computed at run time. Make it an initializer."
            )
        return array

    def shape(self, value: str) -> Shape | None:
        """Return the inferred shape of a forward value, or None if not even its rank is known."""
        return self._shapes.get(value)

    def rank(self, value: str) -> int:
        """Return the rank of a forward value.

        Raises
        ------
        DifferentiationError
            If shape inference does not find it.
        """
        shape = self.shape(value)
        if shape is None:
            raise DifferentiationError(
                f"The rank of {value!r}, which the rule for {self.describe()} needs, is unknown."
            )
        return len(shape)

    def static(self, value: str, start: int = 0, end: int | None = None) -> tuple[int, ...] | None:
        """Return dimensions `start` to `end` of a value if all are numbers; None otherwise."""
        dims = (self.shape(value) or (None,))[start:end]
        return (
            tuple(d for d in dims if isinstance(d, int))
            if all(isinstance(d, int) for d in dims)
            else None
        )

    # -- new nodes -------------------------------------------------------------------------------

    def op(self, op_type: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Append a node with one output, named after the node being differentiated."""
        with self.graph.scope(f"{self.node.name}/vjp"):
            return self.graph.op(op_type, *inputs, name=name, **attributes)

    def constant(self, value: npt.ArrayLike, name: str = "constant") -> str:
        """Return a constant; Python floats take the graph's dtype, integers become int64."""
        with self.graph.scope(f"{self.node.name}/vjp"):
            return self.graph.constant(value, name)

    def size(self, value: str, start: int = 0, end: int | None = None) -> str:
        """Return dimensions `start` to `end` of a value as an int64 vector.

        A constant where they are known, a Shape node where they are symbolic.
        """
        known = self.static(value, start, end)
        if known is not None:
            return self.constant(np.array(known, np.int64), "size")
        bounds = {"start": start} if end is None else {"start": start, "end": end}
        if self.graph.opset >= 15:
            return self.op("Shape", value, name="size", **bounds)
        whole = self.op("Shape", value, name="size")
        stop = np.iinfo(np.int64).max if end is None else end
        return self.op(
            "Slice", whole, self.constant([start]), self.constant([stop]), self.constant([0])
        )


class Rules:
    """An op → rule table. Registering an op twice is an error; overriding makes a new table.

    Parameters
    ----------
    rules : mapping of str to Rule, optional
    stops : iterable of str, optional
    """

    def __init__(self, rules: Mapping[str, Rule] | None = None, stops: Sequence[str] = ()) -> None:
        self._rules = dict(rules or {})
        self._stops = set(stops)

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rules by op, read-only."""
        return MappingProxyType(self._rules)

    def vjp(self, *op_types: str) -> Callable[[Rule], Rule]:
        """Register the decorated function as the rule of `op_types`."""

        def register(rule: Rule) -> Rule:
            for op_type in op_types:
                self._refuse_duplicate(op_type)
                self._rules[op_type] = rule
            return rule

        return register

    def stops(self, *op_types: str) -> None:
        """Register ops through which no gradient flows."""
        for op_type in op_types:
            self._refuse_duplicate(op_type)
            self._stops.add(op_type)

    def _refuse_duplicate(self, op_type: str) -> None:
        if op_type in self._rules or op_type in self._stops:
            raise ValueError(
                f"{op_type!r} has a VJP rule already; override it in a lowering's table, or check "
                "that the module was not imported twice under two names."
            )

    def override(self, **rules: Rule) -> Rules:
        """Return a table with some rules replaced, for one runtime."""
        return Rules({**self._rules, **rules}, tuple(self._stops))

    def stops_at(self, op_type: str) -> bool:
        """Whether `op_type` is registered as carrying no gradient."""
        return op_type in self._stops

    def rule(self, op_type: str) -> Rule | None:
        """Return the rule of `op_type`, or None if there is none."""
        return self._rules.get(op_type)

    def known(self) -> tuple[str, ...]:
        """Return the ops that have a rule, sorted."""
        return tuple(sorted(self._rules))


PORTABLE = Rules()
"""The rules that emit what every runtime understands; filled by `impasto.export.vjp`."""
