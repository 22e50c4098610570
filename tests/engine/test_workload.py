"""What an evaluation costs, against counts by brute force and against the arrays there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from double_backend import DoubleBackend
from hypothesis import example, given, settings
from hypothesis import strategies as st
from streamed_networks import network_of, streaming_of, task_of

from impasto.engine.keepings import keepings
from impasto.engine.network import Network, network_for
from impasto.engine.options import Options
from impasto.engine.stored import Features, Signs
from impasto.engine.streamed_objective import StreamedObjective
from impasto.engine.streaming import Keeping, StreamedNetwork, Streaming
from impasto.engine.workload import strip_work, tensor_bytes, weight_bytes, whole_work
from impasto.export.guides import Guides
from impasto.export.losses.form import LossForm
from impasto.export.strip_backward import build_strip_backward
from impasto.export.strip_norms import build_strip_norms
from impasto.export.strips import Segment, segments_of, strip_kinds, strips_of
from impasto.models import load_model
from impasto.models.layer import Pooling, PoolRounding


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
@given(st.integers(16, 700), st.integers(1, 300))
@example(72, 1)
def test_kinds_of_strips_count_all_strips(vgg19: Network, height: int, rows: int) -> None:
    for segment in segments_of(vgg19.encoder.layers):
        found = Counter(strip.shape for strip in strips_of(segment, height, rows))
        counted = Counter[tuple[object, ...]]()
        for strip, count in strip_kinds(segment, height, rows):
            counted[strip.shape] += count
        assert counted == found
        height //= segment.stride


def test_strips_as_high_as_the_picture_cost_the_forward_pass_once_more(vgg19: Network) -> None:
    size = (256, 192)
    whole = whole_work(vgg19, size)
    one = strip_work(vgg19, size, Streaming((256,) * 5))
    assert one.parts == 5
    # More by the rows of padding that the backward pass computes, two in 16 at the deepest.
    assert 1.5 * whole < one.multiplications < 1.52 * whole
    lower = strip_work(vgg19, size, Streaming((16,) * 5))
    assert lower.multiplications > 1.1 * one.multiplications


def test_what_is_stored_is_120_bytes_a_pixel(vgg19: Network) -> None:
    work = strip_work(vgg19, (512, 512), Streaming((64,) * 5))
    assert work.stored_bytes == 120 * 512 * 512


def test_signs_take_a_bit_and_features_four_bytes(vgg19: Network) -> None:
    def stored(keeping: Keeping) -> int:
        return strip_work(vgg19, (64, 60), Streaming((64,) * 5, keeping)).stored_bytes

    nothing = stored(Keeping())
    elements = 64 * 64 * 60
    assert stored(Keeping(features=frozenset({"relu1_2"}))) - nothing == 4 * elements
    rows_of_bytes = 64 * 64 * int(np.ceil(60 / 8))
    assert stored(Keeping(signs=frozenset({"relu1_2"}))) - nothing == rows_of_bytes


# -- narrow networks, of any layers and keepings -------------------------------------------------

LAYERS = {
    "vgg19": [
        *("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "relu2_1", "relu2_2", "pool2"),
        *("conv3_1", "relu3_2", "relu3_4", "pool3", "relu4_2", "relu4_4", "relu5_1"),
    ],
    "nin": ["relu0", "relu1", "relu3", "relu5", "relu7", "relu8"],
}


@dataclass(frozen=True)
class Case:
    """Losses anywhere, and anything kept; of signs, those that tell the maxima."""

    name: str
    pooling: Pooling
    content: frozenset[str]
    style: frozenset[str]
    features: frozenset[str]
    signs: frozenset[str]

    @property
    def network(self) -> Network:
        whole = network_of(self.name, self.pooling)
        names = [layer.name for layer in whole.encoder.layers]
        last = max(map(names.index, self.content | self.style))
        return Network(
            replace(whole.encoder, layers=whole.encoder.layers[: last + 1]),
            tuple(name for name in names if name in self.content),
            tuple(name for name in names if name in self.style),
        )

    @property
    def keeping(self) -> Keeping:
        layers = self.network.encoder.layers
        relus = {layer.name for layer in layers if layer.kind == "relu"}
        refused = {
            relu.name
            for relu, pool in pairwise(layers)
            if pool.kind == "max_pool" and pool.kernel != pool.stride
        }
        return Keeping(self.features & relus, (self.signs & relus) - refused)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    name = draw(st.sampled_from(sorted(LAYERS)))
    relus = [layer.name for layer in network_of(name).encoder.layers if layer.kind == "relu"]
    some, losses = st.frozensets(st.sampled_from(relus)), st.sampled_from(LAYERS[name])
    return Case(
        name,
        draw(st.sampled_from(get_args(Pooling))),
        draw(st.frozensets(losses, max_size=2)),
        draw(st.frozensets(losses, min_size=1, max_size=4)),
        draw(some),
        draw(some),
    )


def backward_graphs(
    network: Network, size: tuple[int, int], keeping: Keeping
) -> Iterator[tuple[Segment, onnx.ModelProto]]:
    """Yield the graph of each segment as one strip, as `StreamedNetwork` asks for it."""
    segments = segments_of(network.encoder.layers)
    sizes = network.feature_sizes(size)
    height, width = size
    for segment in segments:
        (strip,) = strips_of(segment, height, height)
        names = [layer.name for layer in segment.layers]
        yield (
            segment,
            build_strip_backward(
                network.encoder,
                segment,
                strip,
                width,
                styles=[name for name in names if name in network.style_layers],
                contents=[name for name in names if name in network.content_layers],
                kept=[name for name in names if name in keeping.features],
                signs=[name for name in names if name in keeping.signs - keeping.features],
                cotangent=segment is not segments[-1],
            ),
        )
        height, width = sizes[segment.output.name]


@settings(max_examples=30, derandomize=True, deadline=None)
@given(cases())
def test_a_pass_for_norms_costs_the_convolutions_in_its_graphs(case: Case) -> None:
    network, keeping, size = case.network, case.keeping, (96, 80)
    segments, sizes = segments_of(network.encoder.layers), network.feature_sizes(size)
    expected, compiled = 0, 0
    height, width = size
    for segment in segments:
        (strip,) = strips_of(segment, height, height)
        names = [layer.name for layer in segment.layers]
        model = build_strip_norms(
            network.encoder,
            segment,
            strip,
            width,
            styles=[name for name in names if name in network.style_layers],
            moments=network.form.moments,
            contents=[name for name in names if name in network.content_layers],
            kept=[name for name in names if name in keeping.features],
        )
        computed = {node.name for node in model.graph.node if node.op_type == "Conv"}
        for name in computed.intersection(names):
            weights = network.encoder.arrays[f"{name}.weight"].size
            compiled += 4 * weights
            expected += weights * sizes[name][0] * sizes[name][1]
        height, width = sizes[segment.output.name]
    cut = Streaming((96,) * len(segments), keeping)
    normalized = replace(network, form=LossForm(normalized=True))
    plain, more = strip_work(network, size, cut), strip_work(normalized, size, cut)
    assert more.multiplications - plain.multiplications == pytest.approx(expected, rel=1e-9)
    assert more.compiled_bytes - plain.compiled_bytes == compiled
    assert more.moved_bytes - plain.moved_bytes == plain.stored_bytes


@settings(max_examples=60, derandomize=True, deadline=None)
@given(cases())
def test_convolutions_computed_again_are_those_in_the_graphs(case: Case) -> None:
    assert_counted_as_in_graphs(case.network, case.keeping)


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize("name", ["vgg19", "nin"])
def test_what_plans_keep_spares_what_they_count_on(
    name: str, pooling: Pooling, rounding: PoolRounding
) -> None:
    network = network_of(name, pooling, rounding)
    for keeping in keepings(network, "f32"):
        assert_counted_as_in_graphs(network, keeping)


def assert_counted_as_in_graphs(network: Network, keeping: Keeping) -> None:
    size = (96, 80)
    segments = segments_of(network.encoder.layers)
    sizes = network.feature_sizes(size)
    expected, compiled = 0.0, 0
    for segment, model in backward_graphs(network, size, keeping):
        computed = {node.name for node in model.graph.node if node.op_type == "Conv"}
        for layer in segment.layers:
            if layer.kind == "convolution":
                weights = network.encoder.arrays[f"{layer.name}.weight"].size
                again = layer.name in computed
                compiled += 4 * weights * (3 if again else 2)
                rows, columns = sizes[layer.name]
                expected += (3 if again else 2) * weights * rows * columns
                # Backward, a row of padding is computed and thrown away.
                expected += weights * columns * max(0, layer.kernel / layer.stride - 1)
    work = strip_work(network, size, Streaming((96,) * len(segments), keeping))
    assert work.compiled_bytes == compiled
    assert work.multiplications == pytest.approx(expected, rel=1e-9)


@settings(max_examples=20, derandomize=True, deadline=None)
@given(
    st.sampled_from(["vgg19", "nin"]),
    st.sampled_from(["floor", "ceil"]),
    st.integers(67, 140),
    st.integers(1, 60),
)
def test_work_is_the_sum_over_all_strips(
    name: str, rounding: PoolRounding, height: int, rows: int
) -> None:
    network = network_of(name, "max", rounding)
    size = (height, 70)
    segments = segments_of(network.encoder.layers)
    sizes = network.feature_sizes(size)
    parts, multiplications = 0, 0.0
    for segment in segments:
        strips = strips_of(segment, height, rows)
        parts += len(strips)
        for strip in strips:
            for item in strip.layers:
                layer = item.layer
                if layer.kind == "convolution":
                    row = network.encoder.arrays[f"{layer.name}.weight"].size * sizes[layer.name][1]
                    # Without signs everything is computed again.
                    multiplications += 3 * row * len(item.rows)
                    multiplications += row * max(0, layer.kernel / layer.stride - 1)
        height = sizes[segment.output.name][0]
    work = strip_work(network, size, Streaming((rows,) * len(segments)))
    assert work.parts == parts
    assert work.multiplications == pytest.approx(multiplications, rel=1e-9)


@pytest.mark.parametrize("name", ["vgg19", "nin"])
def test_what_is_stored_is_what_is_allocated(name: str) -> None:
    task = task_of(name, (67, 75))
    for keeping in (*keepings(task.network, "f32"), Keeping(task.relus())):
        streaming = streaming_of(task.network, 16, keeping)
        network = StreamedNetwork(
            task.network, DoubleBackend(), "portable", task.size, streaming, dtype=np.float64
        )
        weights: Any = {name: np.array(value) for name, value in task.weights.items()}
        StreamedObjective(network, task.targets, weights)(task.image)
        # In float64 here: twice the bytes of float32, except for the bits.
        numbers = [*network._outputs.values()]
        numbers += [kept._array for kept in network._kept.values() if isinstance(kept, Features)]
        bits = [kept._bits for kept in network._kept.values() if isinstance(kept, Signs)]
        allocated = sum(array.nbytes // 2 for array in numbers) + sum(b.nbytes for b in bits)
        assert len(network._kept) == len(keeping.features | keeping.signs)
        assert strip_work(task.network, task.size, streaming).stored_bytes == allocated
        assert network.part_count == strip_work(task.network, task.size, streaming).parts


def test_every_region_costs_a_product_and_a_copy(vgg19: Network) -> None:
    size, cells = (64, 96), 64 * 96
    one = replace(vgg19, guides=Guides({"relu1_1": ("1",)}))
    two = replace(vgg19, guides=Guides({"relu1_1": ("1", "2")}))
    copy = 4 * 64 * cells
    assert tensor_bytes(one, size) - tensor_bytes(vgg19, size) == copy
    assert tensor_bytes(two, size) - tensor_bytes(vgg19, size) == 2 * copy
    product = 64 * 64 * cells
    assert whole_work(two, size) - whole_work(vgg19, size) == 2 * product
    cut = Streaming((64, 16, 16, 16, 16))  # the first segment in one part, which is the largest
    plain, guided = strip_work(vgg19, size, cut), strip_work(two, size, cut)
    assert guided.multiplications - plain.multiplications == 2 * product
    assert guided.largest_part_bytes - plain.largest_part_bytes == 2 * copy
