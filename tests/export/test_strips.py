"""Strips of every segment are a partition, and read whatever they need."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from impasto.export.encoder import feature_size, window_count
from impasto.export.strips import (
    POOLINGS,
    Rows,
    Segment,
    Strip,
    StripLayer,
    segments_of,
    strips_of,
)
from impasto.models.layer import Layer
from impasto.models.registry import model_spec

VGG19 = model_spec("vgg19").architecture.layers
VGG19_CEIL = model_spec("vgg19").architecture.with_pooling(rounding="ceil").layers
NIN = model_spec("nin").architecture.layers
NIN_FLOOR = model_spec("nin").architecture.with_pooling(rounding="floor").layers

real_segments = st.sampled_from(
    [*segments_of(VGG19), *segments_of(VGG19_CEIL), *segments_of(NIN), *segments_of(NIN_FLOOR)]
)


def conv(kernel: int, stride: int = 1, padding: int = 0) -> Layer:
    return Layer("", "convolution", 4, 4, kernel, stride, padding)


def relu() -> Layer:
    return Layer("", "relu", 4, 4)


def pooling(kernel: int, stride: int, ceil: bool, padding: int = 0) -> Layer:
    return Layer("", "max_pool", 4, 4, kernel, stride, padding, ceil)


WINDOWS = [
    conv(3, 1, 1),  # VGG's
    conv(11, 4),  # NIN's
    conv(5, 1, 2),
    conv(1),
    conv(3),
    conv(3, 2, 1),
    conv(2),
    relu(),
]
POOLS = [pooling(k, 2, ceil) for k in (2, 3) for ceil in (False, True)]


@st.composite
def random_segments(draw: st.DrawFn) -> Segment:
    layers = draw(st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=5))
    layers += draw(st.lists(st.sampled_from(POOLS), max_size=1))
    named = [
        Layer(f"layer{i}", item.kind, 4, 4, item.kernel, item.stride, item.padding, item.ceil)
        for i, item in enumerate(layers)
    ]
    (segment,) = segments_of(named)
    return segment


segments = real_segments | random_segments()
heights = st.integers(1, 400)
strip_rows = st.integers(1, 200)


def cut(segment: Segment, height: int, rows: int) -> tuple[Strip, ...]:
    assume(min(feature_size(segment.layers, height, height)) >= 1)
    return strips_of(segment, height, rows)


def inputs_of(segment: Segment, height: int) -> list[int]:
    """Rows of what each layer reads."""
    heights = [height]
    for layer in segment.layers[:-1]:
        heights.append(window_count(layer, heights[-1]))
    return heights


def assert_partition(parts: list[Rows], total: int) -> None:
    assert parts[0].start == 0
    assert parts[-1].stop == total
    assert all(above.stop == below.start for above, below in pairwise(parts))
    assert all(len(part) >= 0 for part in parts)


# -- segments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "outputs"),
    [
        (VGG19, ["pool1", "pool2", "pool3", "pool4", "pool5"]),
        (VGG19[:-1], ["pool1", "pool2", "pool3", "pool4", "relu5_4"]),
        (NIN, ["pool0", "pool2", "pool3", "relu12"]),
    ],
)
def test_a_segment_ends_with_a_pooling_or_the_chain(
    layers: tuple[Layer, ...], outputs: list[str]
) -> None:
    found = segments_of(layers)
    assert [segment.output.name for segment in found] == outputs
    assert [segment.index for segment in found] == list(range(len(outputs)))
    assert sum((segment.layers for segment in found), ()) == tuple(layers)
    for segment in found:
        assert all(layer.kind not in POOLINGS for layer in segment.layers[:-1])


def test_the_stride_of_a_segment_is_that_of_its_layers() -> None:
    assert [segment.stride for segment in segments_of(VGG19)] == [2] * 5
    assert [segment.stride for segment in segments_of(NIN)] == [8, 2, 2, 1]


# -- strips --------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None, derandomize=True)
@given(segment=segments, height=heights, rows=strip_rows)
def test_every_row_of_every_layer_is_owned_once(segment: Segment, height: int, rows: int) -> None:
    strips = cut(segment, height, rows)
    assert_partition([strip.owned for strip in strips], height)
    read = inputs_of(segment, height)
    for index, layer in enumerate(segment.layers):
        total = window_count(layer, read[index])
        assert_partition([strip.layers[index].owned for strip in strips], total)
    assert all(len(strip.written) >= 1 for strip in strips)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(segment=segments, height=heights, rows=strip_rows)
def test_every_row_computed_has_its_window_in_what_is_read(
    segment: Segment, height: int, rows: int
) -> None:
    """The window of each row, cut to the whole feature map, lies in the strip; padding is
    only what lies beyond."""
    read = inputs_of(segment, height)
    for strip in cut(segment, height, rows):
        above = strip.read
        for item, total in zip(strip.layers, read, strict=True):
            for row in (item.rows.start, item.rows.stop - 1):
                start = row * item.layer.stride - item.layer.padding
                stop = start + item.layer.kernel
                assert above.start <= max(0, start)
                assert min(stop, total) <= above.stop
            assert_padded_where_the_map_ends(item, above, total)
            above = item.rows


def assert_padded_where_the_map_ends(item: StripLayer, above: Rows, total: int) -> None:
    top, bottom = item.padded
    first = item.rows.start * item.layer.stride - item.layer.padding
    assert top == max(0, -first)
    assert above.start == 0 or top == 0
    assert above.stop == total or bottom == 0
    assert max(top, bottom) <= item.layer.padding


@settings(max_examples=200, deadline=None, derandomize=True)
@given(segment=segments, height=heights, rows=strip_rows)
def test_the_windows_over_what_is_read_are_the_rows_computed(
    segment: Segment, height: int, rows: int
) -> None:
    """As a runtime counts them: with the strip's padding, rounded as the layer says."""
    for strip in cut(segment, height, rows):
        above = strip.read
        for item in strip.layers:
            layer, (top, bottom) = item.layer, item.padded
            covered = len(above) + top + bottom - layer.kernel
            steps = -(-covered // layer.stride) if layer.ceil else covered // layer.stride
            if layer.ceil and steps * layer.stride >= len(above) + top:
                steps -= 1
            assert steps + 1 == len(item.rows), item
            # And the first of them is where the first row's window begins.
            first = item.rows.start * layer.stride - layer.padding
            assert above.start - top == first, item
            above = item.rows


@settings(max_examples=200, deadline=None, derandomize=True)
@given(segment=segments, height=heights, rows=strip_rows)
def test_what_is_owned_is_computed_and_read(segment: Segment, height: int, rows: int) -> None:
    strips = cut(segment, height, rows)
    for strip in strips:
        assert strip.read.joined(strip.owned) == strip.read
        for item in strip.layers:
            assert item.rows.joined(item.owned) == item.rows
        assert strip.written == strip.layers[-1].owned
    # The gradient is put together from top to bottom, each strip beginning no higher than the last.
    assert [strip.read.start for strip in strips] == sorted(s.read.start for s in strips)
    assert [strip.read.stop for strip in strips] == sorted(s.read.stop for s in strips)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(segment=real_segments, height=st.integers(100, 400), rows=st.integers(16, 60))
@example(segment=segments_of(VGG19)[0], height=4096, rows=64)
def test_strips_come_in_few_shapes(segment: Segment, height: int, rows: int) -> None:
    """The two ends, and one between them."""
    strips = strips_of(segment, height, rows)
    assert len({strip.shape for strip in strips}) <= 3
    inside = strips[1:-1]
    assert len({strip.shape for strip in inside}) <= 1
    for strip in inside:
        assert not any(any(item.padded) for item in strip.layers)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(segment=segments, height=heights, rows=strip_rows)
def test_a_strip_owns_about_as_many_rows_as_asked(segment: Segment, height: int, rows: int) -> None:
    most = max(1, rows // segment.stride)
    strips = cut(segment, height, rows)
    for strip in strips:
        assert len(strip.written) <= 2 * most + 1
    if rows >= 2 * height:
        assert len(strips) == 1


def test_the_halo_of_a_segment_is_that_of_its_convolutions() -> None:
    for segment, halo in zip(segments_of(VGG19), (2, 2, 4, 4, 4), strict=True):
        strip = strips_of(segment, 400, 40)[3]
        assert (strip.owned.start - strip.read.start, strip.read.stop - strip.owned.stop) == (
            halo,
            halo,
        )


def test_strips_are_keys() -> None:
    segment = segments_of(VGG19)[0]
    first, again = strips_of(segment, 200, 30), strips_of(segment, 200, 30)
    assert first == again
    assert [hash(strip) for strip in first] == [hash(strip) for strip in again]
    assert len(set(first)) == len(first) > 3
    assert hash(first[1].shape) == hash(first[2].shape)
    assert first[1] != first[2]
    assert first[1] != strips_of(segment, 200, 50)[1]


def test_a_layer_of_a_strip_is_found_by_its_name() -> None:
    strip = strips_of(segments_of(VGG19)[0], 64, 64)[0]
    assert strip["relu1_2"].layer.name == "relu1_2"


def test_rows() -> None:
    rows = Rows(10, 14)
    assert len(rows) == 4
    assert rows.within(Rows(8, 20)) == Rows(2, 6)
    assert rows.joined(Rows(12, 30)) == Rows(10, 30)
    assert list(range(20))[rows.slice] == [10, 11, 12, 13]
