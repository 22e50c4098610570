"""Guided losses in strips: the whole image's loss and gradient, whatever the strips."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from double_backend import DoubleBackend
from guided_network import GuidedTask, guided_task
from numpy_network import gram
from pictures import photo
from streamed_networks import network_of, streaming_of
from style_cases import oracle_of

from impasto.engine.backends import open_backend
from impasto.engine.streamed_objective import StreamedObjective
from impasto.engine.streaming import Keeping, StreamedNetwork
from impasto.engine.verify import verify
from impasto.export.guides import Guides

SIZE = (67, 45)


def streamed(task: GuidedTask, rows: int, keeping: Keeping) -> StreamedObjective:
    height, width = task.image.shape[2:]
    network = StreamedNetwork(
        task.network,
        DoubleBackend(),
        "portable",
        (height, width),
        streaming_of(task.network, rows, keeping),
        dtype=np.float64,
    )
    weights: Any = {name: np.array(value) for name, value in task.weights.items()}
    return StreamedObjective(network, task.targets, weights)


@pytest.mark.parametrize("rows", [5, 16, 1000])
@pytest.mark.parametrize("name", ["vgg19", "nin"])
def test_strips_give_the_whole_gradient(name: str, rows: int) -> None:
    task = guided_task(name, SIZE)
    relus = frozenset(n.name for n in task.network.encoder.layers if n.kind == "relu")
    for keeping in (Keeping(), Keeping(features=relus)):
        objective = streamed(task, rows, keeping)
        loss, gradient = objective(task.image)
        assert loss == pytest.approx(sum(task.losses.values()), rel=1e-10)
        assert objective.losses.keys() == task.losses.keys()
        for term, value in task.losses.items():
            assert objective.losses[term] == pytest.approx(value, rel=1e-10), term
        error = np.abs(gradient[0] - task.gradient).max()
        assert error <= 1e-10 * np.abs(task.gradient).max()


def test_targets_of_a_part_of_a_style() -> None:
    network = network_of("vgg19")
    layers = ("relu1_1", "relu4_1")
    image = photo(*SIZE).astype(np.float64)
    values = oracle_of(network.encoder).forward(image[0])
    random = np.random.default_rng(5)
    guides: Any = {f"guide.{n}": random.random((1, 1, *values[n].shape[1:])) for n in layers}
    picture = StreamedNetwork(
        network, DoubleBackend(), "portable", SIZE, streaming_of(network, 16), dtype=np.float64
    )
    _, grams = picture.features_and_grams(image, (), layers, guides=guides)  # type: ignore[arg-type]
    for name in layers:
        expected = gram(guides[f"guide.{name}"][0] * values[name])
        np.testing.assert_allclose(grams[name], expected, rtol=1e-10)


@pytest.mark.parametrize("keeping", [None, Keeping()], ids=["whole", "strips"])
def test_verification_sees_guides(keeping: Keeping | None, tmp_path: Any) -> None:
    """The probe has a guide for each region, and its verdict is not that of other regions."""
    network = replace(guided_task("vgg19", SIZE).network)
    backend = open_backend("onnxruntime", "f32", 1)
    structures = [
        network,
        replace(network, guides=replace(network.guides, content=False)),
        replace(network, guides=replace(network.guides, styles=True)),
        replace(network, guides=Guides({"relu1_1": ("a", "b")})),
        replace(network, guides=Guides()),
    ]
    for count, structure in enumerate(structures, 1):
        verdict = verify(backend, lambda: backend, structure, "nchwc", SIZE, tmp_path, keeping)
        assert verdict.passed, verdict
        assert len(list(tmp_path.iterdir())) == count
