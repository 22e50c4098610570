"""Kept Gram matrices are the computed ones, and whatever is not an entry is as good as none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import KINDS
from safetensors.numpy import save
from streamed_networks import network_of, streaming_of

from impasto.engine.backends import open_backend
from impasto.engine.backends.base import FloatArray
from impasto.engine.backends.onnxruntime_cpu import OnnxRuntimeCpu, OnnxRuntimeGraph
from impasto.engine.compilation import Candidate
from impasto.engine.execution import Execution, targets_for
from impasto.engine.network import Network
from impasto.engine.target_cache import TargetCache, grams_of_styles
from impasto.export.light import LightModel

WHOLE = Execution(None, 1, 5)
CONTENT = KINDS["photo"](50, 64)
STYLE = KINDS["photo"](65, 48)
OTHER = np.ascontiguousarray(STYLE[:, :, ::-1])
KEY = "0123456789abcdef"
SHAPES = {"relu1_1": (8, 8), "relu2_1": (16, 16)}


class Counting(OnnxRuntimeCpu):
    """ONNX Runtime that notes which outputs are compiled; in other respects any backend."""

    def __init__(self, fingerprint: str = "counting f32", threads: int = 1) -> None:
        super().__init__(threads)
        self.compiled: list[str] = []
        self._fingerprint = fingerprint

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def compile(
        self,
        model: onnx.ModelProto | LightModel,
        outputs: Sequence[str] | None = None,
        *,
        one_of_many: bool = False,
    ) -> OnnxRuntimeGraph:
        self.compiled += [output.name for output in LightModel.of(model).model.graph.output]
        return super().compile(model, outputs, one_of_many=one_of_many)

    @property
    def computed_grams(self) -> bool:
        return any(name.startswith("gram.") for name in self.compiled)


def targets_of_run(
    backend: Counting,
    cache: TargetCache | None,
    *,
    network: Network | None = None,
    styles: Sequence[FloatArray] = (STYLE,),
    execution: Execution = WHOLE,
) -> dict[str, FloatArray]:
    network = network or network_of("vgg19")
    chosen = Candidate(backend, "nchwc")
    return targets_for(execution, chosen, network, CONTENT, styles, (), None, cache)


def in_strips(rows: int) -> Execution:
    return Execution(streaming_of(network_of("vgg19"), rows), 4, 5)


def some_grams(seed: int = 0) -> dict[str, FloatArray]:
    generator = np.random.default_rng(seed)
    return {n: generator.standard_normal(s, np.float32) for n, s in SHAPES.items()}


def same(found: dict[str, FloatArray] | None, expected: dict[str, FloatArray]) -> bool:
    """Whether two sets of arrays are equal bit by bit."""
    return found is not None and {n: a.tobytes() for n, a in found.items()} == {
        n: a.tobytes() for n, a in expected.items()
    }


# -- what is found is what would be computed -----------------------------------------------------


@pytest.mark.parametrize("execution", [WHOLE, in_strips(32)], ids=["whole", "strips"])
def test_a_hit_is_bit_equal_and_computes_no_gram(tmp_path: Path, execution: Execution) -> None:
    cache, styles = TargetCache(tmp_path), (STYLE, OTHER)
    uncached = targets_of_run(Counting(), None, styles=styles, execution=execution)
    first = targets_of_run(Counting(), cache, styles=styles, execution=execution)
    backend = Counting()
    second = targets_of_run(backend, cache, styles=styles, execution=execution)
    assert same(first, uncached)
    assert same(second, uncached)
    assert backend.compiled
    assert not backend.computed_grams


@pytest.mark.parametrize(
    ("name", "precision"), [("openvino", "f32"), ("openvino", "auto"), ("onnxruntime", "f32")]
)
def test_a_hit_is_bit_equal_on_every_runtime(tmp_path: Path, name: str, precision: str) -> None:
    chosen = Candidate(open_backend(name, precision, 1), "portable")  # type: ignore[arg-type]
    network, cache = network_of("vgg19"), TargetCache(tmp_path)

    def run(cache: TargetCache | None) -> dict[str, FloatArray]:
        return targets_for(WHOLE, chosen, network, CONTENT, [STYLE], (), None, cache)

    uncached = run(None)
    assert same(run(cache), uncached)
    assert same(run(cache), uncached)


def test_only_the_styles_that_are_not_kept_are_computed(tmp_path: Path) -> None:
    network, cache = network_of("vgg19"), TargetCache(tmp_path)
    computed: list[FloatArray] = []

    def compute(style: FloatArray, guides: object) -> dict[str, FloatArray]:
        computed.append(style)
        channels = {name: network.encoder.channels(name) for name in network.style_layers}
        return {name: np.full((n, n), style.mean(), np.float32) for name, n in channels.items()}

    for styles in ([STYLE], [STYLE, OTHER], [OTHER, STYLE]):
        grams_of_styles(cache, Counting(), network, "whole", styles, [{}] * len(styles), compute)
    assert len(computed) == 2
    assert computed[0] is STYLE
    assert computed[1] is OTHER


def test_losses_of_one_kind_need_no_targets_of_the_other(tmp_path: Path) -> None:
    whole = network_of("vgg19")
    for execution in (WHOLE, in_strips(32)):
        for network in (replace(whole, content_layers=()), replace(whole, style_layers=())):
            cache = TargetCache(tmp_path)
            found = targets_of_run(Counting(), cache, network=network, execution=execution)
            layers = (*network.content_layers, *network.style_layers)
            assert {name.split(".")[1] for name in found} == set(layers)


def other_weights(network: Network) -> Network:
    """One weight of the last layer that counts is another."""
    arrays = dict(network.encoder.arrays)
    name = f"{network.style_layers[-1].replace('relu', 'conv')}.bias"
    changed = arrays[name].copy()
    changed[-1] += 1
    return replace(network, encoder=replace(network.encoder, arrays={**arrays, name: changed}))


def other_preprocessing(network: Network) -> Network:
    preprocessing = replace(network.encoder.preprocessing, mean=(1.0, 2.0, 3.0))  # type: ignore[type-var]
    return replace(network, encoder=replace(network.encoder, preprocessing=preprocessing))


def fewer_layers(network: Network) -> Network:
    return replace(network, style_layers=network.style_layers[:-1])


def average_pooling(_: Network) -> Network:
    return network_of("vgg19", "avg")


@pytest.mark.parametrize(
    "changed", [other_weights, other_preprocessing, fewer_layers, average_pooling]
)
def test_another_network_misses(tmp_path: Path, changed: Callable[[Network], Network]) -> None:
    cache = TargetCache(tmp_path)
    targets_of_run(Counting(), cache)
    backend, network = Counting(), changed(network_of("vgg19"))
    found = targets_of_run(backend, cache, network=network)
    assert backend.computed_grams
    assert same(found, targets_of_run(Counting(), None, network=network))


@pytest.mark.parametrize(
    "style",
    [OTHER, STYLE[:, :, 1:], STYLE.reshape(1, 3, STYLE.shape[3], STYLE.shape[2])],
    ids=["other", "smaller", "same bytes in another shape"],
)
def test_another_style_or_size_misses(tmp_path: Path, style: FloatArray) -> None:
    cache, style = TargetCache(tmp_path), np.ascontiguousarray(style)
    targets_of_run(Counting(), cache)
    backend = Counting()
    targets_of_run(backend, cache, styles=[style])
    assert backend.computed_grams


@pytest.mark.parametrize(
    ("backend", "execution"),
    [
        (Counting("counting bf16"), WHOLE),
        (Counting(threads=2), WHOLE),
        (Counting(), in_strips(32)),
    ],
    ids=["precision", "threads", "strips"],
)
def test_another_arithmetic_misses(tmp_path: Path, backend: Counting, execution: Execution) -> None:
    cache = TargetCache(tmp_path)
    targets_of_run(Counting(), cache)
    backend.compiled.clear()
    targets_of_run(backend, cache, execution=execution)
    assert len(list(tmp_path.iterdir())) == 2


def test_other_strips_miss(tmp_path: Path) -> None:
    cache = TargetCache(tmp_path)
    targets_of_run(Counting(), cache, execution=in_strips(32))
    targets_of_run(Counting(), cache, execution=in_strips(16))
    assert len(list(tmp_path.iterdir())) == 2


def test_weights_past_the_last_style_layer_do_not_count(tmp_path: Path) -> None:
    network = replace(network_of("vgg19"), style_layers=("relu1_1", "relu2_1"))
    encoder, cache = network.encoder, TargetCache(tmp_path)
    targets_of_run(Counting(), cache, network=network)
    drawn = {name: array + 1 for name, array in encoder.arrays.items() if name.startswith("conv3")}
    assert drawn
    changed = replace(encoder, arrays={**encoder.arrays, **drawn})
    backend = Counting()
    targets_of_run(backend, cache, network=replace(network, encoder=changed))
    assert not backend.computed_grams


# -- damage --------------------------------------------------------------------------------------


def entry_of(cache: TargetCache) -> Path:
    (path,) = cache.directory.iterdir()
    return path


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    cache = TargetCache(tmp_path / "below" / "targets")
    assert cache.find(KEY, SHAPES) is None
    cache.keep(KEY, some_grams())
    assert same(cache.find(KEY, SHAPES), some_grams())
    assert cache.find("f" * 16, SHAPES) is None
    assert entry_of(cache).name == f"{KEY}.safetensors"


def test_what_is_found_may_be_changed(tmp_path: Path) -> None:
    cache = TargetCache(tmp_path)
    cache.keep(KEY, some_grams())
    for gram in (cache.find(KEY, SHAPES) or {}).values():
        assert gram.flags.c_contiguous
        gram += 1
    assert same(cache.find(KEY, SHAPES), some_grams())


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_a_changed_bit_means_absent(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    cache = TargetCache(tmp_path_factory.mktemp("bit"))
    cache.keep(KEY, some_grams())
    entry = bytearray(entry_of(cache).read_bytes())
    entry[int(place * len(entry))] ^= 1 << bit
    entry_of(cache).write_bytes(entry)
    found = cache.find(KEY, SHAPES)
    assert found is None or same(found, some_grams())  # a bit of the header's padding


@given(share=st.floats(0, 1, exclude_max=True), more=st.binary(max_size=40))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_a_cut_entry_means_absent(
    tmp_path_factory: pytest.TempPathFactory, share: float, more: bytes
) -> None:
    cache = TargetCache(tmp_path_factory.mktemp("cut"))
    cache.keep(KEY, some_grams())
    entry = entry_of(cache).read_bytes()
    damaged = entry[: int(share * len(entry))] + more
    entry_of(cache).write_bytes(damaged)
    assert damaged == entry or cache.find(KEY, SHAPES) is None


@given(st.binary(max_size=300))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_any_bytes_mean_absent(tmp_path_factory: pytest.TempPathFactory, entry: bytes) -> None:
    cache = TargetCache(tmp_path_factory.mktemp("any"))
    (cache.directory / f"{KEY}.safetensors").write_bytes(entry)
    assert cache.find(KEY, SHAPES) is None


def header_only(length: int, header: object) -> bytes:
    return length.to_bytes(8, "little") + json.dumps(header).encode()


HUGE = {"relu1_1": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 2**60]}}
FOREIGN: dict[str, bytes] = {
    "other shapes": save({name: value[:4] for name, value in some_grams().items()}),
    "other type": save({name: value.astype(np.float64) for name, value in some_grams().items()}),
    "a layer missing": save({"relu1_1": some_grams()["relu1_1"]}),
    "no checksum": save(some_grams()),
    "a wrong checksum": save({**some_grams(), "checksum": np.zeros(16, np.uint8)}),
    "too much": save({**some_grams(), "more": np.zeros(2**16, np.float32)}),
    "a long header": header_only(2**63, {}),
    "huge shapes": header_only(len(json.dumps(HUGE)), HUGE),
    "no object": header_only(4, None),
}


@pytest.mark.parametrize("entry", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_means_absent(tmp_path: Path, entry: bytes) -> None:
    cache = TargetCache(tmp_path)
    (tmp_path / f"{KEY}.safetensors").write_bytes(entry)
    assert cache.find(KEY, SHAPES) is None
    cache.keep(KEY, some_grams())
    assert same(cache.find(KEY, SHAPES), some_grams())


def test_an_entry_under_another_key_means_absent(tmp_path: Path) -> None:
    cache = TargetCache(tmp_path)
    cache.keep(KEY, some_grams())
    entry_of(cache).rename(tmp_path / f"{'e' * 16}.safetensors")
    assert cache.find("e" * 16, SHAPES) is None


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    cache = TargetCache(tmp_path)
    (tmp_path / f"{KEY}.safetensors").mkdir()
    assert cache.find(KEY, SHAPES) is None
    cache.keep(KEY, some_grams())  # in whose place there is a folder
    assert cache.find(KEY, SHAPES) is None
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / f"{'d' * 16}.safetensors")
        assert cache.find("d" * 16, SHAPES) is None


def test_matrices_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    cache, grams = TargetCache(tmp_path), some_grams()
    grams["relu1_1"][0, 0] = np.nan
    cache.keep(KEY, grams)
    assert not list(tmp_path.iterdir())


# -- bounds --------------------------------------------------------------------------------------


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = TargetCache(tmp_path)
    for age, key in enumerate("abc"):
        cache.keep(key, some_grams())
        os.utime(tmp_path / f"{key}.safetensors", (1000 + age, 1000 + age))
    size = (tmp_path / "a.safetensors").stat().st_size
    bounded = TargetCache(tmp_path, 3 * size)
    assert bounded.find("a", SHAPES)  # used, and therefore young again
    bounded.keep("d", some_grams())
    assert {path.stem for path in tmp_path.iterdir()} == {"a", "c", "d"}


def test_the_bound_is_kept_and_left_over_files_go(tmp_path: Path) -> None:
    left = tmp_path / "killed.tmp"
    left.write_bytes(bytes(5000))
    os.utime(left, (1000, 1000))
    bounded = TargetCache(tmp_path, 5000)
    for number in range(10):
        bounded.keep(f"{number}", some_grams(number))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5000
    assert same(bounded.find("9", SHAPES), some_grams(9))
    assert not left.exists()


def test_an_entry_beyond_the_bound_is_not_kept(tmp_path: Path) -> None:
    TargetCache(tmp_path, 100).keep(KEY, some_grams())
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_made_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = TargetCache(tmp_path / "file" / "targets")
    assert same(targets_of_run(Counting(), cache), targets_of_run(Counting(), None))


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    TargetCache(tmp_path).keep(KEY, some_grams())
    assert not list(tmp_path.iterdir())
