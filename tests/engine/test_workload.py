"""What an evaluation costs, against counts by brute force and against the arrays there are."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.engine.network import Network, network_for
from impasto.engine.options import Options
from impasto.engine.plan import keepings
from impasto.engine.streaming import Keeping, Streaming
from impasto.engine.workload import feature_sizes, strip_work, weight_bytes, whole_work
from impasto.export.strip_graphs import build_strip_backward
from impasto.export.strips import segments_of, strip_kinds, strips_of
from impasto.models import load_model


@pytest.fixture(scope="module")
def vgg19() -> Network:
    return network_for(load_model("vgg19"), Options())


def test_an_evaluation_of_vgg19_is_378_gflop(vgg19: Network) -> None:
    """The figure everybody quotes for 512x512: two operations a multiplication."""
    assert 2 * whole_work(vgg19, (512, 512)) == pytest.approx(378e9, rel=0.01)


def test_the_weights_are_those_of_the_layers_in_use(vgg19: Network) -> None:
    up_to_relu5_1 = 12_944_960 - 2_688 - 512  # Simonyan and Zisserman, less the biases
    assert weight_bytes(vgg19) == pytest.approx(4 * up_to_relu5_1, rel=0.01)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(32, 700), st.integers(1, 300))
def test_kinds_of_strips_count_all_strips(vgg19: Network, height: int, rows: int) -> None:
    for segment in segments_of(vgg19.encoder.layers)[:3]:
        found = Counter(strip.shape for strip in strips_of(segment, height, rows))
        counted = Counter[tuple[object, ...]]()
        for strip, count in strip_kinds(segment, height, rows):
            counted[strip.shape] += count
        assert counted == found
        height //= 2


def test_strips_as_high_as_the_picture_cost_the_forward_pass_once_more(vgg19: Network) -> None:
    size = (256, 192)
    whole = whole_work(vgg19, size)
    one = strip_work(vgg19, size, Streaming((256,) * 5))
    assert one.parts == 5
    assert one.multiplications == pytest.approx(1.5 * whole, rel=0.01)
    lower = strip_work(vgg19, size, Streaming((16,) * 5))
    assert lower.multiplications > 1.1 * one.multiplications


def test_what_is_stored_is_120_bytes_a_pixel(vgg19: Network) -> None:
    work = strip_work(vgg19, (512, 512), Streaming((64,) * 5))
    assert work.stored_bytes == 120 * 512 * 512


def test_what_is_computed_again_is_what_the_graphs_compute_again(vgg19: Network) -> None:
    size = (64, 64)
    sizes = feature_sizes(vgg19, size)
    for keeping in keepings(vgg19, "f32"):
        in_graphs, height, width = 0.0, *size
        for segment in segments_of(vgg19.encoder.layers):
            (strip,) = strips_of(segment, height, height)
            names = [layer.name for layer in segment.layers]
            model = build_strip_backward(
                vgg19.encoder,
                segment,
                strip,
                width,
                styles=[name for name in names if name in vgg19.style_layers],
                contents=[name for name in names if name in vgg19.content_layers],
                kept=[name for name in names if name in keeping.features],
                signs=[name for name in names if name in keeping.signs - keeping.features],
                cotangent=segment is not segments_of(vgg19.encoder.layers)[-1],
            )
            for node in model.graph.node:
                if node.op_type == "Conv" and node.name in names:
                    rows, columns = sizes[node.name]
                    weight = vgg19.encoder.arrays[f"{node.name}.weight"]
                    in_graphs += weight.size * rows * columns
            height, width = sizes[segment.output.name]
        work = strip_work(vgg19, size, Streaming((64,) * 5, keeping))
        again = work.multiplications - whole_work(vgg19, size)
        assert again == pytest.approx(in_graphs, rel=0.02, abs=0.02 * whole_work(vgg19, size))


def test_signs_take_a_bit_and_features_four_bytes(vgg19: Network) -> None:
    def stored(keeping: Keeping) -> int:
        return strip_work(vgg19, (64, 60), Streaming((64,) * 5, keeping)).stored_bytes

    nothing = stored(Keeping())
    elements = 64 * 64 * 60
    assert stored(Keeping(features=frozenset({"relu1_2"}))) - nothing == 4 * elements
    rows_of_bytes = 64 * 64 * int(np.ceil(60 / 8))
    assert stored(Keeping(signs=frozenset({"relu1_2"}))) - nothing == rows_of_bytes
