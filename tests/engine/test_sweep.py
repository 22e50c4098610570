"""A sweep: each cell is the run it says it is, and one that fails stops no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.engine.contact_sheet import MOST_PIXELS, contact_sheet
from impasto.engine.options import Options
from impasto.engine.result import Iterate
from impasto.engine.stylize import stylize
from impasto.engine.sweep import Axis, Cell, sweep, sweep_iterations
from impasto.errors import OptionError

SMALL = Options(
    size=32,
    iterations=2,
    content_layers=("relu1_1",),
    style_layers=("relu1_1",),
    seed=1,
    threads=1,
    backend="onnxruntime",
)
PHOTO, PAINTING = (
    np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8) for seed in (1, 2)
)


def test_each_cell_is_the_run_with_its_values() -> None:
    axes = [Axis("style_weight", (10.0, 1e4)), Axis("content_weight", (1.0, 50.0))]
    cells = list(sweep(PHOTO, [PAINTING], SMALL, axes))
    assert [tuple(cell.values.values()) for cell in cells] == [
        *((10.0, 1.0), (10.0, 50.0), (1e4, 1.0), (1e4, 50.0)),
    ]
    alone = stylize(
        *(PHOTO, [PAINTING]),
        Options(**{**vars(SMALL), "style_weight": 1e4, "content_weight": 50.0}),
    )
    assert cells[3].result is not None
    assert np.array_equal(cells[3].result.image, alone.image)
    assert cells[3].result.loss == alone.loss
    assert len({cell.result.loss for cell in cells if cell.result}) == 4


def test_a_cell_that_fails_stops_no_other_and_steps_are_counted_over_all() -> None:
    axes = [Axis("style_layers", (("relu1_1",), ("relu9_9",), ("relu1_2",)))]
    steps: list[tuple[int, int]] = []

    def on_step(iterate: Iterate) -> None:
        steps.append((iterate.iteration, iterate.iterations))

    cells = list(sweep(PHOTO, [PAINTING], SMALL, axes, callback=on_step))
    assert [cell.result is None for cell in cells] == [False, True, False]
    assert "relu9_9" in cells[1].error
    assert steps == [(1, 6), (2, 6), (5, 6), (6, 6)]


def test_options_that_are_refused_are_a_failed_cell() -> None:
    axes = [Axis("size", (3, 32))]
    cells = list(sweep(PHOTO, [PAINTING], SMALL, axes))
    assert "--size is 3" in cells[0].error
    assert cells[1].result is not None
    assert sweep_iterations(SMALL, axes) == 2


def test_a_callback_ends_the_sweep_with_the_picture_there_is() -> None:
    axes = [Axis("style_weight", (1.0, 2.0, 3.0))]
    cells = list(sweep(PHOTO, [PAINTING], SMALL, axes, callback=lambda step: step.iteration < 3))
    assert len(cells) == 2
    assert all(cell.result for cell in cells)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ([], "one option or two"),
        ([Axis("size", (32,))] * 2, "one option or two different"),
        ([Axis("size", ())], "no values"),
        ([Axis("print_every", (1, 2))], "changes a picture"),
        ([Axis("sizes", (1, 2))], "changes a picture"),
        ([Axis("size", tuple(range(32, 133)))], "101 runs; a sweep takes 100"),
    ],
)
def test_axes_that_make_no_sheet_are_refused(axes: list[Axis], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        list(sweep(PHOTO, [PAINTING], SMALL, axes))


def flat(level: int, **values: Any) -> Cell:
    (cell,) = sweep(PHOTO, [PAINTING], SMALL, [Axis("iterations", (1,))])
    assert cell.result is not None
    pixels = np.full((24, 32, 3), level, np.uint8)
    return Cell(values, _with_image(cell.result, pixels))


def _with_image(result: Any, pixels: Any) -> Any:
    return type(result)(**{**vars(result), "image": pixels})


def test_the_sheet_shows_each_picture_in_its_place() -> None:
    axes = [Axis("style_weight", (1.0, 2.0)), Axis("size", (32, 64, 96))]
    cells = [flat(level) for level in (40, 80, 120, 160, 200)]
    cells.insert(2, Cell({}, error="no such layer " * 30))
    sheet = contact_sheet(cells, axes)
    flat_colours = [np.argwhere((sheet == level).all(axis=2)) for level in (40, 80, 120, 160, 200)]
    tops = [tuple(places.min(axis=0)) for places in flat_colours]
    assert all(len(places) >= 24 * 32 for places in flat_colours)
    (a, b, d, e, f) = tops
    assert a[0] == b[0] < d[0] == e[0] == f[0]
    assert a[1] == d[1] < b[1] == e[1] < f[1]


def test_one_axis_wraps_and_missing_cells_are_shown_as_such() -> None:
    axes = [Axis("style_weight", tuple(float(n) for n in range(1, 9)))]
    sheet = contact_sheet([flat(40)] * 3, axes)
    assert sheet.shape[1] < 6 * 200
    assert sheet.shape[0] > 2 * 24
    assert (sheet == (0xEC, 0xE7, 0xDE)).all(axis=2).sum() > 5 * 24 * 100


def test_what_is_transparent_is_white_on_the_sheet(tmp_path: Path) -> None:
    """What a picture hides there, here a pure red, is not to be seen."""
    hidden = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, np.uint8)])
    hidden[:, :16] = (255, 0, 0, 0)
    Image.fromarray(hidden).save(tmp_path / "cut out.png")
    axes = [Axis("style_weight", (10.0, 1e4))]
    cells = list(sweep(tmp_path / "cut out.png", [PAINTING], SMALL, axes))
    white = []
    for cell in cells:
        assert cell.result is not None
        assert (cell.result.image[:, :16] == (255, 0, 0)).all()
        pixels = cell.result.image.copy()
        pixels[:, :16] = 255
        opaque = _with_image(cell.result, pixels)
        white.append(Cell(cell.values, replace(opaque, alpha=None)))
    assert np.array_equal(contact_sheet(cells, axes), contact_sheet(white, axes))


def test_a_sheet_is_bounded() -> None:
    one = flat(40)
    large = Cell({}, _with_image(one.result, np.zeros((900, 900, 3), np.uint8)))
    axes = [Axis("style_weight", tuple(float(n) for n in range(1, 51))), Axis("size", (32, 64))]
    sheet = contact_sheet([large] * 100, axes, cell_size=900)
    assert max(sheet.shape) <= MOST_PIXELS
