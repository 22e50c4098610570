"""Animated GIF, WebP and PNG files, and which reader and writer a path stands for."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moving_pictures import pan, save_frames
from PIL import Image

from impasto.engine.images import load_image
from impasto.engine.video.animations import Animation, write_animation
from impasto.engine.video.frames import natural_key
from impasto.engine.video.opening import open_source, times_of
from impasto.engine.video.options import VideoOptions
from impasto.engine.video.report import FrameReport
from impasto.errors import ImageFileError, OptionError, UsageError, VideoFileError

ALL = VideoOptions()
MANY = 10**6


@pytest.mark.parametrize(("suffix", "close"), [(".gif", 12.0), (".webp", 6.0), (".apng", 0.0)])
def test_what_is_written_can_be_read_again(tmp_path: Path, suffix: str, close: float) -> None:
    frames = pan(4, height=47, width=63)
    folder = save_frames(frames, tmp_path / "frames")
    files = [folder / f"frame{number}.png" for number in range(8, 12)]
    times = [Fraction(3) + Fraction(time, 10) for time in (0, 1, 3, 4)]
    path = tmp_path / f"v{suffix}"
    write_animation(path, files, times, times[-1] + Fraction(2, 5))
    movie = open_source(path, ALL, MANY)
    found = list(movie.frames(1))
    assert [frame.time for frame in found] == [Fraction(time, 10) for time in (0, 1, 3, 4)]
    assert movie.end == Fraction(8, 10)
    for frame, expected in zip(found, frames, strict=True):
        assert np.abs(frame.picture.astype(int) - expected).mean() <= close
    assert [frame.number for frame in movie.frames(3)] == [3, 4]
    np.testing.assert_array_equal(next(movie.frames(3)).picture, found[2].picture)
    with Image.open(path) as opened:
        assert opened.info["loop"] == 0


def test_the_frames_of_a_gif_share_their_colours(tmp_path: Path) -> None:
    """What does not move does not flicker: an even area has one colour in all frames."""
    frames = [frame.copy() for frame in pan(5, height=48, width=64)]
    for frame in frames:
        frame[:10] = (201, 77, 33)
    folder = save_frames(frames, tmp_path / "frames")
    files = [folder / f"frame{number}.png" for number in range(8, 13)]
    times = [Fraction(time, 10) for time in range(5)]
    write_animation(tmp_path / "v.gif", files, times, Fraction(1, 2))
    tops = [frame.picture[:10] for frame in Animation(tmp_path / "v.gif", ALL, MANY).frames(1)]
    assert len(np.unique(np.concatenate(tops).reshape(-1, 3), axis=0)) == 1


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (8, 6), (255, 0, 0, 0))
    solid = Image.new("RGBA", (8, 6), (0, 0, 255, 255))
    clear.save(tmp_path / "v.apng", save_all=True, append_images=[solid], duration=40, blend=0)
    first, second = (frame.picture for frame in Animation(tmp_path / "v.apng", ALL, MANY).frames(1))
    assert (first == 255).all()
    assert (second == (0, 0, 255)).all()


def test_a_still_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    Image.fromarray(pan(1)[0]).save(tmp_path / "still.png")
    (frame,) = Animation(tmp_path / "still.png", ALL, MANY).frames(1)
    np.testing.assert_array_equal(frame.picture, load_image(tmp_path / "still.png"))


def test_refusals(tmp_path: Path) -> None:
    frames = [Image.fromarray(frame) for frame in pan(4, height=40, width=50)]
    path = tmp_path / "v.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    with pytest.raises(OptionError, match="more than 3 frames"):
        Animation(path, VideoOptions(max_frames=3), MANY)
    with pytest.raises(ImageFileError, match="2,000 pixels; at most 1,999"):
        Animation(path, ALL, 1999)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(UsageError):
        list(Animation(path, ALL, MANY).frames(1))
    frames[0].save(tmp_path / "photo.jpg")
    (tmp_path / "photo.jpg").rename(tmp_path / "photo.gif")
    with pytest.raises(VideoFileError, match="animated GIF, WebP or PNG"):
        Animation(tmp_path / "photo.gif", ALL, MANY)


def report(number: int, time: str | None) -> FrameReport:
    return FrameReport(number, "f.png", "finished", 1, 1.0, False, None, None, None, time)


@pytest.mark.parametrize(
    ("told", "end", "times", "ends"),
    [
        ([None, None], None, ["0", "1/10"], "1/5"),
        (["5", "6", "8"], "9", ["5", "6", "8"], "9"),
        (["5", "6", "8"], None, ["5", "6", "8"], "19/2"),
        (["5"], None, ["5"], "51/10"),
        (["5", "5"], "6", ["0", "1/10"], "1/5"),
    ],
)
def test_times_of_frames(
    told: list[str | None], end: str | None, times: list[str], ends: str
) -> None:
    reports = [report(index, time) for index, time in enumerate(told, 1)]
    found = times_of(reports, None if end is None else Fraction(end), 10.0)
    assert found == (list(map(Fraction, times)), Fraction(ends))


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=6, unique=True))
def test_natural_order_is_that_of_numbers(numbers: list[int]) -> None:
    names = [f"frame {number}.png" for number in numbers]
    assert sorted(names, key=natural_key) == [f"frame {number}.png" for number in sorted(numbers)]


@given(st.lists(st.text("aB19_ é٣", max_size=6), max_size=5))
def test_natural_order_is_one_of_any_names(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)
