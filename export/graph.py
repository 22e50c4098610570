"""Build ONNX graphs: names, constants, nodes. Nothing here knows about networks or gradients.

A thin layer over `onnx.helper`, so that the code that adds nodes reads like the formula it
implements::

    g = GraphBuilder()
    x = g.input("x", ("n",))
    g.output(g.op("Mul", x, g.constant(2.0)), "y", ("n",))
    model = g.build("doubling")
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from impasto.errors import DifferentiationError
from impasto.export.light import APART_BYTES, LightModel, declared, fill

__all__ = ["IR_VERSION", "OLDEST_OPSET", "OPSET", "Dim", "GraphBuilder", "Shape"]

OPSET = 18
"""Operator set of every graph built here: the oldest with today's Pad, Resize and ReduceMean, and
one that every backend covers in full."""

OLDEST_OPSET = 13
"""Oldest operator set that is read: before it, what are inputs now were attributes."""

IR_VERSION = 10
"""Set explicitly, because `onnx` writes its newest by default and runtimes lag behind."""

Dim = int | str | None
Shape = tuple[Dim, ...]

LARGE_BYTES = 4096  # constants above this do not take part in shape inference


class GraphBuilder:
    """A graph under construction: inputs, constants, nodes, outputs.

    Values are their names (`str`). Every name made here is unique in the graph.

    Parameters
    ----------
    opset : int
        Version of the ``ai.onnx`` operator set.
    dtype : numpy dtype
        Element type of inputs and of Python scalars given to `constant`: float32 to run,
        float64 to test against the reference.
    """

    def __init__(self, opset: int = OPSET, dtype: npt.DTypeLike = np.float32) -> None:
        self.opset = opset
        self.dtype = np.dtype(dtype)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._large: dict[str, npt.NDArray[Any]] = {}  # of them, what is only declared there
        self.inputs: dict[str, onnx.ValueInfoProto] = {}
        self.outputs: dict[str, onnx.ValueInfoProto] = {}
        self._names: set[str] = set()
        self._constants: dict[bytes, str] = {}
        self._scope: list[str] = []
        self._known_shapes: dict[str, Shape] = {}
        self._held: set[str] = set()

    @classmethod
    def from_model(cls, model: onnx.ModelProto) -> GraphBuilder:
        """Return a builder that holds a copy of `model`'s graph, to add nodes to it."""
        versions = {entry.domain: entry.version for entry in model.opset_import}
        types = {i.type.tensor_type.elem_type for i in model.graph.input}
        double = onnx.TensorProto.DOUBLE in types
        opset = versions.get("", OPSET)
        if opset < OLDEST_OPSET:
            raise DifferentiationError(
                f"The graph is of operator set {opset}; {OLDEST_OPSET} and newer are known. "
                "Convert it with onnx.version_converter first."
            )
        builder = cls(opset, np.float64 if double else np.float32)
        builder.initializers = {t.name: t for t in model.graph.initializer}
        builder.inputs = {
            v.name: v for v in model.graph.input if v.name not in builder.initializers
        }
        builder.outputs = {v.name: v for v in model.graph.output}
        for node in model.graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = node.name or builder.fresh(node.op_type.lower())
            builder.nodes.append(copy)
            builder._names.update((copy.name, *copy.output))
        builder._names.update(builder.initializers, builder.inputs)
        return builder

    # -- names -----------------------------------------------------------------------------------

    @contextmanager
    def scope(self, prefix: str) -> Iterator[None]:
        """Prefix the names made inside the block with ``prefix/``."""
        self._scope.append(prefix)
        try:
            yield
        finally:
            self._scope.pop()

    def fresh(self, name: str) -> str:
        """Return `name` in the current scope, numbered if it is taken, and reserve it."""
        base = "/".join([*self._scope, name])
        unique, count = base, 1
        while unique in self._names:
            count += 1
            unique = f"{base}_{count}"
        self._names.add(unique)
        return unique

    # -- values ----------------------------------------------------------------------------------

    def input(self, name: str, shape: Shape, dtype: npt.DTypeLike | None = None) -> str:
        """Declare a graph input; a `str` in `shape` is a symbolic dimension."""
        if name in self._names:
            raise ValueError(f"{name!r} is already the name of a value in this graph.")
        self._names.add(name)
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype or self.dtype))
        self.inputs[name] = helper.make_tensor_value_info(name, element, shape)
        return name

    def output(self, value: str, name: str, shape: Shape) -> str:
        """Declare `value` as the graph output `name`, through an Identity if they differ."""
        if value != name:
            self._names.add(name)
            self.nodes.append(
                helper.make_node("Identity", [value], [name], name=self.fresh(f"output/{name}"))
            )
        element = helper.np_dtype_to_tensor_dtype(self.dtype)
        self.outputs[name] = helper.make_tensor_value_info(name, element, shape)
        return name

    def constant(self, value: npt.ArrayLike, name: str = "constant") -> str:
        """Return an initializer holding `value`; equal constants are stored once.

        Python floats and sequences of them take the builder's dtype, Python integers become int64,
        arrays keep their own type. A large array is not copied, and must not be changed.
        """
        array = np.asarray(value)
        if not isinstance(value, np.ndarray | np.generic) and array.dtype.kind == "f":
            array = array.astype(self.dtype)
        array = np.ascontiguousarray(array).reshape(array.shape)
        digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data if array.size else b"")
        key = digest.digest()
        if key not in self._constants:
            unique = self.fresh(name)
            self._constants[key] = unique
            if array.nbytes < APART_BYTES:
                self.initializers[unique] = numpy_helper.from_array(array, unique)
            else:
                self.initializers[unique], self._large[unique] = declared(unique, array), array
        return self._constants[key]

    def op(self, op_type: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Append a node with one output and return the output; ``""`` is an omitted input."""
        output = self.fresh(name or op_type.lower())
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def hold(self, value: str) -> str:
        """Declare that `value` counts as a constant in derivatives, and return it."""
        self._held.add(value)
        return value

    @property
    def held(self) -> frozenset[str]:
        """What counts as a constant in derivatives though it is computed."""
        return frozenset(self._held)

    # -- the finished graph ----------------------------------------------------------------------

    def array_of(self, value: str) -> npt.NDArray[Any] | None:
        """Return the array behind `value` if it is known now (initializer or Constant node)."""
        if value in self._large:
            return self._large[value]
        if value in self.initializers:
            return numpy_helper.to_array(self.initializers[value])
        for node in self.nodes:
            if value in node.output and node.op_type == "Constant":
                (attribute,) = node.attribute
                read = helper.get_attribute_value(attribute)
                is_tensor = isinstance(read, onnx.TensorProto)
                return numpy_helper.to_array(read) if is_tensor else np.asarray(read)
        return None

    def shapes(self) -> dict[str, Shape]:
        """Infer the shape of every value; unknown dimensions are None, symbolic ones `str`.

        Large constants enter the inference as inputs of their shape, so that hundreds of megabytes
        of weights are not copied for it.
        """
        small, large = [], []
        for name, tensor in self.initializers.items():
            if name in self._large or tensor.ByteSize() > LARGE_BYTES:
                shape = tuple(tensor.dims)
                large.append(helper.make_tensor_value_info(name, tensor.data_type, shape))
            else:
                small.append(tensor)
        light = self._model("shapes", [*self.inputs.values(), *large], small)
        graph = onnx.shape_inference.infer_shapes(light, strict_mode=True, data_prop=True).graph
        found: dict[str, Shape] = {name: tuple(t.dims) for name, t in self.initializers.items()}
        for info in [*graph.input, *graph.value_info, *graph.output]:
            if info.type.tensor_type.HasField("shape"):
                found[info.name] = tuple(
                    d.dim_param or (d.dim_value if d.HasField("dim_value") else None)
                    for d in info.type.tensor_type.shape.dim
                )
        return found

    def static_shape(self, value: str) -> tuple[int, ...] | None:
        """Return the shape of `value` if every dimension is a known number; None otherwise."""
        if value not in self._known_shapes:
            self._known_shapes = self.shapes()
        dims = self._known_shapes.get(value, (None,))
        known = tuple(d for d in dims if isinstance(d, int))
        return known if len(known) == len(dims) else None

    def build(self, name: str, metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
        """Return the model, with nodes and constants that lead to no output left out."""
        model, constants = self.build_light(name, metadata)
        fill(model, constants)
        return model

    def build_light(self, name: str, metadata: Mapping[str, str] | None = None) -> LightModel:
        """Return the same with the large constants apart; they are not copied."""
        self._remove_unused()
        model = self._model(name, list(self.inputs.values()), list(self.initializers.values()))
        helper.set_model_props(model, dict(metadata or {}))
        return LightModel(model, dict(self._large))

    def _model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        initializers: Sequence[onnx.TensorProto],
    ) -> onnx.ModelProto:
        model = helper.make_model(
            helper.make_graph([], name, inputs, list(self.outputs.values())),
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=IR_VERSION,
            producer_name="impasto",
        )
        # Not before: what is given to make_graph and make_model is copied by each.
        model.graph.node.extend(self.nodes)
        model.graph.initializer.extend(initializers)
        return model

    def _remove_unused(self) -> None:
        needed = set(self.outputs)
        kept: list[onnx.NodeProto] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        self.nodes = kept[::-1]
        self.initializers = {n: t for n, t in self.initializers.items() if n in needed}
        self._large = {n: a for n, a in self._large.items() if n in needed}
