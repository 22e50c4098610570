"""Flags are made from the options: the same names, defaults and help texts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.cli.flags import default_text, options_from
from impasto.engine.options import TEXTURE_ONLY, Options, flags
from impasto.engine.presets import PRESETS, preset_options
from impasto.errors import OptionError, UnknownNameError

NAMES = [item.name for item in fields(Options)]
TYPED = [item.name for item in fields(Options) if not isinstance(item.default, bool)]


@pytest.fixture
def help_entries(impasto: Callable[..., Any]) -> dict[str, str]:
    """Entries of the help page of `impasto paint` by long flag, each on one line."""
    page = impasto("paint", "--help").out
    entries = re.split(r"\n  (?=-)", page)
    return {
        flag: " ".join(entry.split("\n\n")[0].split())
        for entry in entries
        for flag in re.findall(r"(?:^|, )(--[a-z-]+)", entry.splitlines()[0])
    }


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TEXTURE_ONLY])
def test_help_shows_the_option(name: str, help_entries: dict[str, str]) -> None:
    (item,) = (item for item in fields(Options) if item.name == name)
    for flag in flags(name):
        entry = help_entries[flag]
        assert item.metadata["help"] in entry.replace("- ", "-")
    default = default_text(getattr(Options(), name))
    assert (f"[default: {default}]" in entry) is bool(default)


@pytest.mark.parametrize("name", TEXTURE_ONLY)
def test_what_only_textures_have_is_in_their_help(
    name: str, help_entries: dict[str, str], impasto: Callable[..., Any]
) -> None:
    (item,) = (item for item in fields(Options) if item.name == name)
    assert flags(name)[0] not in help_entries
    page = " ".join(impasto("texture", "--help").out.split())
    assert flags(name)[0] in page
    assert item.metadata["help"] in page


def test_help_fits_80_columns(impasto: Callable[..., Any]) -> None:
    for command in ("paint", "texture", "export", "models", "fetch", "doctor"):
        page = impasto(command, "--help")
        assert page.code == 0
        assert all(len(line) <= 80 for line in page.out.splitlines())


def test_help_groups_the_options(impasto: Callable[..., Any]) -> None:
    page = impasto("paint", "--help").out
    groups = {item.metadata["group"] for item in fields(Options)}
    assert groups <= set(re.findall(r"^(\w+):$", page, re.MULTILINE))


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_without_flags_is_the_preset(preset: str) -> None:
    assert options_from(preset, dict.fromkeys(NAMES)) == preset_options(preset, {})


def test_a_flag_wins_over_the_preset_even_with_the_usual_default() -> None:
    found = options_from("neural-style", {"iterations": str(Options().iterations), "init": None})
    assert found == replace(preset_options("neural-style", {}), iterations=Options().iterations)
    assert found.iterations != PRESETS["neural-style"]["iterations"]


def test_original_colors_is_short_for_content_luma() -> None:
    found = options_from("default", {"original_colors": True, "color": None})
    assert found == Options(color="content-luma")
    same = options_from("default", {"original_colors": True, "color": "content-luma"})
    assert same == found
    with pytest.raises(OptionError, match="short for --color content-luma, and --color style is"):
        options_from("default", {"original_colors": True, "color": "style"})


def test_lists_are_separated_by_commas() -> None:
    found = options_from(
        "default", {"style_layers": "relu2_1, relu1_1", "style_blend_weights": "1,0.5"}
    )
    assert found.style_layers == ("relu2_1", "relu1_1")
    assert found.style_blend_weights == (1.0, 0.5)


def test_one_number_or_several() -> None:
    assert options_from("default", {"style_scale": "0.5"}).style_scale == 0.5
    assert options_from("default", {"style_scale": "0.5, 2"}).style_scale == (0.5, 2)


def test_a_flag_that_is_repeated_gives_an_entry_each_time() -> None:
    given = {"layers_of": ["1=relu1_1,relu2_1", "2=relu1_1"]}
    assert options_from("default", given).layers_of == ("1=relu1_1,relu2_1", "2=relu1_1")
    assert options_from("default", {"layers_of": []}).layers_of == ()


def test_an_empty_list_is_empty() -> None:
    assert options_from("default", {"content_layers": ""}).content_layers == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_default_typed_again_is_the_default(name: str) -> None:
    text = default_text(getattr(Options(), name))
    assert options_from("default", {name: text or None}) == Options()


@settings(deadline=None, derandomize=True)
@given(name=st.sampled_from(TYPED), text=st.text(max_size=20))
def test_any_text_gives_options_or_a_refusal(name: str, text: str) -> None:
    with contextlib.suppress(OptionError, UnknownNameError):
        assert isinstance(options_from("default", {name: text}), Options)


NUMBERS = [name for name in TYPED if isinstance(getattr(Options(), name), int | float)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["many", "-7", "nan", "1e40", ""])
def test_a_wrong_number_is_refused_by_the_name_of_its_flag(name: str, text: str) -> None:
    with pytest.raises(OptionError, match=f"^{flags(name)[0]} is "):
        options_from("default", {name: text})
