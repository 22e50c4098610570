"""Masks, layers of styles and alpha on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.engine.images import load_image

Impasto = Callable[..., Any]


@pytest.fixture
def masks(pictures: Path) -> Path:
    """Masks of the left and the right half of the photo, and a black one."""
    left = np.zeros((48, 64), np.uint8)
    left[:, :32] = 255
    for name, mask in (("left", left), ("right", 255 - left), ("black", left * 0)):
        Image.fromarray(mask).save(pictures / f"{name}.png")
    return pictures


@pytest.fixture
def job(pictures: Path) -> tuple[object, ...]:
    styles = (pictures / "painting.png", pictures / "other.jpg")
    return ("paint", pictures / "photo.png", *styles, "-o", pictures / "new.png")


def test_a_mask_for_each_style(
    impasto: Impasto, masks: Path, job: tuple[object, ...], quick: tuple[str, ...]
) -> None:
    flags = ("--mask", masks / "left.png", "--mask", masks / "right.png", "--json")
    told = json.loads(impasto(*job, *quick, *flags).last_line)
    terms = [name for name in told["losses"] if name.startswith("style")]
    assert terms == [f"style_loss.{layer}.{n}" for layer in ("relu1_1", "relu2_1") for n in "12"]
    assert told["options"]["mask"] == [str(masks / "left.png"), str(masks / "right.png")]
    with Image.open(masks / "new.png") as saved:
        metadata = json.loads(saved.text["Impasto"])["options"]  # type: ignore[attr-defined]
    assert metadata["mask"] == ["left.png", "right.png"], "no folders of this machine"


def test_layers_of_styles_and_their_scales(
    impasto: Impasto, job: tuple[object, ...], quick: tuple[str, ...]
) -> None:
    flags = ("--layers-of", "1=relu1_1", "--layers-of", "2=relu2_1", "--style-scale", "1,0.5")
    told = json.loads(impasto(*job, *quick, *flags, "--json").last_line)
    assert told["options"]["layers_of"] == ["1=relu1_1", "2=relu2_1"]
    assert told["options"]["style_scale"] == [1.0, 0.5]


def test_options_of_directories(impasto: Impasto, pictures: Path, quick: tuple[str, ...]) -> None:
    """A directory of two shares a weight of 2: as three pictures of weight 1."""
    folder, one = pictures / "paintings", pictures / "other.jpg"
    each = (folder / "first.png", folder / "second.png", one)
    for output, styles, weights in (("a.png", (folder, one), "2,1"), ("b.png", each, "1,1,1")):
        job = ("paint", pictures / "photo.png", *styles, "-o", pictures / output)
        assert impasto(*job, *quick, "--style-blend-weights", weights).code == 0
    np.testing.assert_array_equal(load_image(pictures / "a.png"), load_image(pictures / "b.png"))


def test_what_is_odd_is_told(
    impasto: Impasto, masks: Path, job: tuple[object, ...], quick: tuple[str, ...]
) -> None:
    black = impasto(*job, *quick, "--mask", masks / "left.png", "--mask", masks / "black.png")
    assert black.code == 0
    assert any("black.png is all black" in line for line in black.messages)
    few = impasto(*job, *quick, "--overwrite", "--mask", masks / "left.png")
    assert few.code == 2
    assert "--mask has 1 entries for 2 style pictures" in few.err
    over = impasto(*job[:-1], masks / "left.png", *quick, "--overwrite", "--content-mask",
                   masks / "left.png")  # fmt: skip
    assert over.code != 0
    assert "is one of the inputs" in over.err


def test_alpha_is_kept_or_said_to_be_lost(
    impasto: Impasto, masks: Path, quick: tuple[str, ...]
) -> None:
    photo = Image.open(masks / "photo.png").convert("RGBA")
    photo.putalpha(Image.open(masks / "left.png"))
    photo.save(masks / "cut_out.png")
    job = ("paint", masks / "cut_out.png", masks / "painting.png", *quick, "--save-every", "2")
    kept = impasto(*job, "-o", masks / "kept.png")
    assert kept.code == 0
    assert not any("transparent" in line for line in kept.messages)
    for name in ("kept.png", "kept_2.png"):
        with Image.open(masks / name) as saved:
            assert saved.mode == "RGBA"
            alpha = np.asarray(saved.getchannel("A"))
        assert (alpha[:, 0].min(), alpha[:, -1].max()) == (255, 0)
    lost = impasto(*job, "-o", masks / "lost.jpg")
    assert lost.code == 0
    assert any("lost.jpg" in line and "laid on white" in line for line in lost.messages)
    assert load_image(masks / "lost.jpg")[:, 30:].min() > 245
