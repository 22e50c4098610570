"""`impasto sweep`: the sheet, the cells' files, the values that are read, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from impasto.cli.flags import values_of
from impasto.errors import OptionError

Impasto = Callable[..., Any]


@pytest.fixture
def job(pictures: Path, quick: tuple[str, ...]) -> tuple[Any, ...]:
    out = pictures / "sheet.png"
    return ("sweep", pictures / "photo.png", pictures / "painting.png", "-o", out, *quick)


def test_a_grid_with_a_cell_that_fails(
    impasto: Impasto, pictures: Path, job: tuple[Any, ...]
) -> None:
    over = ("--over", "style-layers=relu1_1;relu1_1,relu9_9", "--over", "style_weight=10,1e4")
    done = impasto(*job, *over, "--cells", pictures / "cells", "--json")
    assert done.code == 0
    told = json.loads(done.out)
    assert told["over"] == {
        "style_layers": [["relu1_1"], ["relu1_1", "relu9_9"]],
        "style_weight": [10.0, 10000.0],
    }
    assert [("error" in cell, cell["file"] is None) for cell in told["cells"]] == [
        *((False, False), (False, False), (True, True), (True, True)),
    ]
    assert told["cells"][1]["options"]["style_weight"] == 1e4
    assert {path.name for path in (pictures / "cells").iterdir()} == {"001.png", "002.png"}
    with Image.open(pictures / "sheet.png") as sheet:
        assert sheet.width > 2 * 150
        assert "Impasto" in sheet.info
    assert "relu1_1,relu9_9, style_weight 10 failed: Unknown" in done.err


def test_the_last_line_is_the_sheet(impasto: Impasto, job: tuple[Any, ...]) -> None:
    done = impasto(*job, "--over", "size=32,48")
    assert (done.code, done.last_line) == (0, str(job[4]))


def test_all_cells_failed_is_a_failure(impasto: Impasto, job: tuple[Any, ...]) -> None:
    done = impasto(*job, "--over", "size=3,4")
    assert done.code == 1
    assert job[4].exists()


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (("--over", "style_weight"), "it takes an option and values"),
        (("--over", "style_wait=1,2"), "Did you mean 'style_weight'"),
        (("--over", "style_weight=1,many"), "it takes a number"),
        (("--over", "print_every=1,2"), "changes a picture"),
        (("--over", "tileable=on,off"), "What can be swept: size, content_weight, style_weight"),
        (("--over", "size=32,48", "--tileable"), "No such option: --tileable"),
        ((), "--over"),
    ],
)
def test_what_makes_no_sheet_is_refused(
    over: tuple[str, ...], said: str, impasto: Impasto, job: tuple[Any, ...]
) -> None:
    done = impasto(*job, *over)
    assert done.code == 2
    assert said in done.err
    assert not job[4].exists()


def test_ctrl_c_draws_what_there_is(
    impasto: Impasto, job: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.cli.interruption import Interruption

    # As if it came during the first step.
    monkeypatch.setattr(Interruption, "defer", lambda self: setattr(self, "signal", 2))
    done = impasto(*job, "--over", "style_weight=1,2,3", "--json")
    assert done.code == 130
    assert len(json.loads(done.out)["cells"]) == 1
    assert job[4].exists()


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("size", "128, 256", (128, 256)),
        ("style_layers", "relu1_1,relu2_1; relu3_1", (("relu1_1", "relu2_1"), ("relu3_1",))),
        ("style_layers", "relu1_1,relu2_1", (("relu1_1", "relu2_1"),)),
        ("scales", "1;256,512", ("1", "256,512")),
        ("optimizer", "adam,lbfgs", ("adam", "lbfgs")),
        ("cudnn_autotune", "on,off", (True, False)),
    ],
)
def test_values_are_read(name: str, text: str, values: tuple[Any, ...]) -> None:
    assert values_of(name, text) == values


def test_a_switch_is_on_or_off() -> None:
    with pytest.raises(OptionError, match="it takes on or off"):
        values_of("cudnn_autotune", "on,maybe")
