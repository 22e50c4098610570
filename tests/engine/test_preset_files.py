"""Presets in files: what is written is read, what is wrong is refused by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from impasto.engine.options import Options
from impasto.engine.preset_files import (
    LIMIT,
    preset_directory,
    preset_files,
    preset_text,
    read_preset,
)
from impasto.engine.presets import (
    PRESETS,
    find_preset,
    list_presets,
    preset_names,
    preset_options,
)
from impasto.errors import OptionError, UnknownNameError, UsageError

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMPASTO_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, path: Path = tmp_path / "mine.toml") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_names_are_options_with_dashes_or_underscores(write: Write) -> None:
    path = write('style-weight = 5\nstyle_layers = ["relu1_1"]\ncolor = "style-match"\n')
    expected = Options(style_weight=5, style_layers=("relu1_1",), color="style-match")
    assert preset_options(str(path), {}) == expected
    assert preset_options(str(path), {"style_weight": 7.0}) == replace(expected, style_weight=7.0)


def test_a_user_s_file_has_a_name(write: Write) -> None:
    write("style-weight = 5", preset_directory() / "loud.toml")
    write("style-weight = 6", preset_directory() / "nin.toml")
    write("style-weight = 6", preset_directory() / ".hidden.toml")
    (preset_directory() / "folder.toml").mkdir()
    assert sorted(preset_files()) == ["loud", "nin"]
    assert preset_names() == [*PRESETS, "loud"]
    assert preset_options("loud", {}) == Options(style_weight=5)
    # What manuals mention is the same for everybody.
    assert preset_options("nin", {}).style_weight == PRESETS["nin"]["style_weight"]


def test_without_a_directory_there_are_the_built_in_ones() -> None:
    assert preset_names() == list(PRESETS)
    with pytest.raises(UnknownNameError, match="Did you mean 'nin'"):
        preset_options("nim", {})


def test_a_name_cannot_lead_out_of_the_directory(write: Write, tmp_path: Path) -> None:
    write("style-weight = 5", preset_directory().parent / "outside.toml")
    for name in ("../outside", f"..{os.sep}outside"):
        with pytest.raises(OptionError, match="cannot be read"):
            preset_options(name, {})


def test_presets_build_on_others(write: Write, tmp_path: Path) -> None:
    write('extends = "nin"\niterations = 3\ndescription = "short"', preset_directory() / "q.toml")
    path = write('extends = "q"\nseed = 1')
    assert preset_options(str(path), {}) == replace(preset_options("nin", {}), iterations=3, seed=1)
    deeper = write('extends = "../mine.toml"\nseed = 2', tmp_path / "deeper" / "x.toml")
    assert preset_options(str(deeper), {}).seed == 2
    assert find_preset("q").description == "short"


def test_a_circle_is_refused(write: Write) -> None:
    path = write('extends = "./mine.toml"')
    with pytest.raises(OptionError, match="builds on itself"):
        find_preset(str(path))


def test_paths_are_relative_to_the_file(write: Write, tmp_path: Path) -> None:
    path = write('weights = "nets/a.pth"\ninit = "../first.png"', tmp_path / "kept" / "mine.toml")
    options = preset_options(str(path), {})
    assert options.weights == tmp_path / "kept" / "nets" / "a.pth"
    assert Path(options.init) == tmp_path / "kept" / ".." / "first.png"
    assert preset_options(str(write('init = "noise"')), {}).init == "noise"


REFUSED = {
    "styl-weight = 5": r"mine.toml: 'styl_weight'. Did you mean 'style_weight'",
    "style-weight = 5\nstyle_weight = 5": "style_weight twice",
    'style-weight = "5"': r"mine.toml: --style-weight is '5', a str",
    "style-weight = true": "--style-weight is True",
    "size = 1": "mine.toml: --size is 1",
    "size = 64.5": "--size is 64.5",
    "style-layers = [1]": "--style-layers has an entry 1",
    "style-layers = [[[]]]": "--style-layers has an entry",
    'style-layers = "relu1_1"': "--style-layers is 'relu1_1'",
    "size = 1979-05-27": "--size is datetime.date",
    "color = {a = 1}": "--color is {'a': 1}",
    "weights = 3": "--weights is 3",
    "init = 3": "--init is 3",
    'init = ""': "--init is empty",
    'color = "blue"': "mine.toml: Unknown --color 'blue'",
    'checkpoint = "/home/me"': "cannot say where checkpoints are written",
    "checkpoint = 3": "cannot say where checkpoints are written",
    "extends = 3": "extends is 3",
    'extends = "nobody"': "Unknown preset 'nobody'",
    'extends = "nobody.toml"': "nobody.toml cannot be read",
    "description = []": "description is",
    "not toml": "no preset in TOML",
    "x = " + "[" * 5000: "no preset in TOML",
    "size = " + "9" * 5000: "no preset in TOML",
    "#" * (LIMIT + 1): "more than 65536 bytes",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_wrong_is_said(write: Write, text: str) -> None:
    with pytest.raises(UsageError, match=REFUSED[text]):
        preset_options(str(write(text)), {})


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b'description = "\xe9"')
    os.mkfifo(tmp_path / "pipe.toml")  # opening it would wait for ever
    for name in ("folder.toml", "latin.toml", "pipe.toml", "absent.toml", "a\0b.toml"):
        with pytest.raises(OptionError, match=r"\.toml"):
            read_preset(tmp_path / name)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_a_preset_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.toml"
    path.write_bytes(content)
    try:
        options = preset_options(str(path), {})
    except UsageError as error:
        told = str(error)
    else:
        assert isinstance(options, Options)
        return
    assert "any.toml" in told


TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=20)
# What follows an "=" in a layer's name is its weight, and would have to be a number.
LAYERS = TEXTS.filter(lambda text: text.strip() != "" and "=" not in text)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(16, 4096),
        "style_weight": st.floats(0, 1e30),
        "style_layers": st.lists(LAYERS, min_size=1).map(tuple),
        "style_blend_weights": st.lists(st.floats(0.01, 1e9)).map(tuple),
        "color": st.sampled_from(["style", "content-match"]),
        "cudnn_autotune": st.booleans(),
        "seed": st.integers(-1, 2**63 - 1),
        "weights": st.just(Path("/somewhere/a b.pth")),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, description=TEXTS)
def test_what_is_written_is_read(tmp_path: Path, changes: dict[str, Any], description: str) -> None:
    path = tmp_path / "again.toml"
    path.write_text(preset_text(changes, description), "utf-8", newline="\n")
    found = find_preset(str(path))
    assert found.changes == changes
    assert found.description == description


@pytest.mark.parametrize("name", PRESETS)
def test_a_built_in_preset_as_a_file_is_the_same(write: Write, name: str) -> None:
    path = write(find_preset(name).text())
    assert preset_options(str(path), {}) == preset_options(name, {})


def test_old_names_are_read(write: Write) -> None:
    assert preset_options(str(write("original-colors = true")), {}).color == "content-luma"


def test_a_broken_file_does_not_hide_the_others(write: Write) -> None:
    write("size = 1", preset_directory() / "broken.toml")
    write("size = 64", preset_directory() / "whole.toml")
    broken, whole = list(list_presets())[-2:]
    assert isinstance(broken, OptionError)
    assert "broken.toml" in str(broken)
    assert whole == find_preset("whole")
