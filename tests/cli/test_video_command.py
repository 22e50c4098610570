"""``impasto video``: what it paints, prints, says and refuses."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from moving_pictures import pan, save_frames, window
from PIL import Image

Impasto = Callable[..., Any]
Process = Callable[..., subprocess.Popen[str]]
FEW = ("--next-iterations", "2")


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    scenes = [*pan(2, height=36, width=48), window("chelsea.jpg", 200, 120, 1, 36, 48)]
    return save_frames(scenes, tmp_path / "frames")


def test_a_video_is_painted(
    impasto: Impasto, pictures: Path, frames: Path, quick: tuple[str, ...]
) -> None:
    out = pictures / "out"
    arguments = ("video", frames, pictures / "painting.png", "-o", out, *quick, *FEW)
    done = impasto(*arguments)
    assert done.code == 0
    assert done.last_line == str(out)
    assert sorted(path.name for path in out.iterdir()) == [f"frame{n}.png" for n in (10, 8, 9)]
    with Image.open(out / "frame8.png") as frame:
        assert frame.size == (48, 36)
        assert frame.info["Software"].startswith("Impasto")
    assert "frame 2/3  frame9.png" in done.err
    assert "new scenes begin at frame 3" in done.err
    assert "Flicker" in done.messages[-1]
    again = impasto(*arguments)
    assert again.code == 2
    assert "exists" in again.messages[-1]
    told = json.loads(impasto(*arguments, "--overwrite", "--json").out)
    assert told["frames_done"] == 3
    assert told["cuts"] == [3]
    assert told["flicker"] > 0
    assert told["video"]["next_iterations"] == 2


def test_print_every_0_says_little(
    impasto: Impasto, pictures: Path, frames: Path, quick: tuple[str, ...]
) -> None:
    done = impasto(
        *("video", frames, pictures / "painting.png", "-o", pictures / "out"),
        *(*quick, *FEW, "--print-every", "0"),
    )
    assert done.code == 0
    assert "frame9.png" not in done.err


def test_ctrl_c_keeps_the_frames_done_and_the_command_goes_on(
    impasto: Impasto, impasto_process: Process, pictures: Path, frames: Path, quick: tuple[str, ...]
) -> None:
    out = pictures / "out"
    many = ("--iterations", "3", "--next-iterations", "100000")
    arguments = ("video", frames, pictures / "painting.png", "-o", out, *quick)
    process = impasto_process(*arguments, *many)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("frame 1/3"):
            process.send_signal(signal.SIGINT)
            break
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, (lines, rest)
    assert "stopped after 1 frames; the same command goes on" in rest
    assert [path.name for path in out.iterdir()] == ["frame8.png"]
    refused = impasto(*arguments, *FEW)
    assert refused.code == 2
    assert "next_iterations was 100000, is 2" in refused.messages[-1]
    state = pictures / "out.video" / "state.json"
    state.write_text(state.read_text().replace("100000", "2"))
    done = impasto(*arguments, *FEW)
    assert done.code == 0
    assert "resumed after 1 frames" in done.err
    assert len(list(out.iterdir())) == 3


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--next-init", "moved"), "Known: warped, previous, content"),
        (("--temporal-weight", "-1"), "--temporal-weight is -1.0; it takes a number from 0"),
        (("--start", "4"), "--start is 4"),
        (("--max-frames", "2"), "more than 2 frames"),
        (("--fps", "many"), "--fps"),
        (("--content-layers", "relu42"), "relu4_2"),
    ],
)
def test_what_cannot_be_done_is_refused(
    impasto: Impasto,
    pictures: Path,
    frames: Path,
    quick: tuple[str, ...],
    flags: tuple[str, ...],
    said: str,
) -> None:
    arguments = ("video", frames, pictures / "painting.png", "-o", pictures / "out")
    done = impasto(*arguments, *quick, *flags)
    assert done.code == 2
    assert said in done.messages[-1] + done.messages[0]
    assert not (pictures / "out").exists()
    assert not (pictures / "out.video").exists()


def test_a_video_file_becomes_a_video_file_that_can_be_gone_on_with(
    impasto: Impasto, pictures: Path, frames: Path, quick: tuple[str, ...]
) -> None:
    """Directory to mp4 to gif: sizes, times and the place to go on from."""
    painting, movie = pictures / "painting.png", pictures / "out.mp4"
    done = impasto("video", frames, painting, "-o", movie, *quick, *FEW, "--fps", "10")
    assert done.code == 0
    assert done.last_line == str(movie)
    assert not (pictures / "out.mp4.video").exists()
    again = impasto(
        *("video", movie, painting, "-o", pictures / "out.gif", *quick, *FEW),
        *("--start", "2", "--frames", "1", "--json"),
    )
    told = json.loads(again.out)
    assert [frame["number"] for frame in told["frames"]] == [2]
    assert told["size"] == [48, 36]
    with Image.open(pictures / "out.gif") as opened:
        assert opened.size == (48, 36)
    refused = impasto("video", movie, painting, "-o", pictures / "out.gif", *quick, *FEW)
    assert refused.code == 2
    assert "exists" in refused.messages[-1]
    words = impasto("video", pictures / "words.png", painting, "-o", pictures / "o", *quick)
    assert words.code == 2
