"""The command of a run leads back to its options, through a shell and the real command line."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from impasto.cli.entry import app
from impasto.cli.flags import options_from
from impasto.engine.canvas import Canvas
from impasto.engine.options import ColorChoice, Options
from impasto.engine.presets import PRESETS, preset_options
from impasto.engine.reproduction import changed_options, command_line, shell_text
from impasto.engine.texture import texture_options

NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=12
)


def parsed(arguments: tuple[str, ...]) -> tuple[dict[str, Any], Options]:
    """Return what ``impasto paint`` makes of a command: its own parameters, and the options."""
    program, command, *rest = arguments
    assert (program, command) == ("impasto", "paint")
    group: Any = get_command(app)
    context = group.commands["paint"].make_context("paint", rest)
    names = set(Options().to_dict())
    given_options = {key: value for key, value in context.params.items() if key in names}
    own = {key: value for key, value in context.params.items() if key not in names}
    return own, options_from(own["preset"], given_options)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(16, 4096),
    content_weight=st.floats(0, 1e30),
    style_layers=st.lists(st.sampled_from(["relu1_1", "relu5_4", "conv3_2"]), min_size=1),
    blend=st.lists(st.floats(0.01, 1e9), max_size=3),
    color=st.sampled_from(get_args(ColorChoice)),
    init=st.sampled_from(["content", "recolored", "noise", "-a picture.png"]),
    seed=st.integers(-1, 2**63 - 1),
    weights=st.none() | st.sampled_from([Path("a b.pth"), Path("/x/'$HOME'.h5")]),
    tile=st.sampled_from(["auto", "whole", "64"]),
    style_scale=st.sampled_from([0.5, (1.0, 0.25)]),
    mask=st.lists(st.sampled_from(["all", "a, b.png", "-m.png"]), max_size=3),
    content_mask=st.sampled_from(["", "a b.png"]),
)
def test_the_command_line_reads_back_what_was_written(blend: list[float], **values: Any) -> None:
    lists: dict[str, Any] = {name: tuple(values.pop(name)) for name in ("style_layers", "mask")}
    lists["style_blend_weights"] = tuple(blend)
    options = Options(**values, **lists)
    _, read = parsed(command_line("a.jpg", ["b.jpg"], options, "out.png"))
    assert read == options


def test_a_texture_is_made_by_its_own_command() -> None:
    canvas = Canvas(height=48, width=96)
    options = texture_options(Options(iterations=7, style_scale=0.5), canvas)
    arguments = command_line(canvas, ["a.jpg", "b.jpg"], options, "out.png")
    assert arguments == (
        *("impasto", "texture", "a.jpg", "b.jpg", "-o", "out.png", "--size", "96x48"),
        *("--style-scale", "0.5", "--iterations", "7"),
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_written_out(preset: str) -> None:
    options = preset_options(preset, {})
    arguments = command_line("a.jpg", ["b.jpg"], options, "out.png")
    assert "--preset" not in arguments
    own, read = parsed(arguments)
    assert (own["preset"], read) == ("default", options)


def test_defaults_are_left_out() -> None:
    assert changed_options(Options()) == ()
    assert command_line("a.jpg", ["b", "c"], Options(), "o.png") == (
        *("impasto", "paint", "a.jpg", "b", "c", "-o", "o.png"),
    )


@settings(max_examples=40, deadline=None)
@given(content=NAMES, style=NAMES)
def test_any_file_name_stays_a_file_name(content: str, style: str) -> None:
    arguments = command_line(content, [style], Options(), "out.png")
    assert shlex.split(shell_text(arguments)) == list(arguments)
    own, _ = parsed(arguments)
    assert [str(own["content"]), *map(str, own["styles"])] == [
        str(Path(name)) for name in (content, style)
    ]


@pytest.mark.parametrize("name", ["a b.jpg", "it's.jpg", "$(touch hacked).jpg", "-o.jpg", "a\nb"])
def test_a_real_shell_sees_the_same_arguments(name: str, tmp_path: Path) -> None:
    arguments = command_line(name, ["b.jpg"], Options(), "out.png")
    line = shell_text(arguments)
    done = subprocess.run(
        ["sh", "-c", f"printf '%s\\0' {line}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split("\0")[:-1] == list(arguments)
    assert not list(tmp_path.iterdir())
