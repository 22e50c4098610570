"""What a run begins from: the content, as it is or in the style's colours, noise, or a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from encoded_pictures import picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.engine.canvas import Canvas
from impasto.engine.color_transfer import color_statistics, match_colors, mixed_statistics
from impasto.engine.first_image import first_image, recolored
from impasto.engine.images import ByteArray, to_network
from impasto.engine.inputs import Inputs, load_inputs
from impasto.engine.options import Options
from impasto.errors import UsageError
from impasto.models.layer import Preprocessing
from impasto.models.registry import model_spec

PHOTO, PAINTING = picture(60, 90), picture(100, 40)
VGG19, NIN = (model_spec(name).preprocessing for name in ("vgg19", "nin"))


def inputs_of(options: Options) -> Inputs:
    return load_inputs(PHOTO, [PAINTING, PHOTO], options)


def test_the_first_image_is_the_content_or_another_picture(tmp_path: Path) -> None:
    options = Options(size=48, init="content")
    found = inputs_of(options)
    np.testing.assert_array_equal(
        first_image(found, (32, 48), options, VGG19), to_network(found.content)
    )
    painting = tmp_path / "painting.png"
    Image.fromarray(PAINTING).save(painting)
    other = Options(size=48, init=str(painting))
    started = inputs_of(other)
    assert started.initial is not None
    assert started.initial.shape == (32, 48, 3), "it takes the content's shape"
    image = first_image(started, (16, 24), other, VGG19)
    assert image.dtype == np.float32
    assert image.shape == (1, 3, 16, 24)


def test_an_initial_picture_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.png"):
        inputs_of(Options(init=str(tmp_path / "nothing.png")))


def test_noise_is_float32_and_the_same_again_for_a_seed() -> None:
    options = Options(size=48, init="noise", seed=5)
    image = first_image(inputs_of(options), (32, 48), options, VGG19)
    assert image.dtype == np.float32
    assert image.shape == (1, 3, 32, 48)
    np.testing.assert_array_equal(image, first_image(inputs_of(options), (32, 48), options, VGG19))
    other = Options(size=48, init="noise", seed=6)
    assert not np.array_equal(image, first_image(inputs_of(other), (32, 48), other, VGG19))


@pytest.mark.parametrize("preprocessing", [VGG19, NIN], ids=["vgg19", "nin"])
def test_noise_lies_around_the_mean_colour(preprocessing: Preprocessing) -> None:
    """Normal with standard deviation 0.001, around what preprocessing takes away, as RGB."""
    options = Options(size=64, init="noise", seed=5)
    image = first_image(inputs_of(options), (64, 96), options, preprocessing)
    blue_green_red = (103.939, 116.779, 123.68)
    channels = image[0].reshape(3, -1).astype(np.float64)
    np.testing.assert_allclose(channels.mean(axis=1), blue_green_red[::-1], atol=1e-3)
    np.testing.assert_allclose(channels.std(axis=1), 0.001, rtol=0.05)


def test_a_texture_s_noise_lies_around_the_mean_colour_of_its_styles() -> None:
    options = Options(size=96, init="noise", seed=5, style_blend_weights=(3, 1))
    inputs = load_inputs(Canvas(64, 96), [PAINTING // 2, PHOTO], options)
    image = first_image(inputs, (64, 96), options, VGG19)
    assert image.dtype == np.float32
    assert image.shape == (1, 3, 64, 96)
    one, other = (style.reshape(-1, 3).astype(np.float64).mean(axis=0) for style in inputs.styles)
    channels = image[0].reshape(3, -1).astype(np.float64)
    np.testing.assert_allclose(channels.mean(axis=1), 0.75 * one + 0.25 * other, atol=0.3)
    np.testing.assert_allclose(channels.std(axis=1), 5, rtol=0.05)
    assert np.abs(one - other).max() > 5, "so that the weights matter"
    np.testing.assert_array_equal(image, first_image(inputs, (64, 96), options, VGG19))


# -- the content in the style's colours ----------------------------------------------------------


def noisy(seed: int, shape: tuple[int, int] = (64, 96)) -> ByteArray:
    """A picture whose colours vary in every direction and are not clipped."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    spread = turned * rng.uniform(5, 20, 3)
    colours = rng.uniform(100, 150, 3) + rng.standard_normal((*shape, 3)) @ spread.T
    return np.rint(colours).clip(0, 255).astype(np.uint8)


def mask_file(path: Path, mask: npt.NDArray[np.generic]) -> str:
    Image.fromarray(np.asarray(mask, np.uint8)).save(path)
    return str(path)


def assert_colours(
    image: ByteArray, *styles: ByteArray, shares: tuple[float, ...] = (1.0,), atol: float = 0.3
) -> None:
    found = color_statistics(image)
    wanted = mixed_statistics([color_statistics(style) for style in styles], shares)
    np.testing.assert_allclose(found.mean, wanted.mean, atol=atol)
    np.testing.assert_allclose(found.covariance, wanted.covariance, rtol=0.02, atol=3)


def test_recolored_is_the_content_with_the_style_s_colours() -> None:
    options = Options(size=96, init="recolored")
    inputs = load_inputs(noisy(1), [noisy(2)], options)
    image = first_image(inputs, (64, 96), options, VGG19)
    wanted = match_colors(inputs.content, inputs.styles[0])
    np.testing.assert_array_equal(image, to_network(wanted))
    assert_colours(wanted, noisy(2))
    half = first_image(inputs, (32, 48), options, VGG19)
    assert half.shape == (1, 3, 32, 48)
    np.testing.assert_allclose(half.mean(axis=(0, 2, 3)), color_statistics(noisy(2)).mean, atol=0.3)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 100), min_size=3, max_size=3).filter(any))
def test_colours_of_several_styles_are_mixed_as_their_targets(weights: list[int]) -> None:
    options = Options(size=96, style_blend_weights=tuple(weights))
    styles = [noisy(2), noisy(3), noisy(4)]
    inputs = load_inputs(noisy(1), styles, options)
    shares = tuple(weight / sum(weights) for weight in weights)
    assert_colours(recolored(inputs, (64, 96), options), *styles, shares=shares)


def test_a_style_without_the_shallowest_layer_gives_it_no_colours() -> None:
    options = Options(size=96, layers_of=("2=relu4_1,relu5_1",))
    inputs = load_inputs(noisy(1), [noisy(2), noisy(3)], options)
    assert_colours(recolored(inputs, (64, 96), options), noisy(2))
    options = Options(size=96, layers_of=("1=relu4_1", "2=relu4_1,relu1_1"))
    assert_colours(recolored(inputs, (64, 96), options), noisy(3))


@pytest.mark.parametrize("changed", [{"style_weight": 0.0}, {"style_layers": ()}])
def test_without_a_style_the_content_keeps_its_colours(
    changed: dict[str, float | tuple[str, ...]],
) -> None:
    options = Options(size=96, **changed)  # type: ignore[arg-type]
    inputs = load_inputs(noisy(1), [noisy(2)], options)
    np.testing.assert_array_equal(recolored(inputs, (64, 96), options), inputs.content)


def test_every_region_has_its_own_colours_and_the_rest_keeps_its_own(tmp_path: Path) -> None:
    left, middle = np.zeros((2, 64, 96))
    left[:, :32] = middle[:, 32:64] = 255
    masks = mask_file(tmp_path / "left.png", left), mask_file(tmp_path / "middle.png", middle)
    options = Options(size=96, mask=masks)
    inputs = load_inputs(noisy(1), [noisy(2), noisy(3)], options)
    image = recolored(inputs, (64, 96), options)
    assert_colours(image[:, :32], noisy(2))
    assert_colours(image[:, 32:64], noisy(3))
    np.testing.assert_array_equal(image[:, 64:], inputs.content[:, 64:])


def test_white_masks_are_those_of_everywhere(tmp_path: Path) -> None:
    white = mask_file(tmp_path / "white.png", np.full((64, 96), 255))
    plain = Options(size=96)
    inputs = load_inputs(noisy(1), [noisy(2)], plain)
    wanted = recolored(inputs, (64, 96), plain)
    options = Options(size=96, mask=(white,), style_mask=(white,))
    masked = load_inputs(noisy(1), [noisy(2)], options)
    np.testing.assert_array_equal(recolored(masked, (64, 96), options), wanted)
    # Two styles that both want the whole picture share it.
    options = Options(size=96, mask=("all", white))
    both = load_inputs(noisy(1), [noisy(2), noisy(2)], options)
    np.testing.assert_array_equal(recolored(both, (64, 96), options), wanted)


def test_a_soft_mask_changes_colours_by_its_share(tmp_path: Path) -> None:
    soft = np.tile(np.linspace(0, 255, 96).round(), (64, 1))
    options = Options(size=96, mask=(mask_file(tmp_path / "soft.png", soft),))
    inputs = load_inputs(noisy(1), [np.full((64, 96, 3), 10, np.uint8)], options)
    image = recolored(inputs, (64, 96), options)
    share = soft[..., np.newaxis] / 255
    expected = share * 10 + (1 - share) * inputs.content
    np.testing.assert_allclose(image, expected, atol=0.51)


def test_black_masks_change_nothing(tmp_path: Path) -> None:
    black = mask_file(tmp_path / "black.png", np.zeros((64, 96)))
    options = Options(size=96, mask=(black,), style_mask=(black,))
    inputs = load_inputs(noisy(1), [noisy(2)], options)
    np.testing.assert_array_equal(recolored(inputs, (64, 96), options), inputs.content)


def test_only_what_a_style_s_mask_shows_gives_colours(tmp_path: Path) -> None:
    style = np.hstack([noisy(2), noisy(3)])
    left = np.zeros(style.shape[:2])
    left[:, :96] = 255
    options = Options(size=192, style_mask=(mask_file(tmp_path / "left.png", left),))
    inputs = load_inputs(noisy(1, (128, 192)), [style], options)
    assert_colours(recolored(inputs, (128, 192), options), noisy(2))


def test_what_is_transparent_has_no_say_in_the_colours(tmp_path: Path) -> None:
    """Half of the picture cannot be seen; the other has the style's colours."""
    alpha = np.zeros((64, 96), np.uint8)
    alpha[:, :48] = 255
    path = tmp_path / "cutout.png"
    Image.fromarray(np.dstack([noisy(1), alpha])).save(path)
    options = Options(size=96)
    inputs = load_inputs(path, [noisy(2)], options)
    assert_colours(recolored(inputs, (64, 96), options)[:, :48], noisy(2))


def test_strips_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soft = np.tile(np.linspace(0, 255, 96).round(), (64, 1))
    options = Options(size=96, mask=(mask_file(tmp_path / "soft.png", soft), "all"))
    inputs = load_inputs(noisy(1), [noisy(2), noisy(3)], options)
    whole = recolored(inputs, (64, 96), options)
    monkeypatch.setattr("impasto.engine.srgb.STRIP_PIXELS", 1)
    np.testing.assert_array_equal(recolored(inputs, (64, 96), options), whole)
