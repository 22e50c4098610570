"""``impasto presets``, and presets given to other commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from impasto.engine.presets import PRESETS, preset_options

Impasto = Callable[..., Any]


@pytest.fixture(autouse=True)
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMPASTO_CONFIG", str(tmp_path / "config"))
    directory = tmp_path / "config" / "presets"
    directory.mkdir(parents=True)
    (directory / "loud.toml").write_text('description = "Loud strokes"\nstyle-weight = 5000\n')
    return directory


def test_the_list_says_what_each_changes(impasto: Impasto, presets: Path) -> None:
    listed = impasto("presets")
    assert listed.code == 0
    assert "loud: Loud strokes\n    style-weight = 5000\n" in listed.out
    assert "neural-style: " in listed.out
    assert listed.last_line == f"Your presets: {presets}"
    assert listed.err == ""


def test_a_broken_file_is_a_warning(impasto: Impasto, presets: Path) -> None:
    (presets / "broken.toml").write_text("size = 1")
    listed = impasto("presets", "--json")
    assert listed.code == 0
    names = [entry["name"] for entry in json.loads(listed.out)]
    assert names == [*PRESETS, "loud"]
    assert listed.messages == [
        f"impasto: warning: {presets}/broken.toml: --size is 1; it takes a number from 16 to "
        "131072."
    ]


@pytest.mark.parametrize("name", [*PRESETS, "loud"])
def test_shown_presets_are_presets(impasto: Impasto, tmp_path: Path, name: str) -> None:
    shown = impasto("presets", "show", name)
    assert shown.code == 0
    path = tmp_path / "saved.toml"
    path.write_text(shown.out)
    assert preset_options(str(path), {}) == preset_options(name, {})


def test_unknown_presets_are_refused(impasto: Impasto) -> None:
    for command in (
        ("presets", "show", "lout"),
        ("paint", "a", "b", "-o", "c", "--preset", "lout"),
    ):
        refused = impasto(*command)
        assert refused.code == 2
        assert "Did you mean 'loud'?" in refused.err


def test_pictures_are_painted_with_presets(impasto: Impasto, pictures: Path, presets: Path) -> None:
    (pictures / "small.toml").write_text(
        'extends = "loud"\nsize = 48\niterations = 2\nthreads = 1\ncontent-layers = ["relu2_1"]\n'
        'style-layers = ["relu1_1"]\n'
    )
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    done = impasto(*job, "--preset", pictures / "small.toml", "--iterations", "3", "--json")
    assert done.code == 0
    options = json.loads(done.out)["options"]
    assert (options["style_weight"], options["size"], options["iterations"]) == (5000, 48, 3)
