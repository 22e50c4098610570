"""Runs with masks and with alpha: whole as in strips, resumed as not stopped, and where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from stopped_runs import SHORT, assert_same, stop_after, write_pictures

from impasto import Iterate, Options, load_image, stylize, texture
from impasto.engine.stylize import resume
from impasto.errors import CheckpointError, OptionError

ONE_SCALE = replace(SHORT, scales="1", iterations=4)
DEEP = replace(ONE_SCALE, style_layers=("relu1_1", "relu3_1"), iterations=3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))
    monkeypatch.setattr("impasto.engine.autosave.INTERVAL", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo of 64 by 48, two paintings, and masks of its left and right."""
    write_pictures(tmp_path)
    Image.open(tmp_path / "painting.png").rotate(90).save(tmp_path / "other.png")
    left = np.zeros((48, 64), np.uint8)
    left[:, :32] = 255
    for name, mask in (("left", left), ("right", 255 - left), ("white", left * 0 + 255)):
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    soft = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    Image.fromarray(soft).save(tmp_path / "soft.png")
    return tmp_path


def styles_in(folder: Path) -> list[Path]:
    return [folder / "painting.png", folder / "other.png"]


def masked(folder: Path, options: Options, *names: str, **more: object) -> Options:
    return replace(options, mask=tuple(str(folder / f"{name}.png") for name in names), **more)  # type: ignore[arg-type]


def test_a_white_mask_is_no_mask(folder: Path) -> None:
    """The same target, the same losses, and so the same picture but for the last bit."""
    photo, styles = folder / "photo.png", styles_in(folder)[:1]
    plain = stylize(photo, styles, ONE_SCALE)
    white = masked(folder, ONE_SCALE, "white", content_mask=str(folder / "white.png"))
    guided = stylize(photo, styles, white)
    assert guided.losses["style_loss.relu1_1.1"] == pytest.approx(
        plain.losses["style_loss.relu1_1"], rel=1e-4
    )
    assert np.abs(guided.image.astype(int) - plain.image).max() <= 1


def test_every_style_is_painted_in_its_region(folder: Path) -> None:
    """Another painting on the right changes nothing on the left, but where cells see both."""
    photo, (one, other) = folder / "photo.png", styles_in(folder)
    options = masked(folder, replace(ONE_SCALE, tv_weight=0.0, init="content"), "left", "right")
    # Plain steps of fixed length: L-BFGS mixes what the two halves say of the loss.
    options = replace(options, optimizer="adam", iterations=2, style_layers=("relu1_1",))
    options = replace(options, content_layers=("relu1_1",))
    found = stylize(photo, [one, other], options).image.astype(int)
    same = stylize(photo, [one, one], options).image.astype(int)
    assert np.abs(found - same)[:, 40:].max() > 0
    assert np.abs(found - same)[:, :31].max() == 0


def test_outside_all_masks_only_the_content_counts(folder: Path) -> None:
    photo, styles = folder / "photo.png", styles_in(folder)[:1]
    options = masked(folder, replace(ONE_SCALE, tv_weight=0.0, init="content"), "left")
    options = replace(options, optimizer="adam", content_layers=("relu1_1",))
    result = stylize(photo, styles, replace(options, style_layers=("relu1_1",)))
    content = load_image(photo)
    assert np.abs(result.image.astype(int) - content)[:, 36:].max() == 0
    assert np.abs(result.image.astype(int) - content)[:, :30].max() > 3


def test_where_the_content_is_free_its_loss_is_not_counted(folder: Path) -> None:
    photo, styles = folder / "photo.png", styles_in(folder)[:1]
    black = folder / "black.png"
    Image.new("L", (64, 48)).save(black)
    free = stylize(photo, styles, replace(ONE_SCALE, content_mask=str(black)))
    assert free.losses["content_loss.relu2_1"] == 0
    none = stylize(photo, styles, replace(ONE_SCALE, content_weight=0.0))
    np.testing.assert_allclose(free.image.astype(int), none.image, atol=1)


@pytest.mark.parametrize("edges", ["soft", "inside"])
def test_strips_paint_what_one_piece_does(folder: Path, edges: Literal["soft", "inside"]) -> None:
    options = masked(folder, DEEP, "soft", "right", content_mask=str(folder / "soft.png"))
    options = replace(
        options, mask_edges=edges, style_mask=("all", str(folder / "left.png")), optimizer="adam"
    )
    whole, tiled = (
        stylize(folder / "photo.png", styles_in(folder), replace(options, tile=tile))
        for tile in ("whole", "16")
    )
    assert tiled.execution["mode"] == "tiled"
    assert tiled.losses.keys() == whole.losses.keys()
    for name, value in whole.losses.items():
        assert tiled.losses[name] == pytest.approx(value, rel=1e-3), name
    assert np.abs(tiled.image.astype(int) - whole.image).max() <= 1


@pytest.mark.parametrize("tile", ["whole", "16"])
def test_a_stopped_run_goes_on_to_the_same_picture(folder: Path, tile: str) -> None:
    options = masked(folder, SHORT, "soft", "right", content_mask=str(folder / "soft.png"))
    options = replace(options, tile=tile, style_mask=(str(folder / "left.png"), "all"))
    photo, styles, checkpoint = folder / "photo.png", styles_in(folder), folder / "checkpoint"
    expected = stylize(photo, styles, options)
    stylize(photo, styles, options, callback=stop_after(6), checkpoint=checkpoint)
    found = resume(checkpoint)
    assert_same(found, expected)
    stylize(photo, styles, options, callback=stop_after(6), checkpoint=checkpoint)
    Image.open(folder / "left.png").save(folder / "right.png")
    with pytest.raises(CheckpointError, match="A mask, or the transparent part"):
        resume(checkpoint)


def test_masks_are_as_many_as_styles(folder: Path) -> None:
    with pytest.raises(OptionError, match="--mask has 1 entries for 2 style pictures"):
        stylize(folder / "photo.png", styles_in(folder), masked(folder, ONE_SCALE, "left"))


@pytest.mark.parametrize("edges", ["soft", "inside"])
def test_a_seamless_texture_has_regions(folder: Path, edges: Literal["soft", "inside"]) -> None:
    options = masked(folder, DEEP, "left", "right")
    options = replace(options, tileable=True, mask_edges=edges, content_layers=(), seed=3)
    whole, tiled = (
        texture(styles_in(folder), (64, 48), replace(options, tile=tile))
        for tile in ("whole", "16")
    )
    for name, value in whole.losses.items():
        assert tiled.losses[name] == pytest.approx(value, rel=1e-3), name
    assert np.abs(tiled.image.astype(int) - whole.image).max() <= 2


# -- style masks ---------------------------------------------------------------------------------


def test_a_style_is_that_of_its_part(folder: Path) -> None:
    """A painting of two halves, of which one is masked, is that half."""
    halves = np.concatenate([load_image(folder / "painting.png")] * 2, axis=1)
    height, width, _ = halves.shape
    halves[:, width // 2 :] = (250, 10, 10)
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 255
    for name, pixels in (("halves", halves), ("half", mask)):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    options = replace(ONE_SCALE, style_scale=1.0, style_layers=("relu1_1",), iterations=10)
    painted = {
        name: stylize(folder / "photo.png", [folder / "halves.png"], each).image.astype(float)
        for name, each in {
            "masked": replace(options, style_mask=(str(folder / "half.png"),)),
            "whole": options,
        }.items()
    }
    assert painted["whole"][..., 0].mean() > painted["masked"][..., 0].mean() + 5, "less red"


# -- alpha ---------------------------------------------------------------------------------------


@pytest.fixture
def cut_out(folder: Path) -> Path:
    """The photo, transparent on the right, where its hidden colour is green; half so between."""
    pixels = np.dstack([load_image(folder / "photo.png"), np.full((48, 64), 255, np.uint8)])
    pixels[:, 40:] = (0, 200, 0, 0)
    pixels[:, 36:40, 3] = 128
    path = folder / "cut_out.png"
    Image.fromarray(pixels).save(path)
    return path


def test_what_is_transparent_is_left_as_it_is(cut_out: Path) -> None:
    styles = styles_in(cut_out.parent)
    result = stylize(cut_out, styles, ONE_SCALE)
    given = np.asarray(Image.open(cut_out))
    assert result.alpha is not None
    np.testing.assert_array_equal(result.alpha, given[..., 3])
    np.testing.assert_array_equal(result.image[:, 40:], given[:, 40:, :3])
    assert np.abs(result.image[:, :30].astype(int) - given[:, :30, :3]).mean() > 5
    assert set(result.losses) >= {"style_loss.relu1_1.1"}


def test_hidden_colours_make_no_difference(cut_out: Path) -> None:
    styles = styles_in(cut_out.parent)
    first = stylize(cut_out, styles, ONE_SCALE)
    pixels = np.array(Image.open(cut_out))
    pixels[:, 40:, :3] = 255
    Image.fromarray(pixels).save(cut_out)
    second = stylize(cut_out, styles, ONE_SCALE)
    np.testing.assert_array_equal(first.image[:, :36], second.image[:, :36])
    assert (second.image[:, 40:] == 255).all()


def test_an_alpha_channel_that_is_opaque_changes_nothing(folder: Path) -> None:
    opaque = folder / "opaque.png"
    Image.open(folder / "photo.png").convert("RGBA").save(opaque)
    found = stylize(opaque, styles_in(folder), ONE_SCALE)
    assert_same(found, stylize(folder / "photo.png", styles_in(folder), ONE_SCALE))
    assert found.alpha is None


def test_a_transparent_run_goes_on_after_a_stop(cut_out: Path) -> None:
    styles, checkpoint = styles_in(cut_out.parent), cut_out.parent / "checkpoint"
    expected = stylize(cut_out, styles, SHORT)
    seen = []

    def callback(step: Iterate) -> bool:
        assert step.alpha is not None
        seen.append((step.picture().shape, step.alpha.shape))
        return step.iteration < 6

    stylize(cut_out, styles, SHORT, callback=callback, checkpoint=checkpoint)
    assert seen[0] == ((24, 32, 3), (24, 32))
    assert_same(resume(checkpoint), expected)
