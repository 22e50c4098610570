"""Graphs of single strips: what they read and return, and that their sums are the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from streamed_networks import network_of
from style_cases import oracle_of

from impasto.export.encoder import Encoder, feature_size
from impasto.export.reference import evaluate
from impasto.export.strip_backward import build_strip_backward
from impasto.export.strip_forward import build_strip_forward
from impasto.export.strips import Rows, Segment, Strip, segments_of, strips_of
from impasto.models.layer import Architecture, Layer, LayerKind, Preprocessing
from impasto.models.weights.random_weights import random_weights

F64 = npt.NDArray[np.float64]
PREPROCESSING = Preprocessing("bgr", (104.0, 117.0, 123.0), (0.5, 0.25, 2.0))


def encoder_of(layers: list[Layer]) -> Encoder:
    """The layers one after the other, with names and channels and random weights."""
    chained: list[Layer] = []
    read = 3
    for index, layer in enumerate(layers):
        channels = 5 if layer.kind == "convolution" else read
        chained.append(
            replace(layer, name=f"layer{index}", in_channels=read, out_channels=channels)
        )
        read = channels
    arrays = random_weights(Architecture("chain", tuple(chained)), seed=3)
    return Encoder("chain", chained, arrays, PREPROCESSING)


def conv(kernel: int, stride: int = 1, padding: int = 0) -> Layer:
    return Layer("", "convolution", 0, 0, kernel, stride, padding)


def relu() -> Layer:
    return Layer("", "relu", 0, 0)


def pool(kind: LayerKind, kernel: int, ceil: bool) -> Layer:
    return Layer("", kind, 0, 0, kernel, 2, 0, ceil)


def picture(channels: int, height: int, width: int, seed: int = 0) -> F64:
    return np.random.default_rng(seed).normal(size=(1, channels, height, width)) * 50 + 120


def shapes_of(values: Any) -> dict[str, tuple[int, ...]]:
    return {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}


def strip_inputs(model: onnx.ModelProto) -> set[str]:
    return set(shapes_of(model.graph.input))


def vgg_block(index: int) -> tuple[Encoder, Segment]:
    encoder = network_of("vgg19").encoder
    return encoder, segments_of(encoder.layers)[index]


# -- the sums of strips --------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    windows=st.lists(
        st.sampled_from([conv(3, 1, 1), conv(5, 1, 2), conv(1), conv(3, 2, 1), conv(2), relu()]),
        max_size=4,
    ),
    first=st.sampled_from([conv(3, 1, 1), conv(11, 4)]),
    last=st.sampled_from(
        [
            relu(),
            *(
                pool(kind, kernel, ceil)
                for kind in ("max_pool", "average_pool")
                for kernel in (2, 3)
                for ceil in (False, True)
            ),
        ]
    ),
    height=st.integers(1, 60),
    rows=st.integers(1, 40),
)
def test_strips_of_any_chain_carry_back_what_the_whole_does(
    windows: list[Layer], first: Layer, last: Layer, height: int, rows: int
) -> None:
    width = 23
    encoder = encoder_of([first, *windows, last])
    assume(min(feature_size(encoder.layers, height, width)) >= 1)
    (segment,) = segments_of(encoder.layers)
    image = picture(3, height, width)
    oracle = oracle_of(encoder)
    expected = oracle.forward(image[0])[segment.output.name]
    cotangent = picture(len(expected), expected.shape[1], expected.shape[2], seed=1)
    output = np.full_like(cotangent, np.nan)
    gradient = np.zeros_like(image)
    for strip in strips_of(segment, height, rows):
        forward = build_strip_forward(encoder, segment, strip, width, dtype=np.float64)
        read = image[:, :, strip.read.slice]
        output[:, :, strip.written.slice] = evaluate(forward, {"input": read})["output"]
        backward = build_strip_backward(encoder, segment, strip, width, dtype=np.float64)
        feeds = {"input": read, "cotangent": cotangent[:, :, strip.written.slice]}
        named = {name: feeds[name] for name in strip_inputs(backward)}
        gradient[:, :, strip.read.slice] += evaluate(backward, named)["gradient"]
    np.testing.assert_allclose(output[0], expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    carried = oracle.backward({segment.output.name: cotangent[0]})
    scale = np.abs(carried).max()
    np.testing.assert_allclose(gradient[0], carried, rtol=0, atol=1e-11 * scale)


def forward_of_strips(rows: int, **asked: Any) -> Iterator[tuple[Strip, dict[str, F64]]]:
    """Run the first block of VGG-19 over a picture of 37x29."""
    encoder, segment = vgg_block(0)
    image = picture(3, 37, 29)
    for strip in strips_of(segment, 37, rows):
        model = build_strip_forward(encoder, segment, strip, 29, dtype=np.float64, **asked)
        feeds = {"input": image[:, :, strip.read.slice]}
        for name in asked.get("contents", ()):
            owned = strip[name].owned
            feeds[f"content.{name}"] = content_target()[:, :, owned.slice]
        yield strip, evaluate(model, feeds)


def content_target() -> F64:
    return picture(8, 37, 29, seed=5)


@pytest.mark.parametrize("rows", [2, 6, 12, 100])
def test_partial_sums_add_up_to_the_losses_of_the_image(rows: int) -> None:
    encoder, _ = vgg_block(0)
    image = picture(3, 37, 29)
    values = oracle_of(encoder).forward(image[0])
    sums: dict[str, Any] = {}
    for _, found in forward_of_strips(
        rows, grams=["relu1_1"], contents=["relu1_2"], output=False, total_variation=True
    ):
        assert sorted(found) == ["content_loss.relu1_2", "gram.relu1_1", "tv_loss"]
        for name, value in found.items():
            sums[name] = sums.get(name, 0) + value
    flat = values["relu1_1"].reshape(8, -1)
    np.testing.assert_allclose(sums["gram.relu1_1"], flat @ flat.T, rtol=1e-12)
    square = np.sum((values["relu1_2"] - content_target()[0]) ** 2)
    np.testing.assert_allclose(sums["content_loss.relu1_2"], square, rtol=1e-12)
    x = image[0]
    dx, dy = x[:, :-1, :-1] - x[:, :-1, 1:], x[:, :-1, :-1] - x[:, 1:, :-1]
    np.testing.assert_allclose(sums["tv_loss"], (np.sum(dx**2) + np.sum(dy**2)) / 2, rtol=1e-12)


@pytest.mark.parametrize("rows", [2, 12, 100])
def test_features_of_strips_are_those_of_the_image(rows: int) -> None:
    encoder, _ = vgg_block(0)
    expected = oracle_of(encoder).forward(picture(3, 37, 29)[0])["relu1_1"]
    found = np.full_like(expected, np.nan)
    for strip, outputs in forward_of_strips(rows, features=["relu1_1"], output=False):
        found[:, strip["relu1_1"].owned.slice] = outputs["features.relu1_1"][0]
    np.testing.assert_allclose(found, expected, atol=1e-11 * expected.max())


# -- signs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [2, 12, 100])
def test_signs_mark_the_maxima_a_pooling_would_choose(rows: int) -> None:
    """At an odd height and width, where a row and a column are in no window."""
    signs, values = np.zeros((8, 37, 29)), np.zeros((8, 37, 29))
    for strip, found in forward_of_strips(
        rows, features=["relu1_2"], signs=["relu1_2"], output=False
    ):
        owned = strip["relu1_2"].owned.slice
        signs[:, owned] = found["signs.relu1_2"][0]
        values[:, owned] = found["features.relu1_2"][0]
    blocks = values[:, :36, :28].reshape(8, 18, 2, 14, 2)
    largest = blocks == blocks.max((2, 4), keepdims=True)
    expected = np.zeros_like(values)
    expected[:, :36, :28] = (largest & (blocks > 0)).reshape(8, 36, 28)
    np.testing.assert_array_equal(signs, expected)
    assert 0.1 < signs.mean() < 0.5


def test_signs_of_a_relu_before_a_convolution_are_where_it_is_positive() -> None:
    for _, found in forward_of_strips(12, features=["relu1_1"], signs=["relu1_1"], output=False):
        positive = (found["features.relu1_1"] > 0).astype(np.float64)
        np.testing.assert_array_equal(found["signs.relu1_1"], positive)


@pytest.mark.parametrize("last", [pool("max_pool", 3, False), pool("max_pool", 2, True)])
def test_signs_before_other_poolings_are_refused(last: Layer) -> None:
    encoder = encoder_of([conv(3, 1, 1), relu(), last])
    (segment,) = segments_of(encoder.layers)
    (strip,) = strips_of(segment, 9, 20)
    with pytest.raises(ValueError, match="layer2 overlaps: the signs of layer1"):
        build_strip_forward(encoder, segment, strip, 9, signs=["layer1"])


# -- the graphs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lowering", ["portable", "nchwc", "nhwc"])
@pytest.mark.parametrize("index", [0, 2, 4])
def test_graphs_of_strips_are_standard_onnx(index: int, lowering: str) -> None:
    encoder, segment = vgg_block(index)
    of_losses = {"relu1_1", "relu3_1", "relu5_1"}.intersection(s.name for s in segment.layers)
    for strip in strips_of(segment, 40, 12)[:2]:
        for model in (
            build_strip_forward(encoder, segment, strip, 24, grams=of_losses, lowered_for=lowering),
            build_strip_backward(
                encoder, segment, strip, 24, styles=of_losses, lowered_for=lowering
            ),
        ):
            onnx.checker.check_model(model, full_check=True)
            onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
            assert {node.domain for node in model.graph.node} == {""}


def test_a_backward_graph_s_inputs_and_outputs() -> None:
    encoder, segment = vgg_block(3)
    strip = strips_of(segment, 60, 20)[1]
    model = build_strip_backward(
        encoder, segment, strip, 10, styles=["relu4_1"], contents=["relu4_2"]
    )
    rows = len(strip.read)
    owned = len(strip["relu4_2"].owned)
    assert shapes_of(model.graph.input) == {
        "input": (1, 32, rows, 10),
        "cotangent": (1, 64, len(strip.written), 5),
        "style_coefficient.relu4_1": (64, 64),
        "content.relu4_2": (1, 64, owned, 10),
        "content_coefficient.relu4_2": (),
    }
    assert shapes_of(model.graph.output) == {"gradient": (1, 32, rows, 10)}


def test_what_is_kept_is_read_and_not_computed_again() -> None:
    encoder, segment = vgg_block(2)
    strip = strips_of(segment, 60, 20)[1]
    relus = [layer.name for layer in segment.layers if layer.kind == "relu"]
    convolutions = {layer.name for layer in segment.layers if layer.kind == "convolution"}
    model = build_strip_backward(encoder, segment, strip, 10, styles=["relu3_1"], kept=relus)
    assert strip_inputs(model) == {
        "cotangent",
        "style_coefficient.relu3_1",
        *(f"kept.{name}" for name in relus),
    }
    assert not convolutions.intersection(node.name for node in model.graph.node)
    signs = relus[1:]
    model = build_strip_backward(encoder, segment, strip, 10, styles=["relu3_1"], signs=signs)
    assert strip_inputs(model) == {
        "input",
        "cotangent",
        "style_coefficient.relu3_1",
        *(f"kept.{name}" for name in signs),
    }
    # What the loss asks for and no more.
    computed = convolutions.intersection(node.name for node in model.graph.node)
    assert computed == {"conv3_1"}


def test_the_gradient_of_a_kept_strip_is_that_of_a_computed_one() -> None:
    encoder, segment = vgg_block(0)
    strip = strips_of(segment, 37, 12)[1]
    names = ["relu1_1", "relu1_2"]
    image = picture(3, len(strip.read), 29)
    outputs = picture(8, len(strip.written), 14, seed=2)
    plain = build_strip_backward(encoder, segment, strip, 29, dtype=np.float64)
    expected = evaluate(plain, {"input": image, "cotangent": outputs})["gradient"]
    stored = stored_values(encoder, segment, strip, image)
    for kept, signs in ((names, []), ([], names), (names[:1], names[1:]), ([], names[:1])):
        model = build_strip_backward(
            encoder, segment, strip, 29, kept=kept, signs=signs, dtype=np.float64
        )
        feeds: dict[str, F64] = {"input": image, "cotangent": outputs}
        feeds |= {f"kept.{name}": stored["features"][name] for name in kept}
        feeds |= {f"kept.{name}": stored["signs"][name] for name in signs}
        found = evaluate(model, {name: feeds[name] for name in strip_inputs(model)})["gradient"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def stored_values(
    encoder: Encoder, segment: Segment, strip: Strip, image: F64
) -> dict[str, dict[str, F64]]:
    """Features and signs of all rows that a strip computes, as its neighbours would add them."""
    everything = tuple(replace(item, owned=item.rows) for item in strip.layers)
    names = ["relu1_1", "relu1_2"]
    model = build_strip_forward(
        encoder,
        segment,
        replace(strip, layers=everything),
        29,
        features=names,
        signs=names,
        dtype=np.float64,
    )
    found = evaluate(model, {"input": image})
    return {
        kind: {name: found[f"{kind}.{name}"] for name in names} for kind in ("features", "signs")
    }


def test_rows_other_than_planned_are_refused() -> None:
    encoder, segment = vgg_block(0)
    strip = strips_of(segment, 40, 12)[1]
    first = replace(strip.layers[0], rows=Rows(0, 3))
    wrong = replace(strip, layers=(first, *strip.layers[1:]))
    with pytest.raises(ValueError, match=r"conv1_1 computes .* where 3 were planned"):
        build_strip_forward(encoder, segment, wrong, 24)
