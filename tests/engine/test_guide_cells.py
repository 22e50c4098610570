"""Masks on their way through the layers: exact averages, least values, and scales."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_network import windows_of
from streamed_networks import network_of

from impasto.engine.guides import cells_by_layer, content_guides, region_guides, style_guides
from impasto.engine.images import ByteArray
from impasto.engine.network import Network
from impasto.export.encoder import window_count
from impasto.export.guides import Guides
from impasto.models.layer import PoolRounding


def with_regions(network: Network, *regions: str) -> Network:
    by_layer = dict.fromkeys(network.style_layers, regions)
    return replace(network, guides=Guides(by_layer, content=True, styles=True))


def random_mask(height: int, width: int, seed: int = 4) -> ByteArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_soft_cells_average_what_a_pooling_s_windows_cover(rounding: PoolRounding) -> None:
    network = network_of("vgg19", "max", rounding)
    mask = random_mask(67, 45)
    found = cells_by_layer(network, mask, "soft")
    cells = mask / 255
    for layer in network.encoder.layers:
        if layer.kind == "max_pool":
            rows, columns = (windows_of(layer, side) for side in cells.shape)  # type: ignore[arg-type]
            cells = np.array([[cells[r, c].mean() for c in columns] for r in rows])
        assert found[layer.name].dtype == np.float32
        np.testing.assert_allclose(found[layer.name], cells, rtol=2e-6)


@pytest.mark.parametrize("name", ["vgg19", "nin"])
@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    height=st.integers(67, 120),
    width=st.integers(67, 120),
    rounding=st.sampled_from(["floor", "ceil"]),
    edges=st.sampled_from(["soft", "inside"]),
)
def test_cells_have_the_shape_of_their_layer_and_stay_in_range(
    name: str, height: int, width: int, rounding: PoolRounding, edges: str
) -> None:
    network = network_of(name, "max", rounding)
    found = cells_by_layer(network, random_mask(height, width), edges)
    sizes = network.feature_sizes((height, width))
    assert {layer: cells.shape for layer, cells in found.items()} == sizes
    for cells in found.values():
        assert cells.min() >= 0
        assert cells.max() <= 1 + 1e-6
    white = cells_by_layer(network, np.full((height, width), 255, np.uint8), edges)
    assert all((cells == 1).all() for cells in white.values()), "white is exactly 1"


@pytest.mark.parametrize("name", ["vgg19", "nin"])
def test_inside_cells_are_those_whose_receptive_field_sees_nothing_else(name: str) -> None:
    """Found by moving one black pixel: which cells it is seen by is the receptive field."""
    network = network_of(name)
    size = (83, 71)
    for y, x in ((0, 0), (40, 35), (82, 70), (13, 60)):
        mask = np.full(size, 255, np.uint8)
        mask[y, x] = 0
        found = cells_by_layer(network, mask, "inside")
        for layer, cells in found.items():
            rows, columns = (field_of(network, layer, axis, size[axis]) for axis in (0, 1))
            expected = np.array(
                [[not (y in row and x in column) for column in columns] for row in rows]
            )
            np.testing.assert_array_equal(cells == 1, expected, layer)


def field_of(network: Network, name: str, axis: int, side: int) -> list[range]:
    """Return the pixels along an axis that each cell of a layer sees."""
    fields = [range(at, at + 1) for at in range(side)]
    for layer in network.encoder.layers:
        if layer.kind != "relu":
            count = window_count(layer, len(fields))
            seen = []
            for cell in range(count):
                start = cell * layer.stride - layer.padding
                first, last = max(0, start), min(len(fields), start + layer.kernel) - 1
                seen.append(range(fields[first].start, fields[last].stop))
            fields = seen
        if layer.name == name:
            return fields
    raise AssertionError(name)


def test_a_region_s_guide_has_a_mean_square_of_one_and_says_its_area() -> None:
    network = with_regions(network_of("vgg19"), "1", "2")
    mask = np.zeros((64, 96), np.uint8)
    mask[:, :48] = 255
    guided = region_guides(network, {"1": mask, "2": 255 - mask}, (64, 96), "soft")
    for term in network.style_terms:
        guide = guided.guides[f"guide.{term}"]
        assert guide.dtype == np.float32
        assert float((guide.astype(float) ** 2).mean()) == pytest.approx(1, rel=1e-6)
        assert guided.areas[term] == pytest.approx(0.5)
    np.testing.assert_allclose(guided.guides["guide.relu1_1.1"][0, 0, :, 47:49], [[2**0.5, 0]] * 64)


def test_a_white_mask_is_a_guide_of_ones() -> None:
    network = with_regions(network_of("vgg19"), "1")
    white = np.full((67, 45), 255, np.uint8)
    for edges in ("soft", "inside"):
        guided = region_guides(network, {"1": white}, (67, 45), edges)
        assert all((guide == 1).all() for guide in guided.guides.values())
        assert set(guided.areas.values()) == {1.0}
    of_style = style_guides(network, None, (50, 60), "soft")
    assert all((guide == 1).all() for guide in of_style.guides.values())
    contents = content_guides(network, white, (67, 45))
    assert all((guide == 1).all() for guide in contents.values())


def test_regions_that_vanish_are_zero_and_told(caplog: pytest.LogCaptureFixture) -> None:
    network = with_regions(network_of("vgg19"), "1")
    mask = np.zeros((64, 64), np.uint8)
    mask[3:9, 3:9] = 255  # 36 pixels: 9 cells of relu2_1, and a seventh of a cell of relu5_1
    with caplog.at_level(logging.WARNING):
        guided = region_guides(network, {"1": mask}, (64, 64), "soft")
    assert guided.areas["relu1_1.1"] == 36 / 64**2
    assert guided.areas["relu5_1.1"] == guided.areas["relu4_1.1"] == 0
    assert not guided.guides["guide.relu5_1.1"].any()
    assert "Region 1 is less than a cell of relu4_1, relu5_1 at 64x64 pixels" in caplog.text
    assert all(np.isfinite(guide).all() for guide in guided.guides.values())


def test_a_content_guide_is_the_root_and_not_scaled() -> None:
    network = network_of("vgg19")
    mask = np.full((64, 64), 51, np.uint8)  # a fifth
    (guide,) = content_guides(network, mask, (64, 64)).values()
    np.testing.assert_allclose(guide, 0.2**0.5, rtol=1e-6)


@pytest.mark.parametrize("edges", ["soft", "inside"])
def test_on_a_torus_the_cells_move_with_the_mask(edges: str) -> None:
    network = replace(network_of("vgg19"), wraps=True)
    mask = random_mask(64, 96) // 200 * 255
    moved = cells_by_layer(network, np.roll(mask, (16, 48), (0, 1)), edges)
    for name, cells in cells_by_layer(network, mask, edges).items():
        step = 64 // len(cells)
        expected = np.roll(cells, (16 // step, 48 // step), (0, 1))
        np.testing.assert_allclose(moved[name], expected, rtol=1e-6)
