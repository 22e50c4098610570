"""Shell completion, asked as shells ask."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from impasto.models import model_spec

Ask = Callable[[str], list[str]]


@pytest.fixture
def ask(tmp_path: Path, capfd: pytest.CaptureFixture[str], impasto: Any) -> Ask:
    """Return what bash is offered for the last word of a line."""

    def offered(line: str) -> list[str]:
        words = line.split(" ")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("IMPASTO_CONFIG", str(tmp_path))
            patch.setenv("_IMPASTO_COMPLETE", "complete_bash")
            patch.setenv("COMP_WORDS", line)
            patch.setenv("COMP_CWORD", str(len(words) - 1))
            done = impasto()
        assert done.code == 0
        assert done.err == ""
        return list(done.out.splitlines())

    return offered


def test_commands_and_flags(ask: Ask) -> None:
    assert {"paint", "plan", "presets"} <= set(ask("impasto p"))
    assert ask("impasto paint --style-w") == ["--style-weight"]


def test_choices(ask: Ask) -> None:
    assert ask("impasto paint --color content-") == [
        "content-luma",
        "content-luma-lab",
        "content-match",
    ]
    assert ask("impasto paint --pooling ") == ["max", "avg"]
    assert ask("impasto paint --init n") == ["noise"]
    assert ask("impasto paint --init re") == ["recolored"]


def test_models(ask: Ask) -> None:
    assert ask("impasto paint --model vgg16-c") == ["vgg16-caffe"]
    assert ask("impasto fetch ni") == ["nin"]
    assert ask("impasto export ni") == ["nin"]


def test_presets_of_the_user_too(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "new.toml").write_text("size = 64")
    for line in ("impasto paint --preset ne", "impasto presets show ne"):
        assert ask(line) == ["neural-style", "new"]


def test_layers_are_those_of_the_chosen_model(ask: Ask) -> None:
    assert ask("impasto paint --content-layers relu4_") == [
        f"relu4_{number}" for number in (1, 2, 3, 4)
    ]
    nin = [name for name in model_spec("nin").architecture.layer_names if name.startswith("relu1")]
    assert ask("impasto paint --model nin --content-layers relu1") == nin
    assert ask("impasto paint --preset nin --content-layers relu1") == nin


def test_lists_go_on_after_a_comma(ask: Ask) -> None:
    assert ask("impasto paint --style-layers relu1_1,relu1_") == ["relu1_1,relu1_2"]


def test_mistakes_before_the_word_do_no_harm(ask: Ask) -> None:
    assert ask("impasto paint --model nothing --style-layers relu1_") == ["relu1_1", "relu1_2"]
    assert ask("impasto paint --preset nothing --style-layers relu1_2") == ["relu1_2"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell: str, impasto: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_IMPASTO_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "impasto paint --pooling ")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    done = impasto()
    assert done.code == 0
    assert re.findall(r"\b(max|avg)\b", done.out) == ["max", "avg"]


def test_no_runtime_is_imported_for_it() -> None:
    program = (
        "import sys\nfrom impasto.cli import main\ntry: main([])\nexcept SystemExit: pass\n"
        "print(*(name for name in ('onnxruntime', 'openvino', 'scipy', 'onnx', 'PIL') "
        "if name in sys.modules))"
    )
    line = "impasto paint --style-layers relu1_2"
    asked = {"_IMPASTO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "relu1_2\n\n"


def test_a_real_bash_offers_the_words(tmp_path: Path) -> None:
    script = subprocess.run(
        [sys.executable, "-m", "impasto", "--show-completion"],
        env={**os.environ, "_IMPASTO_COMPLETE": "source_bash"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "complete -o default -F _impasto_completion impasto" in script
    bash = shutil.which("bash")
    assert bash is not None
    asking = (
        f"{script}\nCOMP_WORDS=(impasto paint --pooling a); COMP_CWORD=3\n"
        '_impasto_completion impasto\necho "${COMPREPLY[@]}"'
    )
    here = str(Path(sys.executable).parent)
    done = subprocess.run(
        [bash, "--norc", "-c", asking],
        env={**os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "avg\n"
