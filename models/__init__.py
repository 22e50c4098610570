"""What a network is and where its numbers come from: tables, weights, and readers of weights.

Nothing here runs a network or knows of graphs: `impasto.export` turns these plain tables and
arrays into ONNX graphs, and `impasto.engine` runs those.
"""

from impasto.models.layer import Architecture, Layer, Preprocessing
from impasto.models.model import Model, load_model
from impasto.models.registry import ModelSpec, list_models, model_spec

__all__ = [
    "Architecture",
    "Layer",
    "Model",
    "ModelSpec",
    "Preprocessing",
    "list_models",
    "load_model",
    "model_spec",
]
