"""Backends that convolve by Winograd: chosen, verified, and replaced if they compute wrongly."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

import pytest

from impasto.engine.backends import onnxruntime_cpu, open_backend, open_reference
from impasto.engine.compilation import candidates, verified
from impasto.engine.network import Network, network_for
from impasto.engine.options import Options
from impasto.engine.verify import probe_size, verify
from impasto.export import lowerings
from impasto.export.gradient import build_gradient_graph
from impasto.export.lowerings import LOWERINGS, Lowering, for_probes
from impasto.export.registry import PORTABLE
from impasto.models import load_model

SIZE = (512, 384)
FORMS = [("onnxruntime", "nchwc-winograd"), ("openvino", "nhwc-winograd")]
in_both_forms = pytest.mark.parametrize(("backend", "lowering"), FORMS)


@cache
def network() -> Network:
    return network_for(load_model("vgg19"), Options())


def prefer(monkeypatch: pytest.MonkeyPatch, backend: str, lowering: str) -> Options:
    """Make `lowering` the backend's own, where it is not."""
    if open_backend(backend, "f32", 1).lowering != lowering:
        assert backend == "onnxruntime"
        monkeypatch.setattr(onnxruntime_cpu, "lowering_for", lambda flags: lowering)
    return Options(backend=backend, precision="f32", threads=1)  # type: ignore[arg-type]


@in_both_forms
def test_verification_passes_and_sees_winograd(backend: str, lowering: str) -> None:
    model = build_gradient_graph(
        network().encoder,
        network().content_layers,
        network().style_layers,
        size=probe_size(network(), SIZE),
        lowered_for=for_probes(lowering),
    )
    products = [node for node in model.graph.node if node.name.endswith("/products")]
    assert len(products) >= 16  # forward and backward of conv3_2 to conv5_1
    runtime = open_backend(backend, "f32", 1)
    verdict = verify(runtime, open_reference, network(), lowering, SIZE, None)
    assert verdict.passed, verdict


@in_both_forms
def test_a_candidate_is_followed_by_itself_without_winograd(
    monkeypatch: pytest.MonkeyPatch, backend: str, lowering: str
) -> None:
    found = list(candidates(prefer(monkeypatch, backend, lowering)))
    names = [(candidate.backend.name, candidate.lowering) for candidate in found]
    assert names[:2] == [(backend, lowering), (backend, lowering.removesuffix("-winograd"))]
    assert names[-1] == ("onnxruntime", "portable")
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("flags", "lowering"),
    [
        ({"avx2", "fma"}, "nchwc-winograd"),
        ({"avx2", "fma", "avx512f"}, "nchwc"),
        ((), "nchwc"),  # not told: another system, or another kind of processor
    ],
)
def test_onnx_runtime_convolves_by_winograd_on_avx2_alone(
    flags: frozenset[str], lowering: str
) -> None:
    assert onnxruntime_cpu.lowering_for(flags) == lowering


def test_wrong_winograd_falls_back_to_the_same_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = LOWERINGS["nchwc"]
    relu = PORTABLE.rules["Sigmoid"]  # another function's derivative
    wrong = Lowering(plain.rules.override(Relu=relu), plain.finish)
    wrong_ones = dict.fromkeys(("nchwc-winograd", for_probes("nchwc-winograd")), wrong)
    table = MappingProxyType({**LOWERINGS, **wrong_ones})
    monkeypatch.setattr(lowerings, "LOWERINGS", table)
    options = prefer(monkeypatch, "onnxruntime", "nchwc-winograd")
    chosen = verified(options, network(), SIZE, None)
    assert (chosen.backend.name, chosen.lowering) == ("onnxruntime", "nchwc")
