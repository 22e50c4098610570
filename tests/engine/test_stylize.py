"""The driver on real pictures: it paints, repeats, stops, and refuses what it cannot do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pictures import EXAMPLES

from impasto import Iterate, Options, Status, load_image, stylize
from impasto.engine.images import fit
from impasto.errors import OptionError, UnknownNameError, WeightsError

PHOTO, PAINTING = EXAMPLES / "chelsea.jpg", EXAMPLES / "village_street.jpg"
QUICK = Options(size=64, iterations=6, backend="onnxruntime", seed=1)

Image = npt.NDArray[np.uint8]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))


@pytest.mark.parametrize("optimizer", ["lbfgs", "lbfgs-numpy", "adam"])
@pytest.mark.parametrize("init", ["content", "noise", "file"])
def test_the_loss_falls_from_every_start_with_every_optimizer(optimizer: str, init: str) -> None:
    start = str(PAINTING) if init == "file" else init
    seen: list[float] = []
    options = replace(QUICK, optimizer=optimizer, init=start, iterations=15)  # type: ignore[arg-type]
    result = stylize(PHOTO, [PAINTING], options, callback=lambda step: seen.append(step.loss))
    assert result.loss < 0.5 * seen[0]
    assert result.loss == min(seen)
    assert result.loss == pytest.approx(sum(result.losses.values()), rel=1e-4)
    assert result.status is Status.FINISHED
    assert result.iterations == len(seen) == 15
    assert result.evaluations >= 15


def test_the_picture_is_between_photo_and_painting() -> None:
    """The content stays recognisable, and the style's statistics come closer."""
    result = stylize(PHOTO, [PAINTING], replace(QUICK, size=96, iterations=40))
    photo = fit(load_image(PHOTO), 96)
    assert result.image.shape == photo.shape
    assert result.image.dtype == np.uint8
    similarity = np.corrcoef(result.image.ravel(), photo.ravel())[0, 1]
    assert 0.3 < similarity < 0.999
    start = stylize(PHOTO, [PAINTING], replace(QUICK, size=96, iterations=1, init="content"))
    for layer in ("relu2_1", "relu3_1", "relu4_1"):
        assert result.losses[f"style_loss.{layer}"] < 0.1 * start.losses[f"style_loss.{layer}"]


@pytest.mark.parametrize("optimizer", ["lbfgs", "lbfgs-numpy", "adam"])
def test_a_seed_repeats_a_run_bit_by_bit(optimizer: str) -> None:
    options = replace(QUICK, init="noise", seed=7, optimizer=optimizer)  # type: ignore[arg-type]
    first, second = (stylize(PHOTO, [PAINTING], options) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    assert first.loss == second.loss


def test_a_drawn_seed_is_reported_and_repeats_the_run() -> None:
    first = stylize(PHOTO, [PAINTING], replace(QUICK, init="noise", seed=-1))
    assert first.options.seed >= 0
    second = stylize(PHOTO, [PAINTING], first.options)
    np.testing.assert_array_equal(first.image, second.image)


def test_paths_and_arrays_give_the_same_picture() -> None:
    by_path = stylize(str(PHOTO), [PAINTING], QUICK)
    by_array = stylize(load_image(PHOTO), [load_image(PAINTING)], QUICK)
    np.testing.assert_array_equal(by_path.image, by_array.image)


def test_blending_two_styles_lies_between_them() -> None:
    other = EXAMPLES / "great_wave.jpg"

    def start_losses(weights: tuple[float, ...]) -> dict[str, float]:
        options = replace(QUICK, iterations=1, style_blend_weights=weights)
        return dict(stylize(PHOTO, [PAINTING, other], options).losses)

    alone = stylize(PHOTO, [PAINTING], replace(QUICK, iterations=1)).losses
    assert start_losses((3, 0)) == pytest.approx(alone)
    assert start_losses(()) == pytest.approx(start_losses((2, 2)))
    assert start_losses((1, 0)) != pytest.approx(start_losses((1, 3)), rel=1e-3)


def test_a_callback_sees_every_step_and_may_cancel() -> None:
    steps: list[Iterate] = []

    def watch(step: Iterate) -> bool:
        steps.append(step)
        assert step.picture().shape == step.image.shape == (43, 64, 3)
        return step.iteration < 3

    result = stylize(PHOTO, [PAINTING], QUICK, callback=watch)
    assert [step.iteration for step in steps] == [1, 2, 3]
    assert {step.iterations for step in steps} == {6}
    assert steps[-1].loss == pytest.approx(sum(steps[-1].losses.values()), rel=1e-4)
    assert result.status is Status.CANCELLED
    assert result.loss == min(step.loss for step in steps)


def test_ctrl_c_keeps_the_best_picture() -> None:
    losses: list[float] = []

    def interrupt(step: Iterate) -> None:
        losses.append(step.loss)
        if step.iteration == 4:
            raise KeyboardInterrupt

    result = stylize(PHOTO, [PAINTING], QUICK, callback=interrupt)
    assert result.status is Status.CANCELLED
    assert result.loss == min(losses)
    assert result.image.std() > 5


def test_content_luma_keeps_the_photo_s_chroma() -> None:
    options = replace(QUICK, color="content-luma", iterations=15)
    kept = stylize(PHOTO, [PAINTING], options).image
    photo = fit(load_image(PHOTO), 64)

    def chroma(image: Image) -> npt.NDArray[np.float64]:
        red, green, blue = np.moveaxis(image.astype(np.float64), -1, 0)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        return np.stack([red - luma, blue - luma])

    inside = np.all((kept > 0) & (kept < 255), axis=-1)  # clipping changes chroma
    assert inside.mean() > 0.5
    assert np.abs(chroma(kept) - chroma(photo))[:, inside].max() < 3
    assert np.abs(kept.astype(int) - photo).mean() > 3


def test_nothing_to_improve_stops_without_a_fuss() -> None:
    options = replace(QUICK, style_weight=0.0, tv_weight=0.0)
    result = stylize(PHOTO, [PAINTING], options)
    assert result.status is Status.STALLED
    assert result.loss == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(result.image, fit(load_image(PHOTO), 64))


@pytest.mark.parametrize(("content", "style"), [(("relu2_2",), ()), ((), ("relu1_1", "relu2_1"))])
def test_one_kind_of_loss_is_enough(content: tuple[str, ...], style: tuple[str, ...]) -> None:
    options = replace(QUICK, content_layers=content, style_layers=style, init="noise")
    result = stylize(PHOTO, [PAINTING], options)
    assert math.isfinite(result.loss)
    assert len(result.losses) == len(content) + len(style) + 1


def test_layer_order_does_not_matter() -> None:
    shuffled = replace(QUICK, style_layers=("relu3_1", "relu1_1", "relu3_1"))
    ordered = replace(QUICK, style_layers=("relu1_1", "relu3_1"))
    np.testing.assert_array_equal(
        stylize(PHOTO, [PAINTING], shuffled).image, stylize(PHOTO, [PAINTING], ordered).image
    )


def test_style_scale_changes_the_style_s_size_only() -> None:
    small = stylize(PHOTO, [PAINTING], replace(QUICK, style_scale=0.5, iterations=1))
    large = stylize(PHOTO, [PAINTING], replace(QUICK, style_scale=2.0, iterations=1))
    assert small.image.shape == large.image.shape
    assert small.losses["style_loss.relu3_1"] != large.losses["style_loss.relu3_1"]


def test_what_cannot_be_done_is_refused() -> None:
    grey = np.full((40, 64, 3), 128, np.uint8)
    with pytest.raises(OptionError, match="relu4_2"):
        stylize(grey, [grey], replace(QUICK, content_layers=("relu42",)))
    with pytest.raises(OptionError, match="--preset nin"):
        stylize(grey, [grey], replace(QUICK, model="nin"))
    with pytest.raises(UnknownNameError, match="vgg19"):
        stylize(grey, [grey], replace(QUICK, model="vgg91"))
    with pytest.raises(OptionError, match="2 entries for 1 style"):
        stylize(grey, [grey], replace(QUICK, style_blend_weights=(1.0, 1.0)))
    with pytest.raises(OptionError, match="at least one"):
        stylize(grey, [], QUICK)
    for wrong in ({"size": "48"}, {"size": 48.5}, {"seed": None}, {"style_layers": "relu1_1"}):
        with pytest.raises(OptionError, match="it takes a value such as"):
            Options(**wrong)
    assert Options(style_layers=["relu1_1"]).style_layers == ("relu1_1",)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="--style-scale 100 is more than"):
        Options(size=4096, style_scale=100.0)
    with pytest.raises(OptionError, match="single path"):
        stylize(grey, str(PAINTING), QUICK)
    with pytest.raises(OptionError, match="float64"):
        stylize(grey.astype(np.float64), [grey], QUICK)
    with pytest.raises(OptionError, match="too small for relu5_1"):
        stylize(grey[:4], [grey], QUICK)
    with pytest.raises(WeightsError, match="no such weights file"):
        stylize(grey, [grey], replace(QUICK, weights=Path("absent.pth")))
