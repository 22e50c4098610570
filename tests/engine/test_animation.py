"""Animations: which steps are shown, and files that other programs read."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from impasto.engine.animation import (
    ANIMATION_SUFFIXES,
    Animation,
    check_animation_path,
    frame_iterations,
)
from impasto.engine.options import Options
from impasto.engine.stylize import stylize
from impasto.errors import ImpastoError, OptionError, OutputPathError

STILL = [suffix for suffix in ANIMATION_SUFFIXES if suffix != ".mp4"]


def ramp(level: int, height: int = 30, width: int = 44) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a picture that is told from others by its brightness."""
    pixels = np.full((height, width, 3), level, np.uint8)
    pixels[:, : width // 2] = (level, level // 2, 0)
    return pixels


def film(path: Path, **settings: Any) -> Animation:
    animation = Animation(path, **settings)
    for level in (40, 80, 120):
        animation.add(ramp(level))
    animation.write(ramp(200))
    return animation


@given(iterations=st.integers(1, 10**9), frames=st.integers(2, 200))
def test_first_and_last_are_shown_and_no_more_than_asked(iterations: int, frames: int) -> None:
    chosen = sorted(frame_iterations(iterations, frames))
    assert (chosen[0], chosen[-1]) == (1, iterations)
    assert len(chosen) == min(frames, iterations)


def test_early_steps_are_shown_more_often() -> None:
    chosen = sorted(frame_iterations(1000, 80))
    gaps = np.diff(chosen)
    assert chosen[:10] == list(range(1, 11))
    assert np.all(np.diff(gaps) >= -1)
    assert gaps[-1] > 20


@pytest.mark.parametrize("suffix", STILL)
def test_pillow_reads_every_frame(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"film{suffix}"
    film(path)
    with Image.open(path) as image:
        opened: Any = image
        assert (opened.n_frames, image.size, image.info["loop"]) == (4, (44, 30), 0)
        durations, levels = [], []
        for number in range(4):
            image.seek(number)
            image.load()  # WebP tells durations only then
            durations.append(image.info["duration"])
            levels.append(np.asarray(image.convert("RGB"))[5, 30].mean())
    assert durations == [80, 80, 80, 2000]
    assert levels == pytest.approx([40, 80, 120, 200], abs=4)


def test_av_reads_the_film_and_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    animation = Animation(path)
    odd = ramp(0, 31, 45)
    odd[:] = (200, 60, 40)
    animation.add(odd)
    animation.write(odd)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context: Any = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.width, context.height) == (44, 30)
        assert context.colorspace == 1
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 2 + 50
    assert frames[10][15, 20] == pytest.approx([200, 60, 40], abs=6)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # begins before all of it is there


def test_frames_of_growing_scales_become_one_size(tmp_path: Path) -> None:
    path = tmp_path / "film.webp"
    animation = Animation(path, size=64)
    for side in (20, 40, 80, 160):
        animation.add(ramp(100, side, 2 * side))
    animation.write(ramp(100, 160, 320))
    with Image.open(path) as image:
        assert image.size == (64, 32)
        assert image.n_frames >= 1  # type: ignore[attr-defined]


def test_a_small_picture_is_not_enlarged(tmp_path: Path) -> None:
    film(tmp_path / "film.gif", size=2000)
    with Image.open(tmp_path / "film.gif") as image:
        assert image.size == (44, 30)


def test_what_stands_still_in_a_gif_keeps_its_colours(tmp_path: Path) -> None:
    """With a palette for each frame, or dither that differs, it would flicker."""
    rng = np.random.default_rng(4)
    still = np.linspace(0, 255, 20 * 40 * 3).reshape(20, 40, 3).astype(np.uint8)
    animation = Animation(tmp_path / "film.gif")
    for _ in range(3):
        animation.add(np.concatenate([still, rng.integers(0, 256, (20, 40, 3), np.uint8)]))
    animation.write(np.concatenate([still, rng.integers(0, 256, (20, 40, 3), np.uint8)]))
    tops = []
    with Image.open(tmp_path / "film.gif") as image:
        for number in range(4):
            image.seek(number)
            tops.append(np.asarray(image.convert("RGB"))[:20])
    assert all(np.array_equal(tops[0], top) for top in tops)
    assert np.abs(tops[0].astype(int) - still).mean() < 12


def test_a_real_run_animated(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    photo, style = (rng.integers(0, 256, (32, 48, 3), np.uint8) for _ in range(2))
    animation = Animation(tmp_path / "film.png")
    options = Options(size=48, iterations=3, content_layers=("relu1_1",), style_layers=("relu1_1",))
    result = stylize(photo, [style], options, callback=animation)
    animation.write(result.image)
    with Image.open(tmp_path / "film.png") as image:
        shown = []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            shown.append(np.asarray(image.convert("RGB")))
    assert np.array_equal(shown[-1], result.image)
    assert not np.array_equal(shown[0], shown[-1])


@pytest.mark.parametrize("name", ["film.avi", "film", "film.jpg"])
def test_other_formats_are_refused(name: str) -> None:
    with pytest.raises(OutputPathError, match=r"is none of \.gif \.webp"):
        check_animation_path(name)


def test_a_film_without_pyav_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "av" else plain(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(OutputPathError, match=r"pip install 'impasto\[video\]'"):
        Animation("film.mp4")


@pytest.mark.parametrize("settings", [{"size": 15}, {"size": 4000}, {"frames": 1}])
def test_numbers_out_of_range_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="of an animation is"):
        Animation("film.gif", **settings)


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
def test_it_is_written_whole_or_not_at_all(suffix: str, tmp_path: Path) -> None:
    animation = Animation(tmp_path / "gone" / f"film{suffix}")
    with pytest.raises(ImpastoError, match="could not be written"):
        animation.write(ramp(3))
    assert not list(tmp_path.iterdir())
