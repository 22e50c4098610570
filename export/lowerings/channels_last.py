"""A last pass: wide convolutions by Winograd, and what lies between them channels-last.

Winograd's tiles are rows of channels (`impasto.export.lowerings.winograd`), so its input and output
are of shape (1, h, w, C). Turning each of them would undo much of the gain. Instead, elementwise
operators that read a value born channels-last are computed channels-last themselves if all they
read is, or if a convolution by Winograd reads the result; and so are Gram matrices of such values
and the products of their backward pass. Everything else finds the
value under its old name, in the old layout, behind a Transpose; those that nobody reads are left
out of the finished model.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy.typing as npt
import onnx
from onnx import helper

from impasto.export.graph import GraphBuilder
from impasto.export.lowerings.winograd import FILTERS, Pads, Worthwhile, append_winograd

__all__ = ["convolve_by_winograd"]

# Operators that may follow. Not Add and Equal, which poolings apply to values in the old layout.
_FOLLOWING = {"Relu", "Greater", "Where", "Mul", "Sub", "Sum", "HardSigmoid"}

_TO_LAST = [0, 2, 3, 1]
_TO_FIRST = [0, 3, 1, 2]


def convolve_by_winograd(graph: GraphBuilder, table: Collection[Worthwhile]) -> None:
    """Replace the convolutions that `table` covers, in place.

    A convolution qualifies if it has stride, dilation and group 1, one picture of known size and a
    known weight of 3×3 or 5×5. Names of values and their numbers, up to rounding, stay.
    """
    _Pass(graph, table).run()


@dataclass(frozen=True)
class _Wide:
    """A convolution to compute by Winograd: what `append_winograd` asks for."""

    size: tuple[int, int]
    pads: Pads
    weight: npt.NDArray[Any]


class _Pass:
    def __init__(self, graph: GraphBuilder, table: Collection[Worthwhile]) -> None:
        self._graph = graph
        self._table = table
        self._shapes = graph.shapes()
        self._native: dict[str, str] = {}  # what was computed channels-last
        self._turned: dict[str, str] = {}  # what had to be transposed for it
        self._cells: dict[str, str] = {}  # (C, h·w) → (h·w, C)
        self._wanted: set[str] = set()  # what a convolution by Winograd reads in the end
        self._wide: dict[str, _Wide] = {}  # by the name of the output

    def run(self) -> None:
        self._look_ahead()
        old, self._graph.nodes = self._graph.nodes, []
        for node in old:
            with self._graph.scope(node.name):
                if not self._replace(node):
                    self._graph.nodes.append(node)

    def _look_ahead(self) -> None:
        """Find the wide convolutions, and what leads to them through elementwise operators."""
        for node in reversed(self._graph.nodes):
            result = node.output[0]
            if node.op_type == "Conv":
                wide = self._wide_convolution(node)
                if wide is not None:
                    self._wide[result] = wide
                    self._wanted.add(node.input[0])
            elif node.op_type in _FOLLOWING and result in self._wanted:
                self._wanted.update(node.input)

    def _wide_convolution(self, node: onnx.NodeProto) -> _Wide | None:
        size, pads = self._size(node.input[0]), _pads_of_plain(node)
        if size is None or pads is None:
            return None
        weight = self._graph.array_of(node.input[1])
        if weight is None or (minimal := FILTERS.get(weight.shape[2])) is None:
            return None
        if min(minimal.output_size(size, pads)) < 1:
            return None
        tiles = prod(minimal.tile_counts(size, pads))
        worthwhile = any(row.covers(weight.shape, tiles) for row in self._table)
        return _Wide(size, pads, weight) if worthwhile else None

    # -- rules: each appends what takes the node's place, or says that it stays ------------------

    def _replace(self, node: onnx.NodeProto) -> bool:
        match node.op_type:
            case "Conv":
                return self._convolve(node)
            case "Reshape":
                return self._reshape(node)
            case "Transpose":
                return self._transpose(node)
            case "MatMul":
                return self._multiply(node)
            case "ReduceSumSquare":
                return self._reduce(node)
        return node.op_type in _FOLLOWING and self._follow(node)

    def _convolve(self, node: onnx.NodeProto) -> bool:
        wide = self._wide.get(node.output[0])
        if wide is None:
            return False
        bias = node.input[2] if len(node.input) > 2 else ""
        image = self._last(node.input[0])
        last = append_winograd(self._graph, image, wide.size, wide.weight, bias, wide.pads)
        self._publish(node.output[0], last)
        return True

    def _follow(self, node: onnx.NodeProto) -> bool:
        """Compute an operator of pictures of one shape and of scalars channels-last."""
        shape = self._shapes.get(node.output[0])
        pictures = [value for value in node.input if self._shapes.get(value) == shape]
        native = [value in self._native for value in pictures]
        others = [value for value in node.input if value not in pictures]
        if not (all(native) or (any(native) and node.output[0] in self._wanted)):
            return False
        if not pictures or any(self._shapes.get(value) != () for value in others):
            return False
        operands = [self._last(v) if v in pictures else v for v in node.input]
        self._publish(node.output[0], self._copy(node, operands))
        return True

    def _reduce(self, node: onnx.NodeProto) -> bool:
        """Sum over all axes, whose order does not matter."""
        attributes = _attributes(node)
        alone = len(node.input) == 1 and attributes == {"keepdims": 0}
        if not alone or node.input[0] not in self._native:
            return False
        self._name(node.output[0], node.op_type, self._native[node.input[0]], **attributes)
        return True

    def _reshape(self, node: onnx.NodeProto) -> bool:
        """Flatten a native value for its Gram matrix, or make a picture of a product of cells."""
        value, result = node.input[0], node.output[0]
        before, after = self._shapes.get(value, ()), self._shapes.get(result, ())
        match before, after:
            case (1, int(channels), int(height), int(width)), (rows, int(cells)):
                flattened = value in self._native and (rows, cells) == (channels, height * width)
                if flattened:
                    shape = self._graph.constant([cells, channels])
                    flat = self._graph.op("Reshape", self._native[value], shape, name="cells")
                    self._publish_cells(result, flat)
                return flattened
            case (rows, int(cells)), (1, int(channels), int(height), int(width)):
                picture = value in self._cells and (rows, cells) == (channels, height * width)
                if picture:
                    shape = self._graph.constant([1, height, width, channels])
                    last = self._graph.op("Reshape", self._cells[value], shape, name="last")
                    self._publish(result, last)
                return picture
        return False

    def _transpose(self, node: onnx.NodeProto) -> bool:
        """Take a transposition into channels-last as done, and one out of it as a native value."""
        value, result = node.input[0], node.output[0]
        order = _attributes(node).get("perm")
        if order == _TO_FIRST:
            self._native[result] = value
        elif order == _TO_LAST and value in self._native:
            self._name(result, "Identity", self._native[value])
            return True
        return False

    def _multiply(self, node: onnx.NodeProto) -> bool:
        """S F, of a matrix S and flattened features F: (Fᵀ Sᵀ)ᵀ."""
        left, right = node.input
        shape = self._shapes.get(node.output[0])
        if right not in self._cells or shape != self._shapes.get(right):
            return False
        turned = self._graph.op("Transpose", left, perm=[1, 0], name="turned")
        product = self._graph.op("MatMul", self._cells[right], turned, name="cells")
        self._publish_cells(node.output[0], product)
        return True

    # -- values ----------------------------------------------------------------------------------

    def _size(self, value: str) -> tuple[int, int] | None:
        """Return (height, width) of one picture, if they are known."""
        match self._shapes.get(value):
            case (1, int(), int(height), int(width)):
                return height, width
        return None

    def _last(self, value: str) -> str:
        """Return `value` channels-last."""
        if value in self._native:
            return self._native[value]
        if value not in self._turned:
            turned = self._graph.op("Transpose", value, perm=_TO_LAST, name="channels_last")
            self._turned[value] = turned
        return self._turned[value]

    def _publish(self, name: str, last: str) -> None:
        self._native[name] = last
        self._name(name, "Transpose", last, perm=_TO_FIRST)

    def _publish_cells(self, name: str, rows: str) -> None:
        self._cells[name] = rows
        self._name(name, "Transpose", rows, perm=[1, 0])

    def _copy(self, node: onnx.NodeProto, operands: list[str]) -> str:
        return self._graph.op(node.op_type, *operands, name="last", **_attributes(node))

    def _name(self, name: str, op_type: str, *inputs: str, **attributes: Any) -> None:
        """Append a node that makes the value `name`, in place of the one that made it so far."""
        title = self._graph.fresh(op_type.lower())
        node = helper.make_node(op_type, inputs, [name], name=title, **attributes)
        self._graph.nodes.append(node)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _pads_of_plain(node: onnx.NodeProto) -> Pads | None:
    """Return the pads, unless steps, groups or automatic padding make it another operation.

    Nor are negative pads known, which cut.
    """
    attributes = _attributes(node)
    plain = (
        attributes.get("group", 1) == 1
        and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
        and set(attributes.get("strides", [1])) == {1}
        and set(attributes.get("dilations", [1])) == {1}
    )
    match attributes.get("pads", [0, 0, 0, 0]):
        case [top, left, bottom, right] as pads if plain and min(pads) >= 0:
            return top, left, bottom, right
    return None
