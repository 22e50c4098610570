"""Video files: read as they are meant to look, written so that others see the same, and bounded."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from movie_files import CLOCKWISE, patches, write_movie_file
from moving_pictures import pan, save_frames
from PIL import Image

from impasto.engine.video.movie_reader import Movie
from impasto.engine.video.movie_writer import write_movie
from impasto.engine.video.options import VideoOptions
from impasto.errors import OptionError, VideoFileError

ALL = VideoOptions()
MANY = 10**6

Bytes = npt.NDArray[np.uint8]


def pictures(path: Path, first: int = 1, video: VideoOptions = ALL) -> list[Bytes]:
    return [frame.picture for frame in Movie(path, video, MANY).frames(first)]


def worst(found: Bytes, expected: Bytes) -> int:
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected).max())


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 5])
def test_matrix_and_range_are_those_the_file_says(
    tmp_path: Path, matrix: int, full_range: bool
) -> None:
    path = write_movie_file(tmp_path / "v.mp4", [patches()], matrix=matrix, full_range=full_range)
    (found,) = pictures(path)
    assert worst(found, patches()) <= 3


def test_what_a_file_does_not_say_goes_by_its_height(tmp_path: Path) -> None:
    small = write_movie_file(tmp_path / "s.mp4", [patches()], matrix=5, tagged=False)
    assert worst(pictures(small)[0], patches()) <= 3
    large = patches(720, 320)
    path = write_movie_file(tmp_path / "l.mp4", [large], matrix=1, tagged=False)
    assert worst(pictures(path)[0], large) <= 3


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    frame = pan(1, height=48, width=64)[0]
    path = write_movie_file(tmp_path / "v.mp4", [frame], display_matrix=CLOCKWISE)
    (found,) = pictures(path)
    assert worst(found, np.rot90(frame, -1)) <= 6


def test_pixels_become_square(tmp_path: Path) -> None:
    path = write_movie_file(tmp_path / "v.mp4", [patches()], pixel_shape=Fraction(3, 2))
    (found,) = pictures(path)
    assert found.shape == (48, 96, 3)


def test_frames_come_in_order_with_their_times(tmp_path: Path) -> None:
    frames = pan(6, height=48, width=64)
    uneven = [0, 1, 4, 5, 9, 10]
    path = write_movie_file(tmp_path / "v.mp4", frames, times=uneven)
    movie = Movie(path, ALL, MANY)
    assert movie.count == 6
    found = list(movie.frames(1))
    assert [frame.number for frame in found] == [1, 2, 3, 4, 5, 6]
    start = found[0].time
    assert start is not None
    assert [frame.time - start for frame in found if frame.time is not None] == [
        Fraction(time, 25) for time in uneven
    ]
    for frame, expected in zip(found, frames, strict=True):
        assert worst(frame.picture, expected) <= 6
    assert [frame.number for frame in movie.frames(5)] == [5, 6]
    np.testing.assert_array_equal(next(movie.frames(5)).picture, found[4].picture)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_what_is_written_can_be_read_again(tmp_path: Path, suffix: str) -> None:
    """Sides of odd length get one more row or column, the last one again."""
    frames = pan(5, height=47, width=63)
    folder = save_frames(frames, tmp_path / "frames")
    files = [folder / f"frame{number}.png" for number in range(8, 13)]
    times = [Fraction(10) + Fraction(time, 24) for time in (0, 1, 2, 5, 6)]
    path = tmp_path / f"v{suffix}"
    write_movie(path, files, times, times[-1] + Fraction(1, 24), None, "made by a test")
    found = list(Movie(path, ALL, MANY).frames(1))
    first = found[0].time
    assert first is not None
    for frame, time in zip(found, times, strict=True):
        assert frame.time is not None
        assert (
            abs(float((frame.time - first) - (time - times[0]))) < 0.002
        )  # Matroska's milliseconds
    for frame, expected in zip(found, frames, strict=True):
        assert frame.picture.shape == (48, 64, 3)
        assert np.abs(frame.picture[:47, :63].astype(int) - expected).mean() < 8  # 4:2:0, lossy
    with av.open(str(path)) as opened:
        stream: Any = opened.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.codec_context.colorspace == 1
        assert stream.codec_context.color_range == 1
        assert "made by a test" in opened.metadata.values()


def test_colours_survive_being_written(tmp_path: Path) -> None:
    Image.fromarray(patches()).save(tmp_path / "f.png")
    write_movie(tmp_path / "v.mp4", [tmp_path / "f.png"], [Fraction(0)], Fraction(1), None, "")
    (found,) = pictures(tmp_path / "v.mp4")
    middles = [6, 19, 32, 44, 57]  # away from the edges, where 4:2:0 blurs colour
    assert worst(found[10:38, middles], patches()[10:38, middles]) <= 6


def packets_of(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as opened:
        stream = opened.streams.audio[0]
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in opened.demux(stream)
            if packet.size and packet.pts is not None and packet.time_base is not None
        ]


def test_sound_is_copied_for_the_frames_there_are(tmp_path: Path) -> None:
    frames = pan(25, height=48, width=64)
    source = write_movie_file(tmp_path / "source.mp4", frames, sound=1.0)
    whole = packets_of(source)
    Image.fromarray(frames[0]).save(tmp_path / "f.png")
    files = [tmp_path / "f.png"] * 10
    times = [Fraction(index, 25) for index in range(10, 20)]
    write_movie(tmp_path / "v.mp4", files, times, Fraction(20, 25), source, "")
    copied = packets_of(tmp_path / "v.mp4")
    inside = [(time, data) for time, data in whole if 0.4 <= time < 0.8]
    assert len(inside) >= 2
    assert [data for _, data in copied] == [data for _, data in inside]
    for (time, _), (before, _) in zip(copied, inside, strict=True):
        assert time == pytest.approx(before - 0.4, abs=0.001)


def test_sound_that_does_not_fit_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = pan(3, height=48, width=64)
    source = write_movie_file(tmp_path / "source.mp4", frames, sound=0.2)
    Image.fromarray(frames[0]).save(tmp_path / "f.png")
    with caplog.at_level(logging.WARNING):
        write_movie(
            tmp_path / "v.webm", [tmp_path / "f.png"], [Fraction(0)], Fraction(1), source, ""
        )
    assert "does not fit into this container" in caplog.text
    with av.open(str(tmp_path / "v.webm")) as opened:
        assert not opened.streams.audio


# -- refusals ------------------------------------------------------------------------------------


def test_too_many_and_too_large_frames_are_refused(tmp_path: Path) -> None:
    path = write_movie_file(tmp_path / "v.mp4", pan(5, height=48, width=64))
    with pytest.raises(OptionError, match="more than 4 frames"):
        Movie(path, VideoOptions(max_frames=4), MANY)
    assert Movie(path, VideoOptions(max_frames=4, frames=3, start=2), MANY).count == 4
    with pytest.raises(OptionError, match="--start is 6"):
        Movie(path, VideoOptions(start=6), MANY)
    with pytest.raises(VideoFileError, match="64x48, 3,072 pixels; at most 3,071"):
        Movie(path, ALL, 3071)


def test_frames_that_change_their_size_are_refused(tmp_path: Path) -> None:
    """Two VP9 streams in one: what the second holds is larger than the head says."""
    for size, name in ((48, "a"), (96, "b")):
        frames = pan(3, height=size, width=size)
        write_movie_file(tmp_path / f"{name}.mkv", frames, codec="libvpx-vp9")
    with (
        av.open(str(tmp_path / "mixed.mkv"), "w") as output,
        av.open(str(tmp_path / "a.mkv")) as first,
        av.open(str(tmp_path / "b.mkv")) as second,
    ):
        stream = output.add_stream_from_template(first.streams.video[0])
        for source, shift in ((first, 0), (second, 1000)):
            for packet in source.demux(source.streams.video[0]):
                if packet.size and packet.pts is not None and packet.dts is not None:
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = stream
                    output.mux(packet)
    with pytest.raises(VideoFileError, match="frame 4 is 96x96 and the first 48x48"):
        pictures(tmp_path / "mixed.mkv")
    small = Movie(tmp_path / "mixed.mkv", ALL, 50 * 50)
    with pytest.raises(VideoFileError, match="cannot be read"):  # before there is room for them
        list(small.frames(1))


def test_playlists_and_other_files_are_not_followed(tmp_path: Path) -> None:
    """FFmpeg would read the file or address that they name."""
    video = write_movie_file(tmp_path / "v.mp4", pan(2, height=48, width=64))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:{video}\n#EXT-X-ENDLIST\n"
    for name, text in (
        ("list.mp4", playlist),
        ("concat.mp4", f"ffconcat version 1.0\nfile {video}\n"),
        ("words.mp4", "no video at all"),
        ("empty.mp4", ""),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(VideoFileError, match=r"cannot be read as a video|no video"):
            Movie(tmp_path / name, ALL, MANY)
    with pytest.raises(VideoFileError, match="no such file"):
        Movie(tmp_path / "absent.mp4", ALL, MANY)


def test_a_file_cut_short_gives_the_frames_there_are_or_says_so(tmp_path: Path) -> None:
    path = write_movie_file(tmp_path / "v.mkv", pan(6, height=96, width=128))
    data = path.read_bytes()
    path.write_bytes(data[: 9 * len(data) // 10])
    assert 0 < len(pictures(path)) < 6
    path.write_bytes(data[:40])
    with pytest.raises(VideoFileError):
        Movie(path, ALL, MANY)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    source = write_movie_file(tmp_path / "v.mp4", pan(2, height=48, width=64), sound=0.2)
    with av.open(str(source)) as opened, av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = output.add_stream_from_template(opened.streams.audio[0])
        for packet in opened.demux(opened.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    with pytest.raises(VideoFileError, match="no video in it"):
        Movie(tmp_path / "a.mp4", ALL, MANY)
