"""Runs in strips and at several scales, end to end."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pictures import EXAMPLES

from impasto import Iterate, Options, Status, stylize
from impasto.engine.execution import open_objective
from impasto.errors import OptionError

PHOTO, PAINTING = EXAMPLES / "chelsea.jpg", EXAMPLES / "village_street.jpg"
QUICK = Options(size=64, iterations=5, backend="onnxruntime", seed=1, optimizer="adam")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.getbasetemp() / "impasto-cache"))


def test_strips_paint_the_same_picture_as_one_piece() -> None:
    whole = stylize(PHOTO, [PAINTING], replace(QUICK, tile="whole"))
    cut = stylize(PHOTO, [PAINTING], replace(QUICK, tile="16"))
    assert whole.execution["mode"] == "whole"
    assert cut.execution["mode"] == "tiled"
    assert cut.execution["parts"] > 5
    assert cut.execution["part_size"] == 16
    difference = np.abs(whole.image.astype(int) - cut.image)
    assert difference.max() <= 2
    assert cut.loss == pytest.approx(whole.loss, rel=1e-3)


def test_scales_lead_to_the_full_size() -> None:
    seen: list[Iterate] = []
    result = stylize(PHOTO, [PAINTING], replace(QUICK, scales="32,48"), callback=seen.append)
    assert result.sizes == ((32, 21), (48, 32), (64, 43))
    assert [step.scale for step in seen] == [1] * 5 + [2] * 5 + [3] * 5
    assert [step.iteration for step in seen] == list(range(1, 16))
    assert {step.iterations for step in seen} == {15}
    assert [step.image.shape[1] for step in seen[::5]] == [32, 48, 64]
    assert result.image.shape == (43, 64, 3)
    assert result.iterations == result.evaluations == 15
    assert json.loads(json.dumps(result.summary()))["scales"] == [[32, 21], [48, 32], [64, 43]]


@pytest.mark.parametrize("optimizer", ["lbfgs-numpy", "adam"])
def test_a_finer_scale_begins_better_than_from_the_photo(optimizer: str) -> None:
    options = replace(QUICK, optimizer=optimizer, iterations=20)  # type: ignore[arg-type]
    coarse: list[Iterate] = []
    stylize(PHOTO, [PAINTING], replace(options, scales="32"), callback=coarse.append)
    single: list[Iterate] = []
    stylize(PHOTO, [PAINTING], replace(options, iterations=1), callback=single.append)
    first = next(step for step in coarse if step.scale == 2)
    assert first.loss < 0.9 * single[0].loss


def test_a_run_cancelled_at_a_coarse_scale_gives_a_picture_of_the_full_size() -> None:
    result = stylize(
        PHOTO, [PAINTING], replace(QUICK, scales="32"), callback=lambda step: step.iteration < 3
    )
    assert result.status is Status.CANCELLED
    assert result.image.shape == (43, 64, 3)
    assert result.sizes == ((32, 21),)
    assert result.iterations == 3


def test_a_budget_that_is_too_small_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(OptionError, match="needs about"):
        stylize(PHOTO, [PAINTING], replace(QUICK, memory="1M"))


def test_a_scale_is_forgotten_before_the_next_one_takes_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the garbage collector: its next turn may be too late."""
    made: list[weakref.ref[object]] = []
    alive: list[int] = []

    def watched(*arguments: Any, **named: Any) -> object:
        alive.append(sum(each() is not None for each in made))
        objective = open_objective(*arguments, **named)
        made.append(weakref.ref(objective))
        return objective

    monkeypatch.setattr("impasto.engine.painting.open_objective", watched)
    gc.disable()
    try:
        stylize(PHOTO, [PAINTING], replace(QUICK, scales="32,48", iterations=2))
    finally:
        gc.enable()
    assert alive == [0, 0, 0]


def test_adam_goes_on_improving_at_every_scale() -> None:
    """Its moments are carried up with the picture: finite, and of use from the first step."""
    seen: list[Iterate] = []
    options = replace(QUICK, scales="32,48", iterations=12)
    result = stylize(PHOTO, [PAINTING], options, callback=seen.append)
    for scale in (1, 2, 3):
        losses = [step.loss for step in seen if step.scale == scale]
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0]
    assert result.loss == min(step.loss for step in seen if step.scale == 3)
