"""Write a model's graphs to ONNX files that run without Impasto."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import onnx

from impasto.engine.network import network_for
from impasto.engine.options import Options
from impasto.engine.style_targets import mean_layers
from impasto.errors import ImpastoError
from impasto.export.gradient import build_feature_graph, build_gradient_graph
from impasto.models import load_model

__all__ = ["GraphKind", "export_graph", "save_graph"]

GraphKind = Literal["features", "gradient"]


def export_graph(options: Options, kind: GraphKind) -> onnx.ModelProto:
    """Return a portable graph of symbolic size, as docs/graph-contract.md describes it.

    Parameters
    ----------
    options : Options
        Of which `model`, `weights`, `pooling`, `pool_rounding`, `content_layers`, `style_layers`
        (these without their weights, which are inputs of the graph), `style_statistic`, `tv_norm`,
        `normalize_gradients` and `tileable` count.
    kind : {"features", "gradient"}
        Feature maps of the content layers and Gram matrices (and means, for other statistics) of
        the style layers; or loss terms,
        loss and the gradient with respect to the image.

    Raises
    ------
    UsageError
        If there is no such model or layer, or its weights are not there.
    """
    network = network_for(load_model(options.model, options.weights), options)
    terms = network.encoder, network.content_layers, network.style_layers
    if kind == "features":
        return build_feature_graph(*terms, mean_layers(network), wraps=network.wraps)
    return build_gradient_graph(*terms, form=network.form, wraps=network.wraps)


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write `model` to `path`, whole or not at all.

    Raises
    ------
    ImpastoError
        If the file cannot be written, as on a full disk.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        onnx.save(model, temporary)
        temporary.replace(path)
    except OSError as error:
        raise ImpastoError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)
