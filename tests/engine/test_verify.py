"""First-use verification: right graphs pass, a planted wrong one is caught and replaced."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from streamed_networks import network_of

from impasto.engine.backends import available_backends, open_backend, open_reference
from impasto.engine.backends.base import Backend, CompiledGraph, Precision
from impasto.engine.compilation import Candidate, candidates, verified
from impasto.engine.network import Network, network_for
from impasto.engine.options import Options
from impasto.engine.verify import LIMITS, probe_image, probe_size, verify
from impasto.errors import BackendError
from impasto.export import lowerings
from impasto.export.light import LightModel
from impasto.export.lowerings import LOWERINGS, Lowering
from impasto.export.registry import PORTABLE, Cotangents, VjpContext
from impasto.models import load_model

SIZE = (64, 96)
SMALL = Options(content_layers=("relu2_2",), style_layers=("relu1_1", "relu3_1"))


@pytest.fixture(scope="module")
def network() -> Network:
    return network_for(load_model("vgg19"), SMALL)


def passing_everything(ctx: VjpContext) -> Cotangents:
    """ReLU without its mask: a plausible mistake, and a wrong gradient."""
    return [ctx.op("Identity", ctx.cotangent)]


def tied_cells_get_all(ctx: VjpContext) -> Cotangents:
    """Max pooling that hands the full cotangent to every tied cell: wrong on flat areas only."""
    twice = ctx.constant(np.array([1, 1, 2, 2], np.float32), "twice")

    def up(value: str) -> str:
        return ctx.op(
            "Resize",
            value,
            "",
            twice,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    mask = ctx.op("Equal", ctx.inputs[0], up(ctx.outputs[0]))
    return [ctx.op("Where", mask, up(ctx.cotangent), ctx.constant(0.0))]


WRONG = {
    "wrong-relu": PORTABLE.override(Relu=passing_everything),
    "wrong-ties": PORTABLE.override(MaxPool=tied_cells_get_all),
}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {name: Lowering(rules, lambda _graph: None) for name, rules in WRONG.items()}
    monkeypatch.setattr(lowerings, "LOWERINGS", MappingProxyType({**LOWERINGS, **wrong}))


def native() -> list[tuple[str, Precision]]:
    """Backends of this machine that may be asked for here, with their precisions."""
    return [
        (info.name, precision)
        for info in available_backends()
        if info.available
        for precision in info.precisions
    ]


def test_every_backend_of_this_machine_passes_with_the_default_layers() -> None:
    network = network_for(load_model("vgg19"), Options())
    assert ("onnxruntime", "f32") in native()
    for name, precision in native():
        backend = open_backend(name, precision)
        verdict = verify(backend, open_reference, network, backend.lowering, SIZE, None)
        assert verdict.passed, f"{name} {precision}: {verdict}"
        assert verdict.cosine >= LIMITS[precision].cosine


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("lowering", sorted(WRONG))
def test_a_wrong_lowering_fails(network: Network, lowering: str) -> None:
    backend = open_backend("onnxruntime", "f32")
    verdict = verify(backend, open_reference, network, lowering, SIZE, None)
    assert not verdict.passed


def test_wrong_targets_fail(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime whose gradient is right, but whose Gram matrices are not."""
    backend = open_backend("onnxruntime", "f32")
    compile_rightly = backend.compile

    def compile_wrongly(light: LightModel) -> CompiledGraph:
        graph = light.model.graph
        for node in graph.node:
            if node.name == "gram/relu3_1/gram" and len(graph.input) == 1:
                node.op_type = "Mul"
        return compile_rightly(light)

    monkeypatch.setattr(backend, "compile", compile_wrongly)
    verdict = verify(backend, open_reference, network, "nchwc", SIZE, None)
    assert verdict.cosine > 0.9999
    assert verdict.worst_term == "gram.relu3_1"
    assert not verdict.passed


@pytest.mark.usefixtures("planted")
def test_a_wrong_lowering_is_replaced_loudly(
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    options = dataclasses.replace(SMALL, backend="onnxruntime")
    backend = open_backend("onnxruntime", "f32")
    monkeypatch.setattr(type(backend), "lowering", property(lambda _self: "wrong-relu"))
    with caplog.at_level(logging.WARNING):
        chosen = verified(options, network, SIZE, tmp_path)
    assert chosen.lowering == "portable"
    assert "wrong gradient" in caplog.text
    assert "falling back" in caplog.text


def test_what_is_chosen_agrees_with_the_reference(tmp_path: Path) -> None:
    """With these layers OpenVINO 2026.4 in bfloat16 loses the style's gradient."""
    options = Options(content_layers=("relu2_2",), style_layers=("relu3_1", "relu5_1"))
    network = network_for(load_model("vgg19"), options)
    chosen = verified(options, network, SIZE, tmp_path)
    verdict = verify(chosen.backend, open_reference, network, chosen.lowering, SIZE, None)
    assert verdict.passed


def test_the_last_candidate_has_the_reference_s_graph() -> None:
    for backend in ("auto", "onnxruntime"):
        last = list(candidates(dataclasses.replace(SMALL, backend=backend)))[-1]
        assert (last.backend.name, last.lowering) == ("onnxruntime", "portable")


@pytest.mark.usefixtures("planted")
def test_where_every_candidate_is_wrong_nothing_is_painted(
    network: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend = open_backend("onnxruntime", "f32")
    monkeypatch.setattr(
        "impasto.engine.compilation.candidates",
        lambda _options: [Candidate(backend, lowering) for lowering in WRONG],
    )
    with pytest.raises(BackendError, match="No backend computes the gradient rightly"):
        verified(SMALL, network, SIZE, tmp_path)


def test_a_verdict_is_remembered_and_a_damaged_one_is_not_trusted(
    network: Network, tmp_path: Path
) -> None:
    backend = open_backend("onnxruntime", "f32")
    first = verify(backend, open_reference, network, "nchwc", SIZE, tmp_path)
    (file,) = tmp_path.iterdir()
    changed = {**json.loads(file.read_text()), "cosine": 0.5}
    file.write_text(json.dumps(changed))
    assert verify(backend, open_reference, network, "nchwc", SIZE, tmp_path).cosine == 0.5
    file.write_text('{"cosine": 1')
    assert verify(backend, open_reference, network, "nchwc", SIZE, tmp_path) == first


def test_verdicts_differ_by_lowering_size_and_layers(network: Network, tmp_path: Path) -> None:
    backend: Backend = open_backend("onnxruntime", "f32")
    other = network_for(load_model("vgg19"), dataclasses.replace(SMALL, style_layers=("relu1_1",)))
    verify(backend, open_reference, network, "nchwc", SIZE, tmp_path)
    verify(backend, open_reference, network, "portable", SIZE, tmp_path)
    verify(backend, open_reference, network, "nchwc", (65, 96), tmp_path)
    verify(backend, open_reference, other, "nchwc", SIZE, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_the_probe_meets_odd_sides_where_the_picture_does(network: Network) -> None:
    for height, width in ((512, 342), (97, 131), (64, 64)):
        probe = probe_size(network, (height, width))
        assert (probe[0] - height) % 32 == (probe[1] - width) % 32 == 0
        assert max(probe) < 96


@pytest.mark.parametrize("name", [name for name, precision in native() if precision == "f32"])
def test_no_feature_map_of_the_probe_is_empty(name: str) -> None:
    """NIN's last is one row of 96 pixels at least, where its poolings leave out what is over."""
    network, size = network_of("nin", rounding="floor"), (514, 512)
    assert probe_size(network, size) == (98, 96)
    backend = open_backend(name, "f32")
    assert verify(backend, open_reference, network, backend.lowering, size, None).passed


def test_the_probe_is_fixed_and_half_flat() -> None:
    image = probe_image((64, 80))
    np.testing.assert_array_equal(image, probe_image((64, 80)))
    assert np.ptp(image[..., 40:]) == 0
    assert image[..., :40].std() > 10
