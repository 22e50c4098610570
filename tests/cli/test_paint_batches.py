"""`impasto paint --out-dir`: many pictures, what is told of them, and stopping in between."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.engine.images import load_image

Impasto = Callable[..., Any]


@pytest.fixture
def photos(pictures: Path) -> Path:
    """A folder with two photos, and a file between them that is none."""
    folder = pictures / "photos"
    folder.mkdir()
    shutil.copy(pictures / "photo.png", folder / "a.png")
    shutil.copy(pictures / "words.png", folder / "b.png")
    with Image.open(pictures / "photo.png") as image:
        image.transpose(Image.Transpose.ROTATE_90).save(folder / "c.jpg")
    return folder


def test_a_failed_picture_does_not_stop_the_rest(
    impasto: Impasto, photos: Path, pictures: Path, quick: tuple[str, ...]
) -> None:
    out = pictures / "out"
    job = ("paint", photos, pictures / "painting.png", "--out-dir", out)
    result = impasto(*job, *quick)
    assert result.code == 3
    assert result.out == f"{out / 'a.png'}\n{out / 'c.png'}\n"
    assert {path.name for path in out.iterdir()} == {"a.png", "c.png"}
    assert any("b.png was not painted: " in line for line in result.messages)
    assert "impasto: picture 3 of 3: " in result.err
    assert result.messages[-2].startswith("impasto: 2 painted, 1 failed of 3 pictures in ")
    assert result.messages[-1].startswith("impasto: failed: b.png: ")
    # As each is painted alone.
    alone = pictures / "alone.png"
    assert impasto("paint", photos / "c.jpg", *job[2:3], "-o", alone, *quick).code == 0
    np.testing.assert_array_equal(load_image(out / "c.png"), load_image(alone))
    # And again: nothing is done twice.
    (photos / "b.png").unlink()
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = impasto(*job, *quick, "--skip-existing")
    assert (again.code, again.out) == (0, "")
    assert "0 painted, 2 skipped of 2 pictures" in again.err
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times


def test_json_is_an_object_a_line_and_a_summary(
    impasto: Impasto, photos: Path, pictures: Path, quick: tuple[str, ...]
) -> None:
    out = pictures / "out"
    out.mkdir()
    (out / "a-painting.webp").write_bytes(b"from before")
    result = impasto(
        *("paint", str(photos / "*"), pictures / "painting.png", "--out-dir", out, *quick),
        *("--json", "--name", "{content}-{style}.webp", "--skip-existing", "--print-every", "0"),
    )
    assert result.code == 3
    first, second, third, last = map(json.loads, result.out.splitlines())
    assert [each["number"] for each in (first, second, third)] == [1, 2, 3]
    assert [each["outcome"] for each in (first, second, third)] == ["skipped", "failed", "painted"]
    assert first["output"] == str(out / "a-painting.webp")
    assert "is not a picture" in second["reason"]
    assert (third["content"], third["of"]) == (str(photos / "c.jpg"), 3)
    assert third["styles"] == [str(pictures / "painting.png")]
    assert third["options"]["iterations"] == 3
    assert third["size"] == [36, 48]
    summary = last["summary"]
    counts = {"painted": 1, "skipped": 1, "failed": 1, "unfinished": 0, "left": 0}
    assert {name: summary[name] for name in counts} == counts
    assert summary["failures"][0]["output"] == str(out / "b-painting.webp")
    assert "picture 1 of" not in result.err


def test_photos_one_by_one_with_each_style(
    impasto: Impasto, photos: Path, pictures: Path, quick: tuple[str, ...]
) -> None:
    out = pictures / "new" / "out"
    result = impasto(
        *("paint", photos / "a.png", photos / "c.jpg", "--style", pictures / "painting.png"),
        *("--style", pictures / "other.jpg", "--each-style", "--out-dir", out, *quick),
    )
    assert result.code == 0
    names = ["a-painting", "a-other", "c-painting", "c-other"]
    assert [Path(line).stem for line in result.out.splitlines()] == names
    one = pictures / "one.png"
    flagged = impasto(
        *("paint", photos / "a.png", "--style", pictures / "other.jpg", "-o", one, *quick)
    )
    assert flagged.code == 0
    np.testing.assert_array_equal(load_image(one), load_image(out / "a-other.png"))


def test_fail_fast(impasto: Impasto, photos: Path, pictures: Path, quick: tuple[str, ...]) -> None:
    job = ("paint", photos, pictures / "painting.png", "--out-dir", pictures / "out")
    result = impasto(*job, *quick, "--fail-fast")
    assert result.code == 3
    assert {path.name for path in (pictures / "out").iterdir()} == {"a.png"}
    assert "1 painted, 1 failed, 1 left of 3 pictures" in result.err
    assert "--skip-existing goes on" in result.messages[-1]


@pytest.mark.parametrize("checkpoint", [False, True], ids=["short", "with a checkpoint"])
def test_ctrl_c_ends_the_batch_and_the_next_goes_on(
    checkpoint: bool,
    impasto: Impasto,
    impasto_process: Callable[..., Any],
    photos: Path,
    pictures: Path,
    quick: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (photos / "b.png").unlink()
    out = pictures / "out"
    job = ("paint", photos, pictures / "painting.png", "--out-dir", out, *quick, "--json")
    endless = ("--backend", "onnxruntime", "--iterations", "400", "--print-every", "1")
    if checkpoint:
        job = (*job, "--tile", "16")
    process = impasto_process(*job, *endless, *(("--size", "1040") if checkpoint else ()))
    for line in process.stderr:
        if line.startswith("iteration "):
            break
    process.send_signal(signal.SIGINT)
    printed, messages = process.communicate()
    assert process.returncode == 130
    line, last = map(json.loads, printed.splitlines())
    assert (line["outcome"], line["status"]) == ("unfinished", "cancelled")
    assert Path(line["output"]) == out / "a.unfinished.png"
    assert load_image(out / "a.unfinished.png").shape[2] == 3
    assert (last["summary"]["unfinished"], last["summary"]["left"]) == (1, 1)
    assert "--skip-existing goes on" in messages
    assert not (out / "a.png").exists()
    assert (out / "a.png.checkpoint").exists() == checkpoint
    if checkpoint:
        other = impasto(*job, *endless, "--size", "1041", "--skip-existing", "--fail-fast")
        assert other.code == 3
        assert "differs in --size" in other.err
        return
    again = impasto(*job, "--skip-existing")
    assert again.code == 0
    assert {path.name for path in out.iterdir()} == {"a.png", "c.png"}


def test_a_batch_resumes_the_checkpoint_of_a_picture(
    impasto: Impasto, photos: Path, pictures: Path, quick: tuple[str, ...]
) -> None:
    """A checkpoint as a killed batch leaves it, made by the command for one picture."""
    (photos / "b.png").unlink()
    out = pictures / "out"
    out.mkdir()
    style = pictures / "painting.png"
    exact = (*quick, "--backend", "onnxruntime", "--iterations", "6")
    kept = out / "a.png.checkpoint"
    stop_at_three(photos / "a.png", style, kept)
    result = impasto(
        *("paint", photos, style, "--out-dir", out, "--skip-existing", *exact, "--json")
    )
    assert result.code == 0
    first, second, _ = map(json.loads, result.out.splitlines())
    assert first["resumed_from"] == 3
    assert "resumed_from" not in second
    assert {path.name for path in out.iterdir()} == {"a.png", "c.png"}
    alone = pictures / "alone.png"
    assert impasto("paint", photos / "a.png", style, "-o", alone, *exact).code == 0
    np.testing.assert_array_equal(load_image(out / "a.png"), load_image(alone))


def stop_at_three(content: Path, style: Path, checkpoint: Path) -> None:
    from impasto import Options, stylize

    options = Options(
        size=48,
        iterations=6,
        content_layers=("relu2_1",),
        style_layers=("relu1_1", "relu2_1"),
        threads=1,
        backend="onnxruntime",
    )
    stylize(
        content,
        [style],
        options,
        callback=lambda step: step.iteration < 3,
        checkpoint=checkpoint,
    )


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "both outputs": (("-o", "{at}/o.png"), "-o is for one picture"),
    "a file as content": ((), "PHOTO... --style PAINTING"),
    "both ways with existing": (("--skip-existing", "--overwrite"), "contradict"),
    "a checkpoint for all": (("--checkpoint", "{at}/c"), "auto or off"),
    "a name that is a path": (("--name", "../{{content}}.png"), "has no directories"),
    "a name of unknown fields": (("--name", "{{content.x}}.png"), "no field {content.x}"),
    "a name without a suffix": (("--name", "{{content}}"), "does not end in"),
    "too long for WebP": (("--name", "{{content}}.webp", "--size", "20000"), "16383 pixels"),
    "milestones that are pictures": (("--save-every", "2"), "--save-every, a_2.png"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_is_done(
    case: str,
    impasto: Impasto,
    pictures: Path,
    photos: Path,
    files: Callable[[Path], Mapping[Path, bytes]],
) -> None:
    flags, message = REFUSED[case]
    (photos / "b.png").rename(photos / "a_2.png")
    content = photos / "a.png" if case == "a file as content" else photos
    before = files(pictures)
    result = impasto(
        *("paint", content, pictures / "painting.png", "--out-dir", pictures / "out"),
        *(each.format(at=pictures) for each in flags),
    )
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert len(result.messages) == 1
    assert files(pictures) == before


@pytest.mark.parametrize(
    "flag", [("--name", "x.png"), ("--each-style",), ("--skip-existing",), ("--fail-fast",)]
)
def test_flags_of_batches_need_a_batch(
    flag: tuple[str, ...], impasto: Impasto, pictures: Path
) -> None:
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "o.png")
    result = impasto(*job, *flag)
    assert result.code == 2
    assert f"{flag[0]} is for many pictures" in result.err
