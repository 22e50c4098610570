"""Optical flow and its trustworthiness, on motion that is known."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from moving_pictures import pan, window

from impasto.engine.video.flow import optical_flow
from impasto.engine.video.motion import disoccluded, motion_between, motion_boundaries

HEIGHT, WIDTH = 96, 128


def flow_of(height: int, width: int, x: float = 0, y: float = 0) -> npt.NDArray[np.float32]:
    return np.full((height, width, 2), (x, y), np.float32)


@pytest.mark.parametrize("step", [(0.0, 0.0), (3.0, 1.0), (-6.0, 2.0), (0.5, -0.25)])
def test_a_pan_has_the_flow_it_has(step: tuple[float, float]) -> None:
    before, frame = pan(2, step, HEIGHT, WIDTH)
    error = np.linalg.norm(optical_flow(frame, before) - np.array(step, np.float32), axis=-1)
    assert np.median(error) < 0.15
    motion = motion_between(before, frame)
    assert motion.share > 0.85
    assert not motion.is_cut


def test_a_zoom_has_the_flow_it_has() -> None:
    before, frame = (window("chelsea.jpg", 200, 120, zoom, 96, 128) for zoom in (1.0, 1.02))
    rows, columns = np.indices((96, 128), dtype=np.float32)
    expected = np.stack([columns - 63.5, rows - 47.5], -1) * (1 / 1.02 - 1) * -1
    error = np.linalg.norm(optical_flow(frame, before) + expected, axis=-1)
    assert np.median(error) < 0.25
    assert motion_between(before, frame).share > 0.85


def test_what_comes_into_view_is_not_visible_before() -> None:
    before, frame = pan(2, (12.0, 0.0), HEIGHT, WIDTH)
    motion = motion_between(before, frame)
    assert motion.visible[:, -13:].mean() < 0.15  # new on the right
    assert motion.visible[:, :-20].mean() > 0.9


@pytest.mark.parametrize("other", ["chelsea.jpg", "astronaut.jpg", "great_wave.jpg"])
def test_another_scene_is_a_cut(other: str) -> None:
    before = window("pagoda.jpg", 150, 120, 1.0, HEIGHT, WIDTH)
    assert motion_between(before, window(other, 150, 120, 1.0, HEIGHT, WIDTH)).is_cut


def test_disocclusion_is_where_there_and_back_misses() -> None:
    backward, forward = flow_of(20, 30, 2), flow_of(20, 30, -2)
    assert not disoccluded(backward, forward).any()
    # |w̃ + ŵ|² > 0.01 (|w̃|² + |ŵ|²) + 0.5: with ŵ = 2, w̃ = -2 + d, the limit is at d = 0.7455.
    assert not disoccluded(backward, flow_of(20, 30, -2 + 0.74)).any()
    assert disoccluded(backward, flow_of(20, 30, -2 + 0.75)).all()
    # w̃ is taken where ŵ leads to: columns from 13 on look at 15 and beyond.
    forward[:, 15:] = (5, 0)
    np.testing.assert_array_equal(disoccluded(backward, forward)[0], np.arange(30) >= 13)


def test_boundaries_are_where_the_flow_changes() -> None:
    backward = flow_of(20, 30)
    backward[:, 15:] = (1, 0)
    np.testing.assert_array_equal(motion_boundaries(backward)[0], np.isin(np.arange(30), (14, 15)))
    ramp = flow_of(20, 30)
    ramp[..., 1] = np.arange(20)[:, None] * 0.044  # 0.044² = 0.0019 < 0.002
    assert not motion_boundaries(ramp).any()
    ramp[..., 1] = np.arange(20)[:, None] * 0.046 - 0.4  # 0.0021 > 0.002, where ŵ is small
    assert motion_boundaries(ramp).any()


def test_opencv_keeps_its_threads_and_the_flow_does_not_depend_on_them() -> None:
    before, frame = pan(2, height=HEIGHT, width=WIDTH)
    threads = cv2.getNumThreads()
    found = []
    try:
        for count in (1, 3):
            cv2.setNumThreads(count)
            found.append(optical_flow(frame, before))
            assert cv2.getNumThreads() == count
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("size", [(1, 1), (15, 200), (16, 16), (17, 300), (300, 16)])
def test_frames_of_any_size(size: tuple[int, int]) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (2, *size, 3), np.uint8)
    motion = motion_between(*frames)
    assert motion.backward.shape == (*size, 2)
    assert np.isfinite(motion.backward).all()
    still = motion_between(frames[0], frames[0])
    assert still.share > 0.9
