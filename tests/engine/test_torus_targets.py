"""What a painting tells a texture without borders: nothing that has seen the painting's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from double_backend import DoubleBackend
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_network import gram
from pictures import EXAMPLES, photo
from streamed_networks import network_of, streaming_of
from style_cases import oracle_of

from impasto.engine.backends import open_backend
from impasto.engine.canvas import Canvas
from impasto.engine.compilation import Candidate
from impasto.engine.execution import targets_for
from impasto.engine.guidance import guidance_of
from impasto.engine.guides import MOST_LEFT_OUT, inner_cells, style_guides
from impasto.engine.images import ByteArray, to_network
from impasto.engine.network import Network
from impasto.engine.options import Options
from impasto.engine.preparation import Prepared, prepare
from impasto.engine.streaming import StreamedNetwork
from impasto.engine.target_cache import TargetCache
from impasto.engine.texture import texture_options
from impasto.export.encoder import window_count
from impasto.models.layer import PoolRounding

SIZE = (70, 91)
EXACT = ("relu1_1", "relu2_1", "relu3_1")
"""Layers of which no more than a quarter of the rows see a border of pictures of that size."""


def torus(rounding: PoolRounding = "floor") -> Network:
    return replace(network_of("vgg19", "max", rounding), wraps=True)


def fields_of(network: Network, side: int) -> dict[str, list[tuple[int, int]]]:
    """Return the pixels, first and last, that each cell of a row sees, those beyond included."""
    fields, found = [(at, at) for at in range(side)], {}
    for layer in network.encoder.layers:
        if layer.kind != "relu":
            first, step = fields[0], fields[1][0] - fields[0][0] if len(fields) > 1 else 0
            seen = []
            for cell in range(window_count(layer, len(fields))):
                start = cell * layer.stride - layer.padding
                stop = start + layer.kernel - 1
                seen.append((first[0] + start * step, first[1] + stop * step))
            fields = seen
        found[layer.name] = fields
    return found


@settings(max_examples=60, derandomize=True, deadline=None)
@given(side=st.integers(32, 400), rounding=st.sampled_from(["floor", "ceil"]))
def test_inner_cells_see_no_border_or_are_the_middle_half(
    side: int, rounding: PoolRounding
) -> None:
    network = torus(rounding)
    fields = fields_of(network, side)
    for name, (rows, columns) in inner_cells(network, (side, 40)).items():
        assert name.startswith("conv") or columns == inner_cells(network, (40, 40))[name][0]
        cells = fields[name]
        most = int(len(cells) * MOST_LEFT_OUT)
        before = sum(first < 0 for first, _ in cells)
        behind = sum(last >= side for _, last in cells)
        assert (rows.start, rows.stop) == (min(before, most), len(cells) - min(behind, most)), name


def test_inner_cells_are_the_same_wherever_the_picture_ends() -> None:
    """Of a picture within a larger one they have its features; all others have not."""
    network = torus()
    oracle = oracle_of(network.encoder)
    large = photo(SIZE[0] + 64, SIZE[1] + 64)[0].astype(np.float64)
    alone = dict(oracle.forward(large[:, 32 : 32 + SIZE[0], 32 : 32 + SIZE[1]]))
    within = oracle.forward(large)
    for name in EXACT:
        _, height, width = alone[name].shape
        at = 32 // round(SIZE[0] / height)
        around = within[name][:, at : at + height, at : at + width]
        same = (np.abs(alone[name] - around) <= 1e-10 * np.abs(around).max()).all(axis=0)
        expected = np.zeros((height, width), bool)
        expected[inner_cells(network, SIZE)[name]] = True
        np.testing.assert_array_equal(same, expected, name)


def expected_grams(
    network: Network, picture: npt.NDArray[Any], layers: tuple[str, ...]
) -> dict[str, npt.NDArray[np.float64]]:
    """Gram matrices and means of the inner cells alone."""
    values = oracle_of(network.encoder).forward(picture)
    inner = inner_cells(network, (picture.shape[1], picture.shape[2]))
    cells = {name: values[name][:, *inner[name]] for name in layers}
    means = {f"mean.{name}": each.mean(axis=(1, 2)) for name, each in cells.items()}
    return {name: gram(each) for name, each in cells.items()} | means


@pytest.mark.parametrize("rows", [16, 1000])
def test_targets_leave_them_out_in_strips_too(rows: int) -> None:
    network, picture = torus(), photo(*SIZE).astype(np.float64)
    layers = network.style_layers
    guides: Any = {
        name: guide.astype(np.float64)
        for name, guide in style_guides(network, None, SIZE, "soft").guides.items()
    }
    streamed = StreamedNetwork(
        network.flat, DoubleBackend(), "portable", SIZE, streaming_of(network, rows),
        dtype=np.float64,
    )  # fmt: skip
    given: Any = picture
    _, found = streamed.features_and_grams(given, (), layers, layers, guides)
    expected = expected_grams(network, picture[0], layers)
    for name in layers:
        # Guides are float32; a cell counts T² times in both.
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, err_msg=name)


def prepared_for(
    options: Options, style: Path | ByteArray = EXAMPLES / "village_street.jpg"
) -> Prepared:
    canvas = Canvas(96, 64)
    return prepare(canvas, [style], texture_options(options, canvas))


QUICK = Options(
    style_layers=EXACT, backend="onnxruntime", precision="f32", threads=1, seed=1, scales="1"
)


def targets_of(prepared: Prepared, cache: TargetCache | None = None) -> Mapping[str, Any]:
    """The style targets of a run, computed as a run does."""
    (plan,) = prepared.plan.scales
    network = prepared.network
    guidance = guidance_of(prepared.inputs, network, prepared.options, plan)
    styles = [to_network(style) for style in prepared.inputs.styles_at(plan.style_sizes)]
    chosen = Candidate(open_backend("onnxruntime", "f32", 1), "nchwc")
    shares = guidance.mixture.shares
    return targets_for(
        plan.execution, chosen, network, None, styles, shares, None, cache, guidance.of_styles
    )


@pytest.mark.parametrize("tile", ["whole", "16"])
def test_a_run_s_targets_are_of_the_inner_cells(tile: str) -> None:
    prepared = prepared_for(replace(QUICK, tileable=True, tile=tile))
    assert (prepared.plan.scales[0].execution.mode == "tiled") == (tile == "16")
    found = targets_of(prepared)
    (style,) = prepared.inputs.styles_at(prepared.plan.scales[0].style_sizes)
    expected = expected_grams(prepared.network, style.transpose(2, 0, 1), EXACT)
    whole = targets_of(prepared_for(replace(QUICK, tile=tile)))
    for name in EXACT:
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(found[f"style.{name}"], expected[name], atol=1e-5 * scale)
        assert np.abs(whole[f"style.{name}"] - expected[name]).max() > 1e-3 * scale


def test_kept_targets_are_not_taken_for_those_of_the_whole_picture(tmp_path: Path) -> None:
    cache = TargetCache(tmp_path)
    plain, tileable = (prepared_for(replace(QUICK, tileable=each)) for each in (False, True))
    for prepared in (plain, tileable, plain):
        kept, computed = targets_of(prepared, cache), targets_of(prepared)
        for name, value in computed.items():
            np.testing.assert_array_equal(kept[name], value)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_style_mask_counts_within_them() -> None:
    network = torus()
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :48] = 255
    found = style_guides(network, mask, SIZE, "soft").guides
    for name in EXACT:
        counts = found[f"guide.{name}"][0, 0] > 0
        expected = np.zeros(counts.shape, bool)
        rows, columns = inner_cells(network, SIZE)[name]
        expected[rows, columns.start : 48 * counts.shape[1] // SIZE[1] + 1] = True
        left = -(-48 * counts.shape[1] // SIZE[1])
        expected[:, left:] = False
        np.testing.assert_array_equal(counts, expected, name)


def test_a_style_mask_of_nothing_else_keeps_what_it_has() -> None:
    """A frame at the border alone: better its features than none."""
    network = torus()
    mask = np.full(SIZE, 255, np.uint8)
    mask[1:-1, 1:-1] = 0
    guided = style_guides(network, mask, SIZE, "soft")
    assert guided.areas["relu1_1"] == pytest.approx((mask > 0).mean(), rel=1e-6)
