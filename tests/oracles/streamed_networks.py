"""Networks of few channels, and streamed objectives over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from double_backend import DoubleBackend
from pictures import KINDS
from style_cases import (
    CONTENT,
    NIN,
    STYLE,
    Array,
    Arrays,
    balanced_weights,
    evaluate_oracle,
    targets_for,
)

from impasto.engine.backends import Backend
from impasto.engine.network import Network
from impasto.engine.objective import Objective
from impasto.engine.parts import Workers
from impasto.engine.streamed_objective import StreamedObjective
from impasto.engine.streaming import Keeping, StreamedNetwork, Streaming
from impasto.export.encoder import Encoder
from impasto.export.gradient import build_gradient_graph
from impasto.models.layer import Architecture, Pooling, PoolRounding, Preprocessing
from impasto.models.registry import model_spec
from impasto.models.weights.random_weights import random_weights

Size = tuple[int, int]


@cache
def network_of(
    name: str, pooling: Pooling = "max", rounding: PoolRounding | None = None, narrowed: int = 8
) -> Network:
    """A network with seeded random weights and `narrowed` times fewer channels than the real one.

    Channels do not enter into what strips are about: windows, strides, padding and sides.
    """
    spec = model_spec(name)
    content, style = (NIN, NIN) if name == "nin" else (CONTENT, STYLE)
    whole = spec.architecture.truncated(style).with_pooling(pooling, rounding)
    architecture = narrow(whole, narrowed)
    arrays = random_weights(architecture, seed=6)
    encoder = Encoder(name, architecture.layers, arrays, spec.preprocessing)
    return Network(encoder, content, style)


def narrow(architecture: Architecture, times: int) -> Architecture:
    def fewer(channels: int) -> int:
        return channels if channels == 3 else channels // times

    layers = (
        replace(item, in_channels=fewer(item.in_channels), out_channels=fewer(item.out_channels))
        for item in architecture.layers
    )
    return Architecture(architecture.name, tuple(layers))


def with_exact_sums(network: Network) -> Network:
    """Return the network with short binary fractions for weights, and whole means.

    In float64 its features of a picture of whole numbers are exact: at most 13 layers of 3 binary
    digits each. Cells that tie do so in whatever order a convolution is summed.
    """
    encoder = network.encoder
    arrays = {name: np.round(value * 8) / 8 for name, value in encoder.arrays.items()}
    whole = Preprocessing("bgr", (104.0, 117.0, 123.0))
    return replace(network, encoder=replace(encoder, arrays=arrays, preprocessing=whole))


@dataclass(frozen=True)
class Task:
    """A network, a picture, targets it does not meet, and the oracle's loss and gradient.

    Weights make every term 1.
    """

    network: Network
    image: npt.NDArray[np.float32]
    targets: Arrays
    weights: Mapping[str, float]
    losses: Mapping[str, float]
    gradient: npt.NDArray[np.float64]

    @property
    def size(self) -> Size:
        height, width = self.image.shape[2:]
        return height, width

    def relus(self) -> frozenset[str]:
        return frozenset(n.name for n in self.network.encoder.layers if n.kind == "relu")

    def relus_of_losses(self) -> frozenset[str]:
        return frozenset((*self.network.content_layers, *self.network.style_layers))


@cache
def task_of(
    name: str,
    size: Size,
    pooling: Pooling = "max",
    rounding: PoolRounding | None = None,
    narrowed: int = 8,
    kind: str = "photo",
) -> Task:
    return task_for(network_of(name, pooling, rounding, narrowed), KINDS[kind](*size))


def task_for(network: Network, image: npt.NDArray[np.float32]) -> Task:
    terms = network.encoder, network.content_layers, network.style_layers
    form = network.form
    kind = form.statistic, network.wraps, form.tv_norm
    targets = targets_for(*terms, image, form.statistic)
    weights = balanced_weights(*terms, image, targets, *kind)
    expected = evaluate_oracle(*terms, image, targets, weights, *kind, form.normalized)
    return Task(network, image, targets, weights, *expected)


def streaming_of(network: Network, rows: int, keeping: Keeping | None = None) -> Streaming:
    """Strips of about `rows` rows of every segment's input."""
    poolings = sum(layer.kind.endswith("_pool") for layer in network.encoder.layers)
    return Streaming((rows,) * (poolings + 1), keeping or Keeping())


def streamed_in_double(
    task: Task,
    rows: int,
    keeping: Keeping | None = None,
    workers: Workers | None = None,
) -> StreamedObjective:
    network = StreamedNetwork(
        task.network,
        DoubleBackend(),
        "portable",
        task.size,
        streaming_of(task.network, rows, keeping),
        workers,
        np.float64,
    )
    weights: Any = {name: np.array(value) for name, value in task.weights.items()}
    return StreamedObjective(network, task.targets, weights)


def streamed_on(
    backend: Backend, task: Task, rows: int, keeping: Keeping | None = None
) -> StreamedObjective:
    streaming = streaming_of(task.network, rows, keeping)
    network = StreamedNetwork(task.network, backend, backend.lowering, task.size, streaming)
    return StreamedObjective(network, task.targets, float_weights(task))


def whole_on(backend: Backend, task: Task, lowering: str = "") -> Objective:
    """The objective in one piece, in the backend's own lowering or another."""
    network = task.network
    model = build_gradient_graph(
        network.encoder,
        network.content_layers,
        network.style_layers,
        size=task.size,
        lowered_for=lowering or backend.lowering,
        form=network.form,
    )
    return Objective(backend.compile(model), task.targets, float_weights(task))


def float_weights(task: Task) -> dict[str, Array]:
    return {name: np.array(value, np.float32) for name, value in task.weights.items()}
