"""The examples on the help pages: each can be parsed, and most are run."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.main import get_command

from impasto.cli.entry import app
from impasto.cli.examples import EXAMPLES

LINES = [line for lines in EXAMPLES.values() for line in lines]
RUN = [
    line for line in LINES if line.split()[1] in ("paint", "texture", "plan", "models", "export")
]
SMALL = ("--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1", "--threads", "1")


def command_of(line: str) -> tuple[Any, list[str]]:
    """Return the command of an example and its arguments, redirections left out."""
    _, *words = shlex.split(line.partition(">")[0])
    command: Any = get_command(app)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    return command, words


@pytest.mark.parametrize("line", LINES)
def test_examples_can_be_parsed(line: str) -> None:
    command, words = command_of(line)
    command.make_context("impasto", words)


def test_every_command_has_examples_that_are_its_own() -> None:
    group: Any = get_command(app)
    commands = {
        *(name for name, each in group.commands.items() if not hasattr(each, "commands")),
        *(f"presets {name}" for name in group.commands["presets"].commands),
    }
    assert commands == set(EXAMPLES), "give every command an example in cli/examples.py"
    for name, lines in EXAMPLES.items():
        assert f"{lines[0]} ".startswith(f"impasto {name} ")


@pytest.mark.parametrize("line", LINES)
def test_examples_fit_80_columns(line: str) -> None:
    assert len(line) <= 78


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_ends_with_the_examples(impasto: Callable[..., Any], command: str) -> None:
    page = impasto(*command.split(), "--help").out
    assert page.endswith("\n\nExamples:\n" + "".join(f"  {each}\n" for each in EXAMPLES[command]))


@pytest.mark.parametrize("line", RUN)
def test_examples_run(
    line: str,
    impasto: Callable[..., Any],
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(pictures)
    for name in ("photo.jpg", "painting.jpg", "one.jpg", "two.jpg"):
        with Image.open("photo.png" if name == "photo.jpg" else "painting.png") as image:
            image.save(name)
    Path("photos").mkdir()
    Path("photo.png").rename("photos/one.png")
    Path("ours.toml").write_text(impasto("presets", "show", "neural-style").out)
    _, *words = shlex.split(line)
    if words[0] in ("paint", "texture"):
        size = "48" if words[0] == "paint" else "48x32"
        words += [*SMALL[2 if words[0] == "texture" else 0 :], "--size", size, "--iterations", "2"]
    elif words[0] == "plan":
        words += [*SMALL, "--size", "64"]
    done = impasto(*words)
    assert done.code == 0, done.err
    if "--out-dir" in words:
        assert [path.name for path in Path("painted").iterdir()] == ["one.png"]
    if "-o" in words:
        assert Path(words[words.index("-o") + 1]).is_file()
