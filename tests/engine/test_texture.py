"""Textures: a style without a content, through the whole driver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pictures import EXAMPLES
from PIL import Image
from stopped_runs import CopyingStore, assert_same, stop_after

from impasto import (
    Iterate,
    Options,
    Status,
    load_image,
    preset_options,
    resume,
    stylize,
    texture,
)
from impasto.engine.canvas import Canvas
from impasto.engine.checkpoint import load_snapshot
from impasto.engine.images import fit
from impasto.engine.preparation import prepare
from impasto.engine.resumption import recorded_in
from impasto.engine.stylize import paint_prepared
from impasto.engine.texture import texture_options
from impasto.errors import CheckpointError, OptionError

PAINTING, WAVE = EXAMPLES / "village_street.jpg", EXAMPLES / "great_wave.jpg"

QUICK = Options(
    iterations=4,
    style_layers=("relu1_1", "relu2_1", "relu3_1"),
    backend="onnxruntime",
    precision="f32",
    threads=1,
    seed=1,
)
SCALES = replace(QUICK, scales="2", iterations=3)
TILEABLE = replace(QUICK, tileable=True)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))


def colours(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = image.reshape(-1, 3).mean(axis=0)
    return found


def test_a_texture_takes_on_the_style_and_nothing_else() -> None:
    seen: list[float] = []
    options = replace(QUICK, iterations=60)
    result = texture([PAINTING], (80, 48), options, callback=lambda step: seen.append(step.loss))
    assert result.image.shape == (48, 80, 3)
    assert result.loss < 0.05 * seen[0]
    assert result.losses.keys() == {"tv_loss", *(f"style_loss.{n}" for n in QUICK.style_layers)}
    assert np.abs(colours(result.image) - colours(fit(load_image(PAINTING), 80))).max() < 8
    assert result.sizes == ((80, 48),)
    assert result.options.content_layers == ()
    assert result.options.init == "noise"


def test_one_number_is_a_square_and_a_seed_repeats_a_texture() -> None:
    first, second = (texture([PAINTING], 48, QUICK) for _ in range(2))
    assert first.image.shape == (48, 48, 3)
    np.testing.assert_array_equal(first.image, second.image)
    other = texture([PAINTING], 48, replace(QUICK, seed=2))
    assert np.abs(other.image.astype(int) - first.image).max() > 0
    # The options of a result make it again.
    np.testing.assert_array_equal(texture([PAINTING], 48, first.options).image, first.image)


def test_strips_give_the_numbers_of_one_piece() -> None:
    whole = texture([PAINTING], (48, 80), replace(QUICK, iterations=2))
    tiled = texture([PAINTING], (48, 80), replace(QUICK, iterations=2, tile="16"))
    assert tiled.execution["mode"] == "tiled"
    assert tiled.loss == pytest.approx(whole.loss, rel=1e-4)
    assert np.abs(tiled.image.astype(int) - whole.image).max() <= 2


def test_styles_blend_by_their_weights() -> None:
    def start_loss(styles: list[Path], *weights: float) -> float:
        options = replace(QUICK, iterations=1, style_blend_weights=weights)
        return texture(styles, 48, options).loss

    alone, other = start_loss([PAINTING]), start_loss([WAVE])
    assert start_loss([PAINTING, WAVE], 3, 0) == pytest.approx(alone)
    assert start_loss([PAINTING, WAVE], 0, 1) == pytest.approx(other)
    assert start_loss([PAINTING, WAVE]) != pytest.approx(alone, rel=1e-2)


def test_a_texture_may_begin_at_a_picture() -> None:
    options = replace(QUICK, init=str(WAVE), iterations=1)
    seen: list[npt.NDArray[np.float32]] = []
    texture([PAINTING], (48, 32), options, callback=lambda step: seen.append(step.image.copy()))
    wave = np.abs(seen[0] - load_image(WAVE).mean())
    assert wave.std() > 10  # noise, the other start, is nearly flat


@pytest.mark.parametrize(
    "options", [QUICK, replace(SCALES, tileable=True), replace(TILEABLE, tile="16")]
)
def test_every_save_leads_to_the_same_texture(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.engine.autosave.INTERVAL", 0.0)
    canvas = Canvas(48, 64)
    with CopyingStore(tmp_path / "checkpoint", tmp_path / "copies") as store:
        prepared = prepare(canvas, [PAINTING], texture_options(options, canvas))
        expected = paint_prepared(prepared, store=store)
    for number in range(store.count):
        assert_same(resume(tmp_path / "copies" / str(number)), expected)


def test_a_cancelled_texture_goes_on_from_arrays(tmp_path: Path) -> None:
    style, checkpoint = load_image(PAINTING), tmp_path / "checkpoint"
    expected = texture([style], 48, QUICK)
    stopped = texture([style], 48, QUICK, callback=stop_after(2), checkpoint=checkpoint)
    assert stopped.status is Status.CANCELLED
    with pytest.raises(CheckpointError, match="given as arrays"):
        resume(checkpoint)
    with pytest.raises(CheckpointError, match="texture, which has no content"):
        resume(checkpoint, content=style, styles=[style])
    assert_same(resume(checkpoint, styles=[style]), expected)


def test_ctrl_c_keeps_the_best_texture() -> None:
    losses: list[float] = []

    def interrupt(step: Iterate) -> None:
        losses.append(step.loss)
        if step.iteration == 3:
            raise KeyboardInterrupt

    result = texture([PAINTING], 48, QUICK, callback=interrupt)
    assert result.status is Status.CANCELLED
    assert result.loss == min(losses)


@pytest.mark.parametrize(
    ("name", "value"),
    [("content_weight", 7.0), ("content_layers", ("relu2_2",)), ("color", "content-luma")],
)
def test_what_asks_for_a_content_is_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"^{name} is .*no content picture"):
        texture([PAINTING], 48, replace(QUICK, **{name: value}))


def test_other_requests_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(OptionError, match="No style layers"):
        texture([PAINTING], 48, replace(QUICK, style_layers=()))
    with pytest.raises(OptionError, match="at least one"):
        texture([], 48, QUICK)
    with pytest.raises(OptionError, match="too small for relu5_1"):
        texture([PAINTING], 48, replace(Options(), style_scale=0.2))
    with pytest.raises(OptionError, match=r"the budget is 1\.0 GB"):
        texture([PAINTING], 99999, replace(QUICK, memory="1G"))


@pytest.mark.parametrize(
    "change",
    [
        {"canvas": {"width": 48, "height": 10**9}},
        {"canvas": {"width": 64, "height": 48}},
        {"canvas": {"width": "48", "height": 48}},
        {"canvas": [48, 48]},
        {"canvas": {}},
    ],
)
def test_a_damaged_canvas_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    texture([PAINTING], 48, QUICK, callback=stop_after(1), checkpoint=checkpoint)
    found = load_snapshot(checkpoint)
    with pytest.raises(CheckpointError, match="'canvas' is not what it should be"):
        recorded_in(replace(found, header={**found.header, **change}))


# -- tileable ------------------------------------------------------------------------------------


def seams(image: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Return how strong the seams are between rows and between columns of two copies.

    The mean absolute difference across the border, in that of the average pair of neighbours.
    """
    pixels = image.astype(np.float64)
    found = []
    for axis in (0, 1):
        steps = np.abs(pixels - np.roll(pixels, 1, axis)).mean(axis=(1 - axis, 2))
        found.append(float(steps[0] / steps[1:].mean()))
    return found[0], found[1]


def test_a_tileable_texture_has_no_seam_and_another_has() -> None:
    seed = 1
    print(f"seed {seed}")
    options = replace(Options(), backend="onnxruntime", iterations=30, seed=seed, precision="f32")
    seamless = texture([WAVE], (64, 48), replace(options, tileable=True)).image
    print(f"seams {seams(seamless)}")
    assert max(seams(seamless)) < 1.5
    cut = texture([WAVE], (64, 48), options).image
    print(f"seams {seams(cut)}")
    assert min(seams(cut)) > 1.5


def test_a_seamless_texture_stays_so_from_scale_to_scale() -> None:
    options = replace(TILEABLE, scales="2", iterations=12, style_layers=("relu1_1", "relu2_1"))
    result = texture([WAVE], (96, 64), options)
    assert result.sizes == ((48, 32), (96, 64))
    assert max(seams(result.image)) < 1.5


def test_a_tileable_texture_in_strips_is_the_one_in_one_piece() -> None:
    whole = texture([PAINTING], (48, 64), replace(TILEABLE, iterations=2))
    tiled = texture([PAINTING], (48, 64), replace(TILEABLE, iterations=2, tile="16"))
    assert tiled.execution["mode"] == "tiled"
    assert tiled.loss == pytest.approx(whole.loss, rel=1e-4)
    assert np.abs(tiled.image.astype(int) - whole.image).max() <= 2


def test_a_tileable_texture_may_have_regions(tmp_path: Path) -> None:
    """Each half takes the colours of its style, around the border, too."""
    halves = np.zeros((32, 48), np.uint8)
    halves[:, :24] = 255
    masks = []
    for name, mask in (("left", halves), ("right", 255 - halves)):
        masks.append(str(tmp_path / f"{name}.png"))
        Image.fromarray(mask).save(masks[-1])
    styles = [np.full((48, 48, 3), colour, np.uint8) for colour in ((200, 40, 40), (40, 40, 200))]
    # From the noise of seed 1 flat styles take L-BFGS far longer than from that of 2 or 3.
    options = replace(TILEABLE, seed=2, iterations=30, mask=tuple(masks), style_layers=("relu1_1",))
    result = texture(styles, (48, 32), options)
    assert result.losses.keys() == {"tv_loss", "style_loss.relu1_1.1", "style_loss.relu1_1.2"}
    left, right = result.image[:, 4:20], result.image[:, 28:44]
    for half, style in ((left, styles[0]), (right, styles[1])):
        assert np.abs(colours(half) - colours(style)).max() < 30


def test_a_photo_cannot_be_tileable() -> None:
    with pytest.raises(OptionError, match="--tileable is for textures"):
        stylize(EXAMPLES / "chelsea.jpg", [PAINTING], TILEABLE)


@pytest.mark.parametrize(
    ("size", "nearest"), [((100, 64), "96x64 or 112x64"), ((20, 40), "16x32 or 32x48")]
)
def test_sides_that_a_torus_cannot_have_are_refused(size: tuple[int, int], nearest: str) -> None:
    with pytest.raises(OptionError, match=f"multiple of 16, the stride of relu5_1: {nearest}"):
        texture([PAINTING], size, Options(tileable=True))


def test_a_network_that_is_none_on_a_torus_is_refused() -> None:
    nin = preset_options("nin", {"tileable": True, "content_layers": ()})
    with pytest.raises(OptionError, match="--tileable needs convolutions that keep the size"):
        texture([PAINTING], 64, replace(nin, content_weight=0.0))
