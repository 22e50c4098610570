"""Tensors find their layers under every naming scheme, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.errors import WeightsError
from impasto.models.architectures.nin import NIN
from impasto.models.architectures.vgg import VGG19
from impasto.models.layer import Architecture
from impasto.models.weights import read_weights
from impasto.models.weights.assign import assign_weights
from impasto.models.weights.random_weights import random_weights

FILE = Path("some.file")
SMALL_VGG = VGG19.truncated(("relu3_1",))
SMALL_NIN = NIN.truncated(("relu3",))

Arrays = dict[str, np.ndarray[Any, Any]]


def renamed(architecture: Architecture, names: list[str]) -> tuple[Arrays, Arrays]:
    """Return the weights, and the same under other names."""
    weights: Arrays = dict(random_weights(architecture, seed=1))
    stems = [layer.name for layer in architecture.convolutions]
    other = {
        f"{new}.{kind}": weights[f"{old}.{kind}"]
        for old, new in zip(stems, names, strict=True)
        for kind in ("weight", "bias")
    }
    return weights, other


def assert_assigned(architecture: Architecture, tensors: Arrays, expected: Arrays) -> None:
    found = assign_weights(architecture, tensors, FILE)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.float32
        assert found[name].flags.c_contiguous


def numbered(architecture: Architecture) -> list[str]:
    """Return torchvision's names: the index counts ReLUs and poolings too."""
    return [
        f"features.{index}"
        for index, layer in enumerate(architecture.layers)
        if layer.kind == "convolution"
    ]


@pytest.mark.parametrize("architecture", [SMALL_VGG, SMALL_NIN], ids=["vgg", "nin"])
def test_our_own_names_in_any_order(architecture: Architecture) -> None:
    weights = dict(random_weights(architecture, seed=1))
    assert_assigned(architecture, dict(reversed(weights.items())), weights)


def test_keras_names() -> None:
    names = ["block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2", "block3_conv1"]
    weights, other = renamed(SMALL_VGG, names)
    assert_assigned(SMALL_VGG, dict(sorted(other.items(), reverse=True)), weights)


@pytest.mark.parametrize("architecture", [SMALL_VGG, SMALL_NIN], ids=["vgg", "nin"])
def test_numbered_names_sorted_as_text(architecture: Architecture) -> None:
    """safetensors files sort features.10 before features.2."""
    weights, other = renamed(architecture, numbered(architecture))
    assert_assigned(architecture, dict(sorted(other.items())), weights)


def test_unknown_names_are_taken_in_order_and_the_classifier_left_out() -> None:
    weights, other = renamed(SMALL_VGG, [f"layer{letter}" for letter in "xbcay"])
    other["head.weight"] = np.zeros((10, 20), np.float32)
    assert_assigned(SMALL_VGG, other, weights)


def test_doubles_and_views_become_contiguous_float32() -> None:
    weights: Arrays = dict(random_weights(SMALL_VGG, seed=1))
    doubles = {name: np.asfortranarray(a.astype(np.float64)) for name, a in weights.items()}
    assert_assigned(SMALL_VGG, doubles, weights)


def test_another_network_is_refused_by_name() -> None:
    weights, other = renamed(SMALL_VGG, numbered(SMALL_VGG))
    with pytest.raises(WeightsError, match=r"expected \(96, 3, 11, 11\) for 'conv1'"):
        assign_weights(NIN.truncated(("relu5",)), other, FILE)
    batch_normalised = {**other, "features.1.running_mean": np.zeros(64, np.float32)}
    with pytest.raises(WeightsError, match="batch normalisation"):
        assign_weights(SMALL_VGG, batch_normalised, FILE)
    deeper = dict(random_weights(VGG19.truncated(("relu3_2",)), seed=1))
    with pytest.raises(WeightsError, match="6 convolution kernels"):
        assign_weights(SMALL_VGG, deeper, FILE)
    with pytest.raises(WeightsError, match=r"5 convolution kernels .* expected 16 for vgg19"):
        assign_weights(VGG19, other, FILE)
    del other["features.0.bias"]
    with pytest.raises(WeightsError, match=r"'features\.0\.weight' has no bias"):
        assign_weights(SMALL_VGG, other, FILE)
    integers = {name: array.astype(np.int32) for name, array in weights.items()}
    with pytest.raises(WeightsError, match="int32, expected floating-point"):
        assign_weights(SMALL_VGG, integers, FILE)


def test_what_is_no_weights_file_is_refused_with_the_formats(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        read_weights(tmp_path / "absent")
    with pytest.raises(WeightsError, match="is a directory"):
        read_weights(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(WeightsError, match="is empty"):
        read_weights(tmp_path / "empty")
    (tmp_path / "text.pth").write_text("weights, honestly")
    with pytest.raises(WeightsError, match=r"Known: PyTorch .*safetensors.*Keras.*ONNX.*Caffe"):
        read_weights(tmp_path / "text.pth")


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "large.pth").open("wb") as stream:
        stream.truncate(5 * 2**30)  # sparse: it takes no room
    with pytest.raises(WeightsError, match="at most 4294967296"):
        read_weights(tmp_path / "large.pth")
