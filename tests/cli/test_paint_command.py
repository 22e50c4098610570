"""`impasto paint` on small pictures: the file, the two output streams, and the flags."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.engine.images import fit, load_image
from impasto.engine.options import Options
from impasto.engine.result import Iterate

Impasto = Callable[..., Any]
SECONDS = ["load", "compile", "targets", "optimize", "total"]


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_paints_a_picture_of_the_asked_size(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    out = pictures / "out.png"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out)
    result = impasto(*job, *quick, "--optimizer", "adam")
    assert result.code == 0
    assert result.out == f"{out}\n"
    photo = fit(load_image(pictures / "photo.png"), 48)
    assert pixels(out).shape == photo.shape == (36, 48, 3)
    # Three steps of Adam move most pixels by about 10 each.
    assert np.abs(pixels(out).astype(int) - photo).mean() > 5


def test_progress_lines_when_standard_error_is_no_terminal(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    result = impasto(*job, *quick, "--iterations", "5", "--print-every", "2")
    lines = [line for line in result.err.splitlines() if not line.startswith("impasto: ")]
    pattern = (
        r"iteration (\d+)/5  loss [\d.e+]+  [\d.]+ s  [\d.]+ (it/s|s/it)"
        r"  content [\d.e+-]+  style [\d.e+-]+  tv [\d.e+-]+(  \d+ s left)?"
    )
    matches = [re.fullmatch(pattern, line) for line in lines]
    assert [match[1] for match in matches if match] == ["2", "4", "5"]
    assert all(matches)


def test_print_every_0_shows_no_progress(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    result = impasto(*job, *quick, "--print-every", "0")
    assert result.code == 0
    assert "iteration " not in result.err


def test_json_is_one_object_and_nothing_else(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    out = pictures / "out.jpg"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out)
    result = impasto(*job, *quick, "--json", "--seed", "7")
    assert result.code == 0
    report = json.loads(result.out)
    assert result.out.count("\n") == 1
    assert {
        *("output", "model", "backend", "precision", "size", "status", "iterations"),
        *("evaluations", "loss", "losses", "seconds", "peak_rss_bytes", "options"),
        *("execution", "scales", "warnings"),
    } == set(report)
    assert report["execution"]["mode"] == "whole"
    assert (report["execution"]["parts"], report["execution"]["part_size"]) == (1, None)
    assert report["scales"] == [[48, 36]]
    assert report["output"] == str(out)
    assert report["model"] == "vgg19"
    assert report["backend"] in ("onnxruntime", "openvino", "cuda")
    assert report["precision"] in ("f32", "bf16")
    assert report["size"] == [48, 36]
    assert report["status"] == "finished"
    assert report["iterations"] == 3
    assert report["evaluations"] >= 3
    assert sum(report["losses"].values()) == pytest.approx(report["loss"], rel=1e-3)
    assert set(report["losses"]) == {
        *("content_loss.relu2_1", "style_loss.relu1_1", "style_loss.relu2_1", "tv_loss")
    }
    assert list(report["seconds"]) == SECONDS
    assert report["peak_rss_bytes"] > 10_000_000
    assert set(report["options"]) == set(Options().to_dict())
    assert report["options"]["seed"] == 7
    assert report["options"]["style_layers"] == ["relu1_1", "relu2_1"]


def test_aliases_of_the_reference(impasto: Impasto, pictures: Path) -> None:
    out = pictures / "out.png"
    result = impasto(
        *("paint", pictures / "photo.png", pictures / "painting.png", "--output-image", out),
        *("--content-layers", "relu2_1", "--style-layers", "relu1_1", "--image-size", "48"),
        *("--num-iterations", "2", "--init-image", "noise", "--seed", "1", "--print-iter", "1"),
        *("--save-iter", "1", "--lbfgs-num-correction", "5", "--gpu", "0", "--json"),
    )
    assert result.code == 0
    options = json.loads(result.out)["options"]
    assert {key: options[key] for key in ("size", "iterations", "init", "history")} == {
        "size": 48,
        "iterations": 2,
        "init": "noise",
        "history": 5,
    }
    assert (options["save_every"], options["print_every"]) == (1, 1)


def test_a_preset_with_flags_on_top(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    result = impasto(*job, "--preset", "neural-style", *quick, "--history", "7", "--json")
    assert result.code == 0
    options = json.loads(result.out)["options"]
    assert (options["init"], options["optimizer"]) == ("noise", "lbfgs-numpy")
    assert (options["pool_rounding"], options["history"]) == ("reference", 7)
    assert options["iterations"] == 3
    assert options["seed"] >= 0
    assert f"seed {options['seed']}." in result.err


def test_the_same_seed_gives_the_same_picture(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    for name in ("one.png", "two.png"):
        job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / name)
        assert impasto(*job, *quick, "--init", "noise", "--seed", "3").code == 0
    assert np.array_equal(pixels(pictures / "one.png"), pixels(pictures / "two.png"))


def test_a_directory_stands_for_its_pictures(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    styles = {
        "folder.png": (pictures / "paintings",),
        "files.png": (pictures / "paintings" / "first.png", pictures / "paintings" / "second.png"),
    }
    for name, given in styles.items():
        result = impasto("paint", pictures / "photo.png", *given, "-o", pictures / name, *quick)
        assert result.code == 0
    assert np.array_equal(pixels(pictures / "folder.png"), pixels(pictures / "files.png"))


def test_save_every_keeps_pictures_on_the_way(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "mid.png")
    flags = ("--iterations", "4", "--save-every", "2", "--optimizer", "adam")
    assert impasto(*job, *quick, *flags).code == 0
    assert {path.name for path in pictures.glob("mid*")} == {"mid.png", "mid_2.png"}
    assert pixels(pictures / "mid_2.png").shape == (36, 48, 3)
    assert not np.array_equal(pixels(pictures / "mid_2.png"), pixels(pictures / "mid.png"))


def test_original_colors_keeps_the_photo_s_hues(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    Image.new("RGB", (48, 36), (120, 120, 120)).save(pictures / "grey.png")
    job = ("paint", pictures / "grey.png", pictures / "painting.png", "-o", pictures / "out.png")
    assert impasto(*job, *quick, "--original-colors").code == 0
    painted = pixels(pictures / "out.png").astype(int)
    assert np.abs(painted - painted[..., :1]).max() <= 2


def test_overwrite_replaces_a_file(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    before = (pictures / "old.png").read_bytes()
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "old.png")
    assert impasto(*job, *quick, "--overwrite").code == 0
    assert (pictures / "old.png").read_bytes() != before


def test_the_picture_says_how_it_was_made_but_not_where(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    out = pictures / "out.png"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out)
    assert impasto(*job, *quick, "--init", pictures / "other.jpg").code == 0
    with Image.open(out) as image:
        options = json.loads(image.info["Impasto"])["options"]
    assert (options["iterations"], options["init"]) == (3, "other.jpg")
    assert str(pictures).encode() not in out.read_bytes()


def test_a_closed_standard_error_does_not_cost_the_picture(
    impasto_process: Callable[..., Any], pictures: Path, quick: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    process = impasto_process(*job, *quick, "--print-every", "1", stderr=writing)
    os.close(writing)
    out, _ = process.communicate()
    assert (process.returncode, out) == (0, f"{pictures / 'out.png'}\n")
    assert (pictures / "out.png").exists()


def test_a_terminal_gets_a_bar(
    impasto_process: Callable[..., Any], pictures: Path, quick: tuple[str, ...]
) -> None:
    terminal, writing = os.openpty()
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    process = impasto_process(*job, *quick, stderr=writing)
    os.close(writing)
    shown = _read_all(terminal).decode(errors="replace")
    out, _ = process.communicate()
    assert (process.returncode, out) == (0, f"{pictures / 'out.png'}\n")
    assert "preparing" in shown
    assert "3/3" in shown
    assert "iteration 3/3" not in shown


def _read_all(terminal: int) -> bytes:
    """Read what a process writes to a terminal, until it closes it."""
    shown = b""
    # Linux ends the reading of a terminal that nobody has open with an error (EIO).
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 4096):
            shown += piece
    os.close(terminal)
    return shown


def test_a_run_with_nothing_to_improve_still_saves_its_picture(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    out = pictures / "out.png"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out)
    weightless = ("--content-weight", "0", "--style-weight", "0", "--tv-weight", "0")
    result = impasto(*job, *quick, *weightless)
    assert result.code == 0
    np.testing.assert_array_equal(pixels(out), fit(load_image(pictures / "photo.png"), 48))


def test_a_picture_that_cannot_be_written_at_the_end_is_kept_elsewhere(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    spare = pictures / "spare"
    spare.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    folder = pictures / "folder"
    folder.mkdir()
    plain = Iterate.__init__

    def remove_the_folder(*arguments: Any, **fields: Any) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # as another program might, during the run
        plain(*arguments, **fields)

    monkeypatch.setattr(Iterate, "__init__", remove_the_folder)
    job = ("paint", pictures / "photo.png", pictures / "painting.png")
    result = impasto(*job, "-o", folder / "out.png", *quick)
    assert result.code == 1
    (kept,) = spare.glob("*/out.png")
    assert str(kept) in result.err
    assert pixels(kept).shape == (36, 48, 3)
