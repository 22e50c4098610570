"""Models by name: the embedded one, fetched ones, random stand-ins, and wrong arrays."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from impasto.errors import UnknownNameError, WeightsError
from impasto.models import Architecture, Layer, Model, load_model, model_spec
from impasto.models.architectures.nin import NIN
from impasto.models.architectures.vgg import VGG19
from impasto.models.weights.random_weights import random_weights

SMALL = Architecture(
    "small",
    (
        Layer("first", "convolution", 3, 4, kernel=3),
        Layer("relu", "relu", 4, 4),
        Layer("second", "convolution", 4, 2),
    ),
)


def small_model(arrays: dict[str, NDArray[np.float32]]) -> Model:
    spec = dataclasses.replace(model_spec("vgg19"), architecture=SMALL)
    return Model(spec, SMALL, arrays, spec.preprocessing, "test")


def test_vgg19_is_loaded_without_a_file() -> None:
    model = load_model("vgg19")
    assert model.source == "embedded"
    assert model.architecture == VGG19
    assert model.preprocessing == model_spec("vgg19").preprocessing
    assert len(model.arrays) == 32
    assert next(iter(model.arrays)) == "conv1_1.weight"
    for array in model.arrays.values():
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="Known: vgg19,"):
        load_model("resnet50")


def test_unfetched_model_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        load_model("nin")
    message = str(caught.value)
    for words in ("impasto fetch nin", "https://", "non-commercial", "--weights FILE"):
        assert words in message
    assert str(tmp_path) in message


def test_missing_weights_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pth: no such weights file.*'vgg19'"):
        load_model("vgg19", tmp_path / "absent.pth")


def test_importing_models_imports_no_reader_and_no_network_client() -> None:
    code = (
        "import sys, impasto.models; "
        "print(*{'requests', 'safetensors', 'onnx', 'h5py', 'pickle'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # NumPy itself imports pickle.
    assert set(run.stdout.split()) <= {"pickle"}


def test_arrays_are_put_in_layer_order_and_cannot_be_replaced() -> None:
    arrays = random_weights(SMALL, seed=0)
    model = small_model(dict(reversed(arrays.items())))
    assert list(model.arrays) == ["first.weight", "first.bias", "second.weight", "second.bias"]
    with pytest.raises(TypeError):
        model.arrays["first.bias"] = arrays["first.bias"]  # type: ignore[index]


def test_arrays_become_contiguous() -> None:
    arrays = random_weights(SMALL, seed=0)
    arrays["first.weight"] = arrays["first.weight"][..., ::-1]
    model = small_model(arrays)
    assert model.arrays["first.weight"].flags.c_contiguous
    np.testing.assert_array_equal(model.arrays["first.weight"], arrays["first.weight"])


def test_missing_array_is_refused() -> None:
    arrays = random_weights(SMALL, seed=0)
    del arrays["second.bias"]
    with pytest.raises(WeightsError, match=r"no tensor for 'second\.bias' of small"):
        small_model(arrays)


def test_unknown_array_is_refused() -> None:
    arrays = random_weights(SMALL, seed=0)
    arrays["third.bias"] = arrays["second.bias"]
    with pytest.raises(WeightsError, match=r"'third\.bias' is no tensor of small"):
        small_model(arrays)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 3, 3), np.float32), r"float32 of shape \(4, 3, 3\).*\(4, 3, 3, 3\)"),
        (np.zeros((4, 3, 3, 3), np.float64), r"is float64"),
        (np.full((4, 3, 3, 3), np.nan, np.float32), r"not finite"),
    ],
)
def test_wrong_array_is_refused(array: NDArray[np.float32], message: str) -> None:
    arrays = random_weights(SMALL, seed=0)
    arrays["first.weight"] = array
    with pytest.raises(WeightsError, match=message):
        small_model(arrays)


def test_random_weights_repeat_and_differ_by_seed() -> None:
    one, same, other = (random_weights(SMALL, seed) for seed in (1, 1, 2))
    for key, array in one.items():
        np.testing.assert_array_equal(array, same[key])
        assert not np.array_equal(array, other[key])


def test_random_weights_of_a_truncated_architecture_are_the_same() -> None:
    whole = random_weights(NIN, seed=3)
    for key, array in random_weights(NIN.truncated(("relu3",)), seed=3).items():
        np.testing.assert_array_equal(array, whole[key])


def test_random_weights_have_the_variance_of_he_et_al() -> None:
    for key, array in random_weights(NIN, seed=4).items():
        assert array.dtype == np.float32
        if key.endswith(".weight"):
            expected = math.sqrt(2 / math.prod(array.shape[1:]))
            assert array.std() == pytest.approx(expected, rel=0.05)
