"""Models whose large constants are beside them, and not in them.

A model with its weights in it is copied whole, again and again: into a message, into bytes, into
what a runtime reads from these. Constants that stay NumPy arrays are handed over as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

__all__ = ["APART_BYTES", "LightModel", "declared", "fill"]

APART_BYTES = 2**16
"""Size of a constant from which on it is kept apart."""

Constants = Mapping[str, npt.NDArray[Any]]


class LightModel(NamedTuple):
    """A model without its large constants, and these.

    Attributes
    ----------
    model : ModelProto
        Declares the large constants as external data, which are in no file.
    constants : mapping of str to ndarray
        Their values by name, not to be written to.
    """

    model: onnx.ModelProto
    constants: Constants

    @classmethod
    def of(cls, model: onnx.ModelProto | LightModel) -> LightModel:
        """Return `model` taken apart, unless it is; `model` stays as it is."""
        if isinstance(model, LightModel):
            return model
        graph = model.graph
        large = [tensor for tensor in graph.initializer if len(tensor.raw_data) >= APART_BYTES]
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in large}
        initializers = [
            declared(tensor.name, constants[tensor.name]) if tensor.name in constants else tensor
            for tensor in graph.initializer
        ]
        light = helper.make_model(
            helper.make_graph(graph.node, graph.name, graph.input, graph.output, initializers),
            functions=model.functions,
            opset_imports=model.opset_import,
            ir_version=model.ir_version,
        )
        return cls(light, constants)

    def whole(self) -> onnx.ModelProto:
        """Return the model with its constants in it."""
        whole = onnx.ModelProto()
        whole.CopyFrom(self.model)
        fill(whole, self.constants)
        return whole


def declared(name: str, value: npt.NDArray[Any]) -> onnx.TensorProto:
    """Return a tensor of the type and shape of `value`, its data elsewhere."""
    tensor = onnx.TensorProto(
        name=name,
        data_type=helper.np_dtype_to_tensor_dtype(value.dtype),
        dims=value.shape,
        data_location=onnx.TensorProto.EXTERNAL,
    )
    tensor.external_data.add(key="location", value="apart")
    return tensor


def fill(model: onnx.ModelProto, constants: Constants) -> None:
    """Write the values of `constants` into the tensors of `model` that declare them."""
    for tensor in model.graph.initializer:
        if tensor.name in constants:
            value = np.ascontiguousarray(constants[tensor.name])
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
