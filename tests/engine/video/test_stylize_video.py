"""Videos of frames in a directory: painted, resumed, cut into scenes, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from movie_files import write_movie_file
from moving_pictures import pan, save_frames, window
from pictures import EXAMPLES
from PIL import Image

from impasto import FrameStep, Options, VideoOptions, VideoResult, load_image, stylize_video
from impasto.engine.color_transfer import match_colors
from impasto.engine.images import fit
from impasto.engine.video.driver import state_directory
from impasto.engine.video.movie_reader import Movie
from impasto.errors import (
    CheckpointError,
    ImageFileError,
    OptionError,
    OutputPathError,
    UnknownNameError,
    VideoFileError,
)

PAINTING = EXAMPLES / "village_street.jpg"
QUICK = Options(
    size=64,
    iterations=6,
    backend="onnxruntime",
    content_layers=("relu2_1",),
    style_layers=("relu1_1", "relu2_1"),
    threads=1,
)
VIDEO = VideoOptions(next_iterations=4)

Bytes = npt.NDArray[np.uint8]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    return save_frames(pan(4, height=48, width=64), tmp_path / "frames")


def paint(frames: Path, output: Path, video: VideoOptions = VIDEO, **more: Any) -> VideoResult:
    options = replace(QUICK, **{k: v for k, v in more.items() if k in QUICK.to_dict()})
    others = {k: v for k, v in more.items() if k not in QUICK.to_dict()}
    return stylize_video(frames, [PAINTING], output, options, video, **others)


def pixels(directory: Path) -> dict[str, Bytes]:
    return {path.name: load_image(path) for path in sorted(directory.iterdir())}


def assert_same(found: dict[str, Bytes], expected: dict[str, Bytes]) -> None:
    assert found.keys() == expected.keys()
    for name, picture in expected.items():
        np.testing.assert_array_equal(found[name], picture, err_msg=name)


def stop_at(frame: int, iteration: int = 2) -> Callable[[FrameStep], bool]:
    return lambda step: (step.frame, step.iterate.iteration) != (frame, iteration)


def test_frames_keep_their_names_and_natural_order(frames: Path, tmp_path: Path) -> None:
    steps: list[FrameStep] = []
    result = paint(frames, tmp_path / "out", callback=steps.append)
    names = ["frame8.png", "frame9.png", "frame10.png", "frame11.png"]
    assert [report.name for report in result.frames] == names
    assert sorted(pixels(tmp_path / "out")) == sorted(names)
    assert [step.frame for step in steps] == [1] * 6 + [2] * 4 + [3] * 4 + [4] * 4
    assert {step.frames for step in steps} == {4}
    assert "temporal_loss" not in steps[0].iterate.losses
    assert steps[-1].iterate.losses["temporal_loss"] > 0
    assert steps[-1].iterate.loss == pytest.approx(sum(steps[-1].iterate.losses.values()), rel=1e-4)
    assert result.finished
    assert result.cuts == ()
    assert not state_directory(tmp_path / "out").exists()
    json.dumps(result.summary(), allow_nan=False)
    assert result.frames[0].flicker is None
    assert result.frames[1].content_flicker is not None


def test_flicker_is_far_below_that_of_independent_frames(frames: Path, tmp_path: Path) -> None:
    """From noise, where independent frames have nothing in common but content and style."""
    together = paint(frames, tmp_path / "together", init="noise", seed=1)
    alone = VideoOptions(next_iterations=6, next_init="content", temporal_weight=0)
    independent = paint(frames, tmp_path / "alone", alone, init="noise", seed=1)
    assert together.flicker is not None
    assert independent.flicker is not None
    assert together.flicker < 0.75 * independent.flicker


@pytest.mark.parametrize(("color", "tile"), [("content-luma", "whole"), ("style-match", "24")])
def test_a_stopped_run_goes_on_to_the_same_files(
    frames: Path, tmp_path: Path, color: str, tile: str
) -> None:
    more: dict[str, Any] = {"color": color, "tile": tile, "init": "noise"}
    stopped = paint(frames, tmp_path / "out", **more, callback=stop_at(3))
    assert not stopped.finished
    assert [report.number for report in stopped.frames] == [1, 2]
    assert sorted(pixels(tmp_path / "out")) == ["frame8.png", "frame9.png"]
    resumed = paint(frames, tmp_path / "out", **more)
    assert resumed.resumed_from == 2
    assert resumed.options.seed == stopped.options.seed  # drawn once
    whole = paint(frames, tmp_path / "whole", **more, seed=stopped.options.seed)
    assert_same(pixels(tmp_path / "out"), pixels(tmp_path / "whole"))
    assert resumed.frames == whole.frames
    assert not state_directory(tmp_path / "out").exists()


def test_a_run_killed_before_a_frame_was_noted_goes_on(frames: Path, tmp_path: Path) -> None:
    paint(frames, tmp_path / "out", callback=stop_at(3))
    (tmp_path / "out" / "frame10.png").write_bytes(b"half a pic")
    assert paint(frames, tmp_path / "out").finished
    paint(frames, tmp_path / "whole")
    assert_same(pixels(tmp_path / "out"), pixels(tmp_path / "whole"))


def test_nothing_is_kept_of_a_run_stopped_at_once(frames: Path, tmp_path: Path) -> None:
    assert paint(frames, tmp_path / "out", callback=lambda step: False).frames == ()
    assert paint(frames, tmp_path / "out").resumed_from == 0


def test_a_run_goes_on_only_with_the_same_settings(frames: Path, tmp_path: Path) -> None:
    paint(frames, tmp_path / "out", callback=stop_at(2))
    with pytest.raises(CheckpointError, match=r"style_weight was 1000\.0, is 7\.0"):
        paint(frames, tmp_path / "out", style_weight=7.0)
    with pytest.raises(CheckpointError, match="next_iterations was 4, is 5"):
        paint(frames, tmp_path / "out", replace(VIDEO, next_iterations=5))
    again = paint(frames, tmp_path / "out", style_weight=7.0, overwrite=True)
    assert again.resumed_from == 0
    assert again.finished


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"version": 1', '"version": 2'),
        ('"frames": [{', '"frames": [{"number": true, "name'),
        ('"number": 1', '"number": 7'),
        ('"time": null', '"time": "1/0"'),
        ('"lowering": "', '"lowering": "no'),
        ('"first": [', '"first": [{}, '),
        ("{", "["),
    ],
)
def test_a_damaged_state_is_refused(frames: Path, tmp_path: Path, old: str, new: str) -> None:
    paint(frames, tmp_path / "out", callback=stop_at(3))
    state = state_directory(tmp_path / "out") / "state.json"
    text = state.read_text()
    assert old in text
    state.write_text(text.replace(old, new, 1))
    with pytest.raises(CheckpointError):
        paint(frames, tmp_path / "out")


def test_a_damaged_carried_frame_is_refused(frames: Path, tmp_path: Path) -> None:
    paint(frames, tmp_path / "out", callback=stop_at(3))
    (carried,) = state_directory(tmp_path / "out").glob("carried-*.png")
    Image.new("RGB", (64, 47)).save(carried)
    with pytest.raises(CheckpointError, match="another size"):
        paint(frames, tmp_path / "out")
    carried.write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged"):
        paint(frames, tmp_path / "out")


def test_a_new_scene_is_begun_anew(tmp_path: Path) -> None:
    scenes = [*pan(2, height=48, width=64), window("chelsea.jpg", 200, 120, 1, 48, 64)]
    frames = save_frames(scenes, tmp_path / "frames")
    steps: list[FrameStep] = []
    result = paint(frames, tmp_path / "out", callback=steps.append)
    assert result.cuts == (3,)
    assert [step.frame for step in steps] == [1] * 6 + [2] * 4 + [3] * 6
    assert result.frames[2].flicker is None
    alone = save_frames(scenes[2:], tmp_path / "alone")
    paint(alone, tmp_path / "out-alone")
    np.testing.assert_array_equal(
        load_image(tmp_path / "out" / "frame10.png"),
        load_image(tmp_path / "out-alone" / "frame8.png"),
    )


def test_some_frames_of_a_video(frames: Path, tmp_path: Path) -> None:
    some = paint(frames, tmp_path / "out", replace(VIDEO, start=2, frames=2))
    assert [report.number for report in some.frames] == [2, 3]
    assert sorted(pixels(tmp_path / "out")) == ["frame10.png", "frame9.png"]


def test_every_start_of_a_next_frame(frames: Path, tmp_path: Path) -> None:
    """With nothing to gain, a frame stays what it began from."""
    still = {"content_weight": 0.0, "style_weight": 0.0, "tv_weight": 0.0}
    found = {}
    for init in ("warped", "previous", "content"):
        video = VideoOptions(next_iterations=1, next_init=init, temporal_weight=0, frames=2)
        paint(frames, tmp_path / init, video, **still)
        found[init] = load_image(tmp_path / init / "frame9.png").astype(float)
    first, second = (load_image(frames / f"frame{n}.png").astype(float) for n in (8, 9))
    np.testing.assert_array_equal(found["previous"], first)
    np.testing.assert_array_equal(found["content"], second)
    assert np.abs(found["warped"] - second).mean() < 0.5 * np.abs(first - second).mean()


def test_a_next_frame_begins_in_the_style_s_colours_if_the_first_does(
    frames: Path, tmp_path: Path
) -> None:
    """One evaluation and no step: a frame stays what it began from."""
    video = VideoOptions(next_iterations=1, next_init="content", temporal_weight=0, frames=2)
    paint(frames, tmp_path / "out", video, init="recolored", iterations=1)
    for name in ("frame8.png", "frame9.png"):
        style = fit(load_image(PAINTING), 64)
        expected = match_colors(load_image(frames / name), style)
        np.testing.assert_array_equal(load_image(tmp_path / "out" / name), expected)


def test_other_suffixes_are_saved_as_png(tmp_path: Path) -> None:
    frames = save_frames(pan(2, height=48, width=64), tmp_path / "frames", "f{}.ppm")
    result = paint(frames, tmp_path / "out")
    assert [report.name for report in result.frames] == ["f8.png", "f9.png"]
    (frames / "f8.bmp").write_bytes((frames / "f8.ppm").read_bytes())
    (frames / "f8.pgm").write_bytes((frames / "f8.ppm").read_bytes())
    with pytest.raises(OutputPathError, match=r"pgm and f8\.ppm would both be saved as f8\.png"):
        paint(frames, tmp_path / "other")


def test_what_cannot_be_done_is_refused(frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputPathError, match="directory of the frames"):
        paint(frames, frames)
    out.mkdir()
    (out / "frame9.png").write_bytes(b"mine")
    with pytest.raises(OutputPathError, match=r"frame9\.png exists"):
        paint(frames, out)
    assert (out / "frame9.png").read_bytes() == b"mine"
    with pytest.raises(OutputPathError, match=r"suffix '\.avi'"):
        paint(frames, tmp_path / "out.avi")
    with pytest.raises(OptionError, match=r"--start is 5, and .* has 4 frames"):
        paint(frames, out, VideoOptions(start=5))
    with pytest.raises(OptionError, match="more than 3 frames"):
        paint(frames, out, VideoOptions(max_frames=3))
    paint(frames, out, replace(VIDEO, max_frames=1, frames=1))
    with pytest.raises(ImageFileError, match="3,072 pixels; at most 3,071"):
        paint(frames, tmp_path / "other", max_pixels=3071)
    Image.new("RGB", (64, 47)).save(frames / "frame12.png")
    with pytest.raises(VideoFileError, match=r"64x48, but not frame12\.png \(64x47\)"):
        paint(frames, tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageFileError, match="no picture"):
        paint(tmp_path / "empty", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    style = save_frames([load_image(PAINTING)], tmp_path / "styles", "frame{}.png")
    Image.fromarray(load_image(PAINTING)).save(style / "frame9.png")
    (frames / "frame12.png").unlink()
    with pytest.raises(OutputPathError, match="one of the inputs"):
        stylize_video(frames, [style / "frame9.png"], style, QUICK, VIDEO, overwrite=True)
    assert state_directory(Path(".")).name == f"{Path.cwd().name}.video"
    for wrong in ({"fps": 0.0}, {"temporal_weight": float("nan")}, {"start": 0}, {"frames": 1.5}):
        with pytest.raises(OptionError, match="it takes"):
            VideoOptions(**wrong)
    with pytest.raises(UnknownNameError, match="warped, previous, content"):
        VideoOptions(next_init="moved")  # type: ignore[arg-type]


def test_a_stopped_movie_goes_on_and_is_encoded_once_all_is_done(
    frames: Path, tmp_path: Path
) -> None:
    movie = write_movie_file(tmp_path / "in.mp4", [load_image(p) for p in sorted(frames.iterdir())])
    stopped = paint(movie, tmp_path / "out.mp4", callback=stop_at(3))
    assert [report.name for report in stopped.frames] == ["000001.png", "000002.png"]
    assert not (tmp_path / "out.mp4").exists()
    resumed = paint(movie, tmp_path / "out.mp4")
    assert resumed.finished
    whole = paint(movie, tmp_path / "whole.mp4")
    assert resumed.frames == whole.frames
    assert [frame.time for frame in whole.frames] == ["0", "1/25", "2/25", "3/25"]
    found, expected = (
        [frame.picture for frame in Movie(tmp_path / name, VIDEO, 10**6).frames(1)]
        for name in ("out.mp4", "whole.mp4")
    )
    assert len(found) == len(expected) == 4
    np.testing.assert_array_equal(found, expected)
