"""The speed of the machine: measured once, remembered, and never believed blindly."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
import pytest
from streamed_networks import network_of

from impasto.engine.backends import open_backend
from impasto.engine.backends.base import Backend, CompiledGraph, Precision
from impasto.engine.compilation import Candidate
from impasto.engine.network import Network
from impasto.engine.speed import PROBE, multiplications_per_second
from impasto.export.light import LightModel


@dataclass
class CountingBackend:
    """ONNX Runtime that counts what it compiles."""

    actual: Backend = field(default_factory=lambda: open_backend("onnxruntime", "f32", 1))
    compiled: int = 0

    @property
    def name(self) -> str:
        return self.actual.name

    @property
    def precision(self) -> Precision:
        return self.actual.precision

    @property
    def lowering(self) -> str:
        return self.actual.lowering

    @property
    def fingerprint(self) -> str:
        return self.actual.fingerprint

    def compile(
        self,
        model: onnx.ModelProto | LightModel,
        outputs: Sequence[str] | None = None,
        *,
        one_of_many: bool = False,
    ) -> CompiledGraph:
        self.compiled += 1
        return self.actual.compile(model, outputs, one_of_many=one_of_many)


@pytest.fixture
def backend() -> CountingBackend:
    return CountingBackend()


@pytest.fixture
def candidate(backend: CountingBackend) -> Candidate:
    return Candidate(backend, backend.lowering)


@pytest.fixture(scope="module")
def network() -> Network:
    return network_of("vgg19")


def only_file(cache: Path) -> Path:
    (path,) = cache.iterdir()
    return path


def test_it_is_measured_once_and_remembered(
    backend: CountingBackend, candidate: Candidate, network: Network, tmp_path: Path
) -> None:
    cache = tmp_path / "not" / "there" / "yet"
    first = multiplications_per_second(candidate, network, 1, cache)
    assert 1e6 < first < 1e15
    assert backend.compiled == 1
    assert multiplications_per_second(candidate, network, 1, cache) == first
    assert backend.compiled == 1
    assert only_file(cache).suffix == ".json", "no temporary file stays behind"


def test_what_it_depends_on_is_told_apart(
    backend: CountingBackend, candidate: Candidate, network: Network, tmp_path: Path
) -> None:
    fewer_layers = replace(network, style_layers=network.style_layers[:2])
    multiplications_per_second(candidate, network, 1, tmp_path)
    multiplications_per_second(candidate, network, 2, tmp_path)
    multiplications_per_second(candidate, fewer_layers, 1, tmp_path)
    multiplications_per_second(replace(candidate, lowering="portable"), network, 1, tmp_path)
    assert backend.compiled == len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"7e10",
        b"{}",
        b'{"per_second": "7e10"}',
        b'{"per_second": null}',
        b'{"per_second": true}',
        b'{"per_second": NaN}',
        b'{"per_second": Infinity}',
        b'{"per_second": -7e10}',
        b'{"per_second": 0.0}',
        b'{"per_second": 1e300}',
        b"[" * 100_000,
    ],
    ids=range(16),
)
def test_damaged_and_senseless_numbers_are_measured_again(
    content: bytes,
    backend: CountingBackend,
    candidate: Candidate,
    network: Network,
    tmp_path: Path,
) -> None:
    multiplications_per_second(candidate, network, 1, tmp_path)
    path = only_file(tmp_path)
    path.write_bytes(content)
    again = multiplications_per_second(candidate, network, 1, tmp_path)
    assert backend.compiled == 2
    assert json.loads(only_file(tmp_path).read_text()) == {"per_second": again}


def test_a_remembered_number_is_believed(
    backend: CountingBackend, candidate: Candidate, network: Network, tmp_path: Path
) -> None:
    multiplications_per_second(candidate, network, 1, tmp_path)
    only_file(tmp_path).write_text('{"per_second": 7e10}')
    assert multiplications_per_second(candidate, network, 1, tmp_path) == 7e10
    assert backend.compiled == 1


def test_a_cache_that_cannot_be_written_only_loses_the_number(
    candidate: Candidate, network: Network, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "impasto.engine.remembered")
    (tmp_path / "file").write_text("no directory")
    assert multiplications_per_second(candidate, network, 1, tmp_path / "file") > 1e6
    assert "not remembered" in caplog.text


def test_without_a_cache_it_is_measured_every_time(
    backend: CountingBackend, candidate: Candidate, network: Network
) -> None:
    for _ in range(2):
        multiplications_per_second(candidate, network, 1, None)
    assert backend.compiled == 2


def test_networks_of_other_strides_can_be_measured(candidate: Candidate) -> None:
    network = network_of("nin")
    network.check_size(*PROBE, "The probe")
    assert multiplications_per_second(candidate, network, 1, None) > 1e6
