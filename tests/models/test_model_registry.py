"""The registry of models: complete, unambiguous and reachable by name."""

from __future__ import annotations

import re

import pytest

from impasto.errors import UnknownNameError
from impasto.models.registry import ModelSpec, _index, list_models, model_spec

ALL = pytest.mark.parametrize("spec", list_models(), ids=lambda spec: spec.name)


def test_the_names() -> None:
    assert [spec.name for spec in list_models()] == [
        "vgg19",
        "vgg19-keras",
        "vgg19-caffe",
        "vgg19-torchvision",
        "vgg16-keras",
        "vgg16-caffe",
        "vgg16-torchvision",
        "nin",
    ]


@ALL
def test_entry_says_licence_and_origin(spec: ModelSpec) -> None:
    assert spec.licence
    assert spec.origin
    assert spec.name.startswith(spec.architecture.name)


@ALL
def test_entry_has_a_well_formed_hash(spec: ModelSpec) -> None:
    lengths = {spec.sha256: 64, spec.md5: 32, spec.sha1: 40, spec.git_blob_sha1: 40}
    lengths.pop(None, None)
    assert lengths
    for value, length in lengths.items():
        assert re.fullmatch(f"[0-9a-f]{{{length}}}", str(value))
    assert spec.sha256 is not None or "SHA" in spec.notes


@ALL
def test_only_the_embedded_model_has_no_url(spec: ModelSpec) -> None:
    assert spec.embedded == (spec.name == "vgg19")
    assert all(url.rsplit("/", 1)[1] == spec.filename for url in spec.urls)


def test_files_do_not_overwrite_each_other() -> None:
    names = [spec.filename for spec in list_models()]
    assert len(set(names)) == len(names)


def test_torchvision_preprocessing_is_on_the_0_255_scale() -> None:
    preprocessing = model_spec("vgg19-torchvision").preprocessing
    assert preprocessing.channel_order == "rgb"
    white = [
        (255 - mean) * scale
        for mean, scale in zip(preprocessing.mean, preprocessing.scale, strict=True)
    ]
    # (1 - mean) / std, as torchvision documents it for pictures in 0-1.
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert white == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["vgg19", "vgg19-keras", "vgg16-caffe", "nin"])
def test_caffe_preprocessing(name: str) -> None:
    preprocessing = model_spec(name).preprocessing
    assert preprocessing.channel_order == "bgr"
    assert preprocessing.mean == (103.939, 116.779, 123.68)
    assert preprocessing.scale == (1.0, 1.0, 1.0)


def test_unknown_model_lists_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"'vgg_19'.*Did you mean 'vgg19'.*nin"):
        model_spec("vgg_19")


def test_two_models_of_one_name_are_refused() -> None:
    spec = model_spec("nin")
    with pytest.raises(ValueError, match=r"more than once: nin\."):
        _index((spec, spec))
