"""Absolute total variation and normalised gradients: the whole graph and strips, by the oracle."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from agreement import cosine
from double_backend import DoubleBackend
from pictures import KINDS
from streamed_networks import (
    Task,
    float_weights,
    network_of,
    streamed_in_double,
    streamed_on,
    streaming_of,
    task_for,
)
from style_cases import oracle_of

from impasto.engine.backends import Backend, CompiledGraph, open_backend
from impasto.engine.compilation import verified
from impasto.engine.network import Network
from impasto.engine.objective import Objective
from impasto.engine.optimizers import make_optimizer
from impasto.engine.options import Options
from impasto.engine.streamed_objective import StreamedObjective
from impasto.engine.streaming import Keeping, StreamedNetwork
from impasto.engine.verify import verify
from impasto.errors import OptionError
from impasto.export.gradient import build_gradient_graph
from impasto.export.guides import Guides, layer_of
from impasto.export.light import LightModel
from impasto.export.losses.form import LossForm

SIZE, TORUS = (83, 61), (48, 32)
FORMS = {
    "l1": LossForm(tv_norm="l1"),
    "normalized": LossForm(normalized=True),
    "normalized covariances, l1": LossForm("covariance", "l1", normalized=True),
    "normalized deviations": LossForm("mean-variance", normalized=True),
}
forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@cache
def task_with(form: LossForm, name: str = "vgg19", wraps: bool = False, narrowed: int = 8) -> Task:
    network = replace(network_of(name, narrowed=narrowed), form=form, wraps=wraps)
    return task_for(network, KINDS["photo"](*(TORUS if wraps else SIZE)))


def whole_in_double(
    network: Network, size: tuple[int, int], inputs: Any, weights: Any
) -> Objective:
    model = build_gradient_graph(
        network.encoder,
        network.content_layers,
        network.style_layers,
        guides=network.guides,
        size=size,
        form=network.form,
        dtype=np.float64,
        wraps=network.wraps,
    )
    doubled: Any = {name: np.asarray(value, np.float64) for name, value in inputs.items()}
    scalars: Any = {name: np.array(float(value)) for name, value in weights.items()}
    return Objective(DoubleBackend().compile(model), doubled, scalars)


def assert_exact(found: tuple[float, npt.NDArray[Any]], loss: float, gradient: Any) -> None:
    assert found[0] == pytest.approx(loss, rel=1e-10)
    assert np.abs(found[1][0] - gradient).max() <= 1e-10 * np.abs(gradient).max()


@pytest.mark.parametrize(("name", "wraps"), [("vgg19", False), ("vgg19", True)])
@forms
def test_the_whole_graph_and_strips_equal_the_oracle(
    form: LossForm, name: str, wraps: bool
) -> None:
    job = task_with(form, name, wraps)
    loss = sum(job.losses.values())
    image: Any = job.image.astype(np.float64)
    whole = whole_in_double(job.network, job.size, job.targets, job.weights)
    assert_exact(whole(image), loss, job.gradient)
    assert whole.losses == pytest.approx(dict(job.losses), rel=1e-10)
    for rows, keeping in ((16, Keeping()), (40, Keeping(features=job.relus()))):
        strips = streamed_in_double(job, rows, keeping)
        for _ in range(2):  # what is kept from one evaluation to the next does no harm
            assert_exact(strips(job.image), loss, job.gradient)
        assert strips.losses == pytest.approx(dict(job.losses), rel=1e-10)


@pytest.mark.parametrize(
    ("backend", "lowering"), [("onnxruntime", "nchwc-winograd"), ("openvino", "nhwc-winograd")]
)
@pytest.mark.parametrize("name", ["l1", "normalized"])
def test_runtimes_agree_with_the_oracle(name: str, backend: str, lowering: str) -> None:
    form = FORMS[name]
    job = task_with(form, narrowed=4)
    network, runtime = job.network, open_backend(backend, "f32", 1)
    model = build_gradient_graph(
        network.encoder,
        network.content_layers,
        network.style_layers,
        size=job.size,
        lowered_for=lowering,
        form=form,
    )
    whole = Objective(runtime.compile(model), job.targets, float_weights(job))
    for objective in (whole, streamed_on(runtime, job, 40)):
        loss, gradient = objective(job.image)
        assert loss == pytest.approx(sum(job.losses.values()), rel=1e-4)
        assert cosine(gradient[0], job.gradient) >= 0.9999
        norms = np.linalg.norm(gradient), np.linalg.norm(job.gradient)
        assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_flat_areas_have_no_absolute_variation() -> None:
    """The derivative at 0 is 0: nothing moves where neighbours are equal."""
    job = task_with(FORMS["l1"])
    image: Any = np.full((1, 3, *SIZE), 90.0)
    image[..., 30:] = 91.0
    weights = {name: float(name == "tv_weight") for name in job.weights}
    for objective in (
        whole_in_double(job.network, SIZE, job.targets, weights),
        streamed_in_double(replace(job, weights=weights), 16),
    ):
        loss, gradient = objective(image)
        assert loss == 3 * (SIZE[0] - 1)
        assert set(np.flatnonzero(gradient.any((0, 1, 2)))) == {29, 30}
        np.testing.assert_array_equal(np.unique(gradient), [-1, 0, 1])


# -- normalised gradients --------------------------------------------------------------------------


def test_a_loss_alone_pulls_along_its_own_gradient() -> None:
    """As strongly however large it is, and twice as strongly with twice the weight."""
    plain, job = task_with(LossForm()), task_with(FORMS["normalized"])
    for name in ("content_weight.relu4_2", "style_weight.relu3_1"):
        found = []
        for task, weight in ((plain, 1.0), (job, 3.0), (job, 6.0)):
            only = {other: weight * (other == name) for other in job.weights}
            found.append(streamed_in_double(replace(task, weights=only), 40)(job.image)[1].copy())
        gradient, once, twice = found
        assert cosine(once, gradient) == pytest.approx(1, abs=1e-12), name
        np.testing.assert_allclose(twice, 2 * once, rtol=1e-9, atol=1e-12 * np.abs(twice).max())


def test_rounding_is_not_normalised() -> None:
    """Of a content that is met but for a thousandth: a tenth of its pull, whole and in strips."""
    job = task_with(FORMS["normalized"])
    (layer,) = job.network.content_layers
    features = oracle_of(job.network.encoder).forward(job.image[0])[layer][np.newaxis]
    image: Any = job.image.astype(np.float64)
    weights: Any = {n: np.array(float(n == f"content_weight.{layer}")) for n in job.weights}

    def pulls(difference: float) -> list[npt.NDArray[Any]]:
        targets: Any = {**job.targets, f"content.{layer}": features / (1 - difference)}
        only = replace(job, targets=targets, weights={n: float(w) for n, w in weights.items()})
        whole = whole_in_double(job.network, SIZE, targets, weights)
        return [each(image)[1].copy() for each in (whole, streamed_in_double(only, 16))]

    for full, of_limit, small, none in zip(*map(pulls, (0.5, 0.01, 1e-3, 0.0)), strict=True):
        np.testing.assert_allclose(of_limit, full, rtol=1e-6, atol=1e-6 * np.abs(full).max())
        np.testing.assert_allclose(small, full / 10, rtol=1e-4, atol=1e-6 * np.abs(full).max())
        assert np.abs(none).max() <= 1e-9 * np.abs(full).max()


def test_regions_and_guided_contents_are_normalised_one_by_one() -> None:
    guides = Guides({"relu2_1": ("sky", "sea")}, content=True)
    job = task_with(FORMS["normalized"])
    network = replace(job.network, guides=guides)
    rng = np.random.default_rng(11)
    inputs: dict[str, Any] = {n: v for n, v in job.targets.items() if "relu2_1" not in n}
    sizes = network.feature_sizes(SIZE)
    for term in network.style_terms:
        inputs[f"style.{term}"] = job.targets[f"style.{layer_of(term)}"] * rng.uniform(0.5, 2)
        if term in network.guided_terms:
            inputs[f"guide.{term}"] = rng.random((1, 1, *sizes[layer_of(term)]))
    for name in network.content_layers:
        inputs[f"content_guide.{name}"] = rng.random((1, 1, *sizes[name]))
    weights: Any = {f"style_weight.{term}": np.array(2.0) for term in network.style_terms}
    weights |= {f"content_weight.{name}": np.array(3.0) for name in network.content_layers}
    weights["tv_weight"] = np.array(1e-4)
    image: Any = job.image.astype(np.float64)
    doubled: Any = {name: np.asarray(value, np.float64) for name, value in inputs.items()}
    loss, gradient = whole_in_double(network, SIZE, inputs, weights)(image)
    gradient = gradient[0].copy()
    streamed = StreamedNetwork(
        network, DoubleBackend(), "portable", SIZE, streaming_of(network, 20), dtype=np.float64
    )
    assert_exact(StreamedObjective(streamed, doubled, weights)(image), loss, gradient)
    # The sky pulls as strongly whatever the sea's loss is.
    alone = {n: v * (n in ("style_weight.relu2_1.sky",)) for n, v in weights.items()}
    darker = {**inputs, "style.relu2_1.sea": inputs["style.relu2_1.sea"] * 9}
    one = whole_in_double(network, SIZE, inputs, alone)(image)[1].copy()
    np.testing.assert_array_equal(whole_in_double(network, SIZE, darker, alone)(image)[1], one)


@pytest.mark.parametrize("keeping", [None, Keeping()])
def test_gradients_are_verified_before_and_after_they_are_normalised(
    keeping: Keeping | None, tmp_path: Path
) -> None:
    network = replace(network_of("vgg19"), form=FORMS["normalized"])
    options = Options(backend="onnxruntime", precision="f32", threads=1)
    chosen = verified(options, network, SIZE, tmp_path, (keeping,))
    assert len(list(tmp_path.iterdir())) == 2
    plain = network.with_true_gradient
    backend = chosen.backend
    before = len(list(tmp_path.iterdir()))
    assert verify(backend, lambda: backend, plain, chosen.lowering, SIZE, tmp_path, keeping).passed
    assert len(list(tmp_path.iterdir())) == before, "it is one of the two"


def test_a_wrong_norm_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime whose gradient of the loss is right, but whose norms are not."""
    network = replace(network_of("vgg19"), form=FORMS["normalized"])
    reference, backend = (open_backend("onnxruntime", "f32", 1) for _ in range(2))
    compile_rightly = backend.compile

    def compile_wrongly(light: LightModel) -> CompiledGraph:
        for node in light.model.graph.node:
            if node.op_type == "ReduceL1" and "relu3_1" in node.name:
                node.op_type = "ReduceMax"
        return compile_rightly(light)

    def verdict_of(asked: Network) -> bool:
        judged: Backend = backend
        return verify(judged, lambda: reference, asked, "nchwc", SIZE, None).passed

    monkeypatch.setattr(backend, "compile", compile_wrongly)
    assert verdict_of(network.with_true_gradient)
    assert not verdict_of(network)


def test_a_line_search_is_refused() -> None:
    with pytest.raises(OptionError, match=r"not the derivative of the loss.*lbfgs-numpy or adam"):
        make_optimizer(Options(normalize_gradients=True, optimizer="lbfgs"))
    for optimizer in ("lbfgs-numpy", "adam"):
        make_optimizer(Options(normalize_gradients=True, optimizer=optimizer))
