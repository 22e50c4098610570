"""Several styles: weights of layers, layers of single styles, and groups of pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import EXAMPLES

from impasto.engine.backends import open_backend
from impasto.engine.inputs import check_inputs, scaled_sizes
from impasto.engine.layer_lists import layer_weights, layers_by_style
from impasto.engine.mixture import mixture_of, spread
from impasto.engine.network import network_for
from impasto.engine.objective import blended, grams_of, weights_for
from impasto.engine.options import Options
from impasto.engine.stylize import stylize
from impasto.errors import OptionError
from impasto.export.gradient import light_feature_graph
from impasto.models import load_model

PHOTO, WAVE, VILLAGE = (
    EXAMPLES / f"{name}.jpg" for name in ("chelsea", "great_wave", "village_street")
)
QUICK = Options(
    size=64,
    iterations=1,
    content_layers=("relu2_1",),
    style_layers=("relu1_1", "relu2_1"),
    backend="onnxruntime",
)
TWO = (Path("a"), Path("b"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))


# -- weights of layers ---------------------------------------------------------------------------


def test_a_layer_without_a_weight_weighs_one() -> None:
    assert layer_weights(["relu1_1", "relu4_1 = 0.5", "relu1_1"], "--style-layers") == {
        "relu1_1": 1.0,
        "relu4_1": 0.5,
    }


@pytest.mark.parametrize(
    "entries", [["relu1_1=many"], ["relu1_1=-1"], ["relu1_1=nan"], ["relu1_1="], ["=2"], ["a=1e31"]]
)
def test_weights_that_are_none_are_refused(entries: list[str]) -> None:
    with pytest.raises(OptionError, match=r"^--style-layers has an entry .* such as relu4_1=0\.5"):
        Options(style_layers=tuple(entries))


def test_two_weights_of_a_layer_are_refused() -> None:
    with pytest.raises(OptionError, match="--content-layers gives relu1_1 two weights"):
        Options(content_layers=("relu1_1=2", "relu1_1"))


@settings(derandomize=True, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_list_gives_weights_or_a_refusal(entries: list[str]) -> None:
    try:
        weights = layer_weights(entries, "--style-layers")
    except OptionError:
        return
    assert all(0 <= weight <= 1e30 for weight in weights.values())


def test_weights_multiply_those_of_the_losses() -> None:
    options = replace(
        QUICK,
        content_layers=("relu2_1=3",),
        style_layers=("relu2_1=0.5", "relu1_1"),
        style_weight=10.0,
        content_weight=2.0,
    )
    network = network_for(load_model("vgg19"), options)
    assert network.style_layers == ("relu1_1", "relu2_1")
    found = {name: float(value) for name, value in weights_for(network, options, (64, 48)).items()}
    assert found["content_weight.relu2_1"] == 6
    assert (found["style_weight.relu1_1"], found["style_weight.relu2_1"]) == (10, 5)


def test_normalised_weights_are_divided_by_the_longest_side_of_their_target() -> None:
    """A Gram matrix has C; a feature map C, h or w, whichever is the most."""
    options = replace(
        QUICK,
        content_layers=("relu2_1=3", "relu1_1"),
        style_layers=("relu2_1=0.5", "relu1_1"),
        style_weight=10.0,
        content_weight=2.0,
        normalize_weights=True,
    )
    network = network_for(load_model("vgg19"), options)
    for size, sides in (((64, 48), (128, 64)), ((300, 200), (150, 300)), ((20, 400), (200, 400))):
        weights = weights_for(network, options, size)
        found = {name: float(value) for name, value in weights.items()}
        assert found["content_weight.relu2_1"] == pytest.approx(6 / sides[0])
        assert found["content_weight.relu1_1"] == pytest.approx(2 / sides[1])
        assert found["style_weight.relu2_1"] == pytest.approx(5 / 128)
        assert found["style_weight.relu1_1"] == pytest.approx(10 / 64)
        assert found["tv_weight"] == pytest.approx(options.tv_weight)


def test_a_weight_scales_its_term_of_a_run() -> None:
    plain = stylize(PHOTO, [WAVE], QUICK)
    heavy = stylize(PHOTO, [WAVE], replace(QUICK, style_layers=("relu1_1=1", "relu2_1=4")))
    # The first step is another; the terms are compared where both begin.
    first = [stylize_losses(options) for options in (plain.options, heavy.options)]
    assert first[1]["style_loss.relu2_1"] == pytest.approx(4 * first[0]["style_loss.relu2_1"])
    assert first[1]["style_loss.relu1_1"] == pytest.approx(first[0]["style_loss.relu1_1"])


def stylize_losses(options: Options) -> dict[str, float]:
    """Return the terms at the first image."""
    seen: list[dict[str, float]] = []
    still = replace(options, optimizer="adam", learning_rate=1e-9)
    stylize(PHOTO, [WAVE], still, callback=lambda step: seen.append(dict(step.losses)))
    return seen[0]


# -- layers of single styles ---------------------------------------------------------------------


def test_layers_of_a_style() -> None:
    assert layers_by_style(["2=relu1_1, relu2_1", "1 = relu1_1"]) == {
        2: ("relu1_1", "relu2_1"),
        1: ("relu1_1",),
    }


@pytest.mark.parametrize("entry", ["relu1_1", "0=relu1_1", "x=relu1_1", "2=", "-1=relu1_1", "2"])
def test_what_is_no_list_of_layers_is_refused(entry: str) -> None:
    with pytest.raises(OptionError, match=r"^--layers-of is .*such as 2=relu1_1,relu2_1"):
        Options(layers_of=(entry,))


def test_wrong_styles_and_layers_are_refused() -> None:
    with pytest.raises(OptionError, match="--layers-of 2 names relu5_1, which is none"):
        replace(QUICK, layers_of=("2=relu5_1",))
    with pytest.raises(OptionError, match="twice for style picture 2"):
        replace(QUICK, layers_of=("2=relu1_1", "2=relu2_1"))
    with pytest.raises(OptionError, match="style picture 3; there are 2"):
        check_inputs(TWO, replace(QUICK, layers_of=("3=relu1_1",)))
    only_deep = replace(QUICK, layers_of=("1=relu2_1", "2=relu2_1"))
    with pytest.raises(OptionError, match="No style picture counts at relu1_1"):
        check_inputs(TWO, only_deep)
    weightless = replace(QUICK, layers_of=("2=relu2_1",), style_blend_weights=(0, 1))
    with pytest.raises(OptionError, match="No style picture counts at relu1_1"):
        check_inputs(TWO, weightless)


def test_a_target_blends_the_styles_that_have_the_layer() -> None:
    options = replace(QUICK, style_blend_weights=(1, 3, 4), layers_of=("2=relu1_1", "3=relu2_1"))
    network = network_for(load_model("vgg19"), options)
    mixture = mixture_of(options, network, 3)
    assert mixture.shares == {"relu1_1": (0.25, 0.75, 0), "relu2_1": (0.2, 0, 0.8)}
    assert mixture.weights == {"relu1_1": 1, "relu2_1": 1}


def test_a_style_at_one_layer_gives_that_layer_s_target_alone() -> None:
    network = network_for(load_model("vgg19"), QUICK)
    graph = open_backend("onnxruntime", "f32", 1).compile(
        light_feature_graph(network.encoder, grams=network.style_layers)
    )
    rng = np.random.default_rng(3)
    pictures = [rng.uniform(0, 255, (1, 3, 32, 32)).astype(np.float32) for _ in range(2)]
    grams = [grams_of(graph, network, picture) for picture in pictures]
    options = replace(QUICK, layers_of=("1=relu1_1", "2=relu2_1"))
    shares = mixture_of(options, network, 2).shares
    found = blended(network, grams, shares)
    np.testing.assert_array_equal(found["style.relu1_1"], grams[0]["relu1_1"])
    np.testing.assert_array_equal(found["style.relu2_1"], grams[1]["relu2_1"])


def test_a_run_with_layers_of_its_own_for_each_style() -> None:
    """Where the wave does not count, it makes no difference which picture it is."""
    options = replace(QUICK, layers_of=("1=relu1_1,relu2_1", "2=relu2_1"), iterations=2)
    both = stylize(PHOTO, [VILLAGE, WAVE], options)
    assert np.isfinite(both.loss)
    alone = replace(options, layers_of=("1=relu1_1,relu2_1",))
    assert not np.array_equal(both.image, stylize(PHOTO, [VILLAGE, WAVE], alone).image)


# -- scales of single styles ---------------------------------------------------------------------


def test_every_style_may_have_a_scale() -> None:
    options = Options(size=100, style_scale=[0.5, 2])  # type: ignore[arg-type]
    assert options.style_scale == (0.5, 2)
    assert options.to_dict()["style_scale"] == [0.5, 2]
    _, styles = scaled_sizes((50, 100), [(30, 10), (10, 30)], options, 100)
    assert [max(size) for size in styles] == [50, 200]
    assert Options(**options.to_dict()) == options
    assert Options(style_scale=(0.5,)).style_scale == 0.5
    with pytest.raises(OptionError, match="it takes a value such as"):
        Options(style_scale=())
    with pytest.raises(OptionError, match="--style-scale has 2 entries for 1 style picture;"):
        check_inputs(TWO[:1], options)
    with pytest.raises(OptionError, match=r"--style-scale is 0\.001; it takes a number from"):
        Options(style_scale=(1, 0.001))
    with pytest.raises(OptionError, match="--style-scale 100 is more than"):
        Options(size=4096, style_scale=(1.0, 100.0))


# -- groups --------------------------------------------------------------------------------------


def test_options_for_groups_hold_for_their_pictures() -> None:
    options = replace(
        QUICK, style_blend_weights=(1, 3), style_scale=(1, 2), layers_of=("2=relu1_1",)
    )
    found = spread(options, [1, 3])
    assert found.style_blend_weights == (1, 1, 1, 1)
    assert found.style_scale == (1, 2, 2, 2)
    assert found.layers_of == ("2=relu1_1", "3=relu1_1", "4=relu1_1")
    assert spread(options, [1, 1]) is options


def test_options_for_single_pictures_of_groups_stay() -> None:
    options = replace(QUICK, style_blend_weights=(1, 2, 3, 4))
    assert spread(options, [1, 3]).style_blend_weights == (1, 2, 3, 4)
    with pytest.raises(OptionError, match="there are 2, a directory counting as one"):
        spread(replace(QUICK, layers_of=("3=relu1_1",)), [1, 3])
