"""One objective with its network, targets and weights, in a file that any interpreter can read.

PyTorch and Impasto are measured on the same numbers: both sides read this file. It is an ``.npz``
archive of plain arrays: those of `Problem` and, as ``description``, JSON text with the layers and
the preprocessing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from impasto.engine.backends import open_backend
from impasto.engine.backends.base import FloatArray
from impasto.engine.first_image import first_image
from impasto.engine.images import to_network
from impasto.engine.inputs import load_inputs
from impasto.engine.network import Network, network_for
from impasto.engine.objective import targets_of, weights_for
from impasto.engine.options import Options
from impasto.engine.presets import preset_options
from impasto.engine.resampling import resize
from impasto.export.encoder import Encoder
from impasto.export.gradient import build_feature_graph
from impasto.models import load_model, model_spec
from impasto.models.layer import Layer, Preprocessing
from impasto.models.weights.random_weights import random_weights

__all__ = ["Problem", "network_of", "painting_problem", "read_problem", "square_problem"]

EXAMPLES = Path(__file__).parents[1] / "examples"


@dataclass(frozen=True)
class Problem:
    """An objective and a first image.

    Parameters
    ----------
    network : Network
    image : ndarray of shape (1, 3, H, W)
        RGB in 0-255, float32.
    targets : mapping of str to ndarray
        ``content.<layer>`` and ``style.<layer>``.
    weights : mapping of str to ndarray
        ``content_weight.<layer>``, ``style_weight.<layer>`` and ``tv_weight`` scalars.
    """

    network: Network
    image: FloatArray
    targets: Mapping[str, FloatArray]
    weights: Mapping[str, FloatArray]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.shape[2], self.image.shape[3]

    def write(self, path: Path) -> None:
        """Write the file."""
        encoder = self.network.encoder
        layers: list[dict[str, Any]] = [
            {name: getattr(layer, name) for name in Layer.__dataclass_fields__}
            for layer in encoder.layers
        ]
        given = encoder.preprocessing
        preprocessing = Preprocessing(given.channel_order, given.mean, given.scale)  # type: ignore[arg-type]
        description = {
            "name": encoder.name,
            "layers": layers,
            "preprocessing": asdict(preprocessing),
            "content_layers": self.network.content_layers,
            "style_layers": self.network.style_layers,
        }
        arrays = {
            layer["name"] + part: encoder.arrays[layer["name"] + part]
            for layer in layers
            if layer["kind"] == "convolution"
            for part in (".weight", ".bias")
        }
        everything: dict[str, Any] = {**arrays, **self.targets, **self.weights}
        everything |= {"image": self.image, "description": np.array(json.dumps(description))}
        with path.open("wb") as file:
            np.savez(file, **everything)


def read_problem(path: Path) -> Problem:
    """Return what `Problem.write` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        values: dict[str, FloatArray] = {n: archive[n] for n in archive if n != "description"}
        description = json.loads(str(archive["description"]))
    layers = [Layer(**layer) for layer in description["layers"]]
    told = description["preprocessing"]
    preprocessing = Preprocessing(told["channel_order"], tuple(told["mean"]), tuple(told["scale"]))
    arrays = {n: v for n, v in values.items() if n.endswith((".weight", ".bias"))}
    network = Network(
        Encoder(description["name"], layers, arrays, preprocessing),
        tuple(description["content_layers"]),
        tuple(description["style_layers"]),
    )
    targets = {n: v for n, v in values.items() if n.startswith(("content.", "style."))}
    weights = {n: v for n, v in values.items() if "_weight" in n}
    return Problem(network, values["image"], targets, weights)


def network_of(model: str) -> tuple[Network, Options]:
    """Return a network and the preset for it; NIN's weights, which are no part of Impasto, random.

    Neither time nor memory depends on the values of weights.
    """
    if model != "nin":
        options = preset_options("default", {"model": model})
        return network_for(load_model(model), options), options
    options, spec = preset_options("nin", {}), model_spec("nin")
    chain = spec.architecture.truncated(options.content_layers + options.style_layers)
    arrays = random_weights(spec.architecture, seed=1)
    encoder = Encoder("nin", chain.layers, arrays, spec.preprocessing)
    return Network(encoder, options.content_layers, options.style_layers), options


def square_problem(model: str, side: int, seed: int = 4) -> Problem:
    """Return the objective of a photo and a painting, both resized to a square, at a noisy photo.

    Noise keeps the cells of a max pooling's window apart: where two are equal, PyTorch gives the
    gradient to the first and Impasto shares it.
    """
    network, options = network_of(model)
    inputs = load_inputs(EXAMPLES / "pagoda.jpg", [EXAMPLES / "village_street.jpg"], options)
    photo, painting = (
        to_network(resize(picture, side, side)) for picture in (inputs.content, *inputs.styles)
    )
    noise = np.random.default_rng(seed).normal(0, 8, photo.shape).astype(np.float32)
    return _problem(network, options, photo, [painting], photo + noise)


def painting_problem(pair: tuple[str, str], options: Options) -> Problem:
    """Return the objective that a run on two of the example pictures has, at its first image."""
    model = load_model(options.model)
    network = network_for(model, options)
    photo, painting = (EXAMPLES / f"{name}.jpg" for name in pair)
    inputs = load_inputs(photo, [painting], options)
    height, width, _ = inputs.content.shape
    first = first_image(inputs, (height, width), options, model.preprocessing)
    styles = [to_network(style) for style in inputs.styles]
    return _problem(network, options, to_network(inputs.content), styles, first)


def _problem(
    network: Network,
    options: Options,
    content: FloatArray,
    styles: list[FloatArray],
    image: FloatArray,
) -> Problem:
    model = build_feature_graph(network.encoder, network.content_layers, network.style_layers)
    graph = open_backend("onnxruntime", "f32").compile(model)
    targets = targets_of(graph, network, content, styles, options.style_blend_weights)
    height, width = image.shape[2:]
    weights = weights_for(network, options, (height, width))
    return Problem(network, image, targets, weights)
