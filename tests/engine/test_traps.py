"""Warnings of known traps: each is given where it should be, and nowhere else."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from impasto import Options, preset_options, stylize
from impasto.engine.images import ByteArray
from impasto.engine.network import Network, network_for
from impasto.engine.options import Options as EngineOptions
from impasto.engine.traps import traps
from impasto.models import load_model

PLAIN = EngineOptions()
SIZES = ((600, 800),)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))


@pytest.fixture(scope="module")
def network() -> Network:
    return network_for(load_model("vgg19"), PLAIN)


def found(
    network: Network,
    options: Options = PLAIN,
    style_size: tuple[int, int] = (600, 800),
    content_size: tuple[int, int] = (384, 512),
) -> tuple[str, ...]:
    return traps("photo.jpg", ["style.jpg"], [style_size], content_size, network, options)


def test_usual_runs_have_none(network: Network) -> None:
    for name in ("default", "neural-style", "nin"):
        assert found(network, preset_options(name, {})) == ()


@pytest.mark.parametrize(
    ("size", "scale", "warned"),
    [
        ((150, 200), 1.0, True),
        ((200, 257), 1.0, False),
        ((600, 800), 4.0, True),
        ((60, 60), 0.1, False),
    ],
)
def test_small_styles(network: Network, size: tuple[int, int], scale: float, warned: bool) -> None:
    told = found(network, replace(PLAIN, style_scale=scale), size)
    assert len(told) == warned
    if warned:
        times = 512 * scale / max(size)
        assert f"{size[1]}x{size[0]} pixels and is enlarged {times:.1f} times" in told[0]
        again = replace(PLAIN, style_scale=float(told[0].split("--style-scale ")[1].split(",")[0]))
        assert found(network, again, size) == ()  # what is advised helps


@pytest.mark.parametrize(
    ("content", "style", "lost"),
    [(1, 1e7, "content"), (5, 1e-2, "style"), (5, 5e6, None), (0.05, 100, None), (0, 1e9, None)],
)
def test_weights(network: Network, content: float, style: float, lost: str | None) -> None:
    told = found(network, replace(PLAIN, content_weight=content, style_weight=style))
    assert [f"lets the {lost} hardly count" in each for each in told] == [True] * bool(lost)


def test_noise_takes_long(network: Network) -> None:
    assert (
        "From noise, 50 iterations"
        in found(network, replace(PLAIN, init="noise", iterations=50))[0]
    )
    assert found(network, replace(PLAIN, init="noise", iterations=200)) == ()


@pytest.mark.parametrize("content_layers", [("relu4_2",), ()])
def test_only_a_picture_with_a_content_can_begin_from_it(
    network: Network, content_layers: tuple[str, ...]
) -> None:
    asked = replace(PLAIN, init="noise", iterations=50, content_layers=content_layers)
    (told,) = (each for each in found(network, asked) if "From noise" in each)
    assert ("--init recolored" in told) == bool(content_layers)


def test_rates_of_other_programs(network: Network) -> None:
    adam = replace(PLAIN, optimizer="adam", learning_rate=0.02)
    assert "--learning-rate 0.02" in found(network, adam)[0]
    assert found(network, replace(adam, learning_rate=1)) == ()
    assert found(network, replace(adam, optimizer="lbfgs-numpy")) == ()


def test_a_variation_that_outweighs_what_is_normalised(network: Network) -> None:
    both = replace(PLAIN, normalize_gradients=True, normalize_weights=True)
    (told,) = found(network, both)
    assert "--tv-weight 0.001 outweighs" in told
    advised = float(told.split("Give --tv-weight ")[1].rstrip("."))
    assert found(network, replace(both, tv_weight=advised)) == ()
    assert found(network, replace(both, normalize_weights=False)) == ()
    assert found(network, replace(both, normalize_gradients=False)) == ()


def test_few_places_to_judge_by(network: Network) -> None:
    (told,) = found(network, replace(PLAIN, size=64), content_size=(48, 64))
    assert "At 64x48 pixels relu5_1 sees 4 places in a row" in told
    size = int(told.split("--size ")[1].split()[0])
    assert found(network, replace(PLAIN, size=size), content_size=(size // 2, size)) == ()


def test_the_same_picture(network: Network, tmp_path: Path) -> None:
    path, link = tmp_path / "one.png", tmp_path / "two.png"
    path.write_bytes(b"x")
    link.symlink_to(path)
    for content, style in ((path, str(link)), (np.zeros((2, 2, 3), np.uint8),) * 2):
        (told,) = traps(content, [style], SIZES, (384, 512), network, PLAIN)
        assert "are the same picture" in told
    other = np.ones((2, 2, 3), np.uint8)
    assert traps(other, [other * 2], SIZES, (384, 512), network, PLAIN) == ()


def picture(seed: int) -> ByteArray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_a_run_warns_once_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    options = Options(
        size=48,
        iterations=1,
        init="noise",
        content_layers=("relu2_1",),
        style_layers=("relu1_1",),
        backend="onnxruntime",
        threads=1,
    )
    with caplog.at_level(logging.WARNING):
        result = stylize(picture(1), [picture(2)], options)
    assert result.iterations == 1
    (warned,) = [each for each in caplog.messages if "From noise" in each]
    assert result.warnings == (warned,)
    assert result.summary()["warnings"] == [warned]
