"""The tables of layers: they chain, and they are the published networks."""

from __future__ import annotations

import pytest

from impasto.errors import UnknownNameError
from impasto.models.architectures.nin import NIN
from impasto.models.architectures.vgg import VGG16, VGG19
from impasto.models.layer import Architecture

ALL = pytest.mark.parametrize("architecture", [VGG16, VGG19, NIN], ids=lambda a: a.name)


def parameters(architecture: Architecture) -> int:
    return sum(
        layer.out_channels * (layer.in_channels * layer.kernel**2 + 1)
        for layer in architecture.convolutions
    )


@ALL
def test_every_layer_reads_what_the_one_before_writes(architecture: Architecture) -> None:
    channels = 3
    for layer in architecture.layers:
        assert layer.in_channels == channels
        assert layer.kind == "convolution" or layer.out_channels == channels
        channels = layer.out_channels


@ALL
def test_layer_names_are_unique(architecture: Architecture) -> None:
    assert len(set(architecture.layer_names)) == len(architecture.layers)


@ALL
def test_a_relu_follows_every_convolution(architecture: Architecture) -> None:
    for layer, following in zip(architecture.layers, architecture.layers[1:], strict=False):
        assert (layer.kind == "convolution") == (following.kind == "relu")


@pytest.mark.parametrize(
    ("architecture", "convolutions", "count"),
    # Keras' model summaries (without top) for VGG; for NIN, the sum over the prototxt.
    [(VGG16, 13, 14_714_688), (VGG19, 16, 20_024_384), (NIN, 12, 7_595_176)],
)
def test_number_of_parameters(architecture: Architecture, convolutions: int, count: int) -> None:
    assert len(architecture.convolutions) == convolutions
    assert parameters(architecture) == count


def test_vgg19_layer_names() -> None:
    assert VGG19.layer_names[:6] == ("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1")
    assert VGG19.layer_names[-3:] == ("conv5_4", "relu5_4", "pool5")
    assert VGG16.layer_names[-3:] == ("conv5_3", "relu5_3", "pool5")


def test_vgg_convolutions_keep_the_size_and_poolings_halve_it() -> None:
    for layer in VGG19.layers:
        if layer.kind == "convolution":
            assert (layer.kernel, layer.stride, layer.padding) == (3, 1, 1)
        if layer.kind == "max_pool":
            assert (layer.kernel, layer.stride, layer.padding, layer.ceil) == (2, 2, 0, False)


def test_nin_table() -> None:
    assert " ".join(NIN.layer_names) == (
        "conv1 relu0 cccp1 relu1 cccp2 relu2 pool0 "
        "conv2 relu3 cccp3 relu5 cccp4 relu6 pool2 "
        "conv3 relu7 cccp5 relu8 cccp6 relu9 pool3 "
        "conv4-1024 relu10 cccp7-1024 relu11 cccp8-1024 relu12"
    )
    found = {
        layer.name: (layer.kernel, layer.stride, layer.padding, layer.out_channels)
        for layer in NIN.convolutions
        if layer.kernel > 1
    }
    assert found == {
        "conv1": (11, 4, 0, 96),
        "conv2": (5, 1, 2, 256),
        "conv3": (3, 1, 1, 384),
        "conv4-1024": (3, 1, 1, 1024),
    }


def test_nin_poolings_overlap_and_round_up() -> None:
    poolings = [layer for layer in NIN.layers if layer.kind == "max_pool"]
    assert [pooling.name for pooling in poolings] == ["pool0", "pool2", "pool3"]
    assert {(p.kernel, p.stride, p.padding, p.ceil) for p in poolings} == {(3, 2, 0, True)}


def test_in_order_sorts_and_drops_repetitions() -> None:
    names = ("relu4_1", "relu1_1", "relu4_1", "pool2")
    assert VGG19.in_order(names) == ("relu1_1", "pool2", "relu4_1")


def test_in_order_refuses_an_unknown_name_and_suggests() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown nin layer 'relu4'.*Did you mean"):
        NIN.in_order(("relu0", "relu4"))


def test_truncated_ends_at_the_last_wanted_layer() -> None:
    assert VGG19.truncated(("relu3_1", "relu1_1")).layer_names[-1] == "relu3_1"
    assert VGG19.truncated(("pool5",)) == VGG19


def test_with_pooling_changes_poolings_only() -> None:
    changed = NIN.with_pooling("avg", "floor")
    for before, after in zip(NIN.layers, changed.layers, strict=True):
        if before.kind == "max_pool":
            assert (after.kind, after.ceil, after.kernel) == ("average_pool", False, before.kernel)
        else:
            assert after == before


def test_with_pooling_of_nothing_is_the_same() -> None:
    assert NIN.with_pooling() == NIN
    assert NIN.with_pooling("avg").with_pooling("max") == NIN
    assert VGG19.with_pooling(rounding="ceil").layer("pool3").ceil
