"""Pictures as the network's arrays, and back."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from encoded_pictures import picture

from impasto.engine.images import from_network, to_network


def test_the_network_gets_contiguous_planes_and_gives_them_back() -> None:
    planes = to_network(picture())
    assert planes.shape == (1, 3, 24, 32)
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    np.testing.assert_array_equal(planes[0, 2], picture()[..., 2])
    back = from_network(planes)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, picture())


def test_values_are_rounded_and_clipped_and_the_image_is_left_alone() -> None:
    image = np.array([-7, 0.4, 0.6, 254.4, 254.6, 900], np.float32).reshape(1, 3, 1, 2)
    before = image.copy()
    np.testing.assert_array_equal(from_network(image).ravel(), [0, 1, 255, 0, 254, 255])
    np.testing.assert_array_equal(image, before)


def test_pictures_of_many_strips_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(4).uniform(-50, 300, (1, 3, 23, 31)).astype(np.float32)
    whole = from_network(image)
    monkeypatch.setattr("impasto.engine.srgb.STRIP_PIXELS", 100)
    np.testing.assert_array_equal(from_network(image), whole)


def test_no_more_memory_is_taken_than_the_result() -> None:
    pixels = np.zeros((2000, 2000, 3), np.uint8)
    tracemalloc.start()
    try:
        planes = to_network(pixels)
        assert tracemalloc.get_traced_memory()[1] < 1.01 * planes.nbytes
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        from_network(planes)
        # The picture, and two strips of 2**18 pixels as float32.
        taken = tracemalloc.get_traced_memory()[1] - before
        assert taken < 1.05 * (pixels.nbytes + 2 * 12 * 2**18)
    finally:
        tracemalloc.stop()
