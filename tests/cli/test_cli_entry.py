"""What holds for every command: help, version, errors that nobody foresaw, closed pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from impasto import __version__

COMMANDS = ("paint", "models", "fetch", "export", "doctor", "bench")


def test_version(impasto: Callable[..., Any]) -> None:
    result = impasto("--version")
    assert (result.code, result.out, result.err) == (0, f"impasto {__version__}\n", "")


def test_help_lists_the_commands(impasto: Callable[..., Any]) -> None:
    result = impasto("--help")
    assert result.code == 0
    assert all(f"\n  {command}  " in result.out for command in COMMANDS)


def test_no_arguments_are_a_request_for_help(impasto: Callable[..., Any]) -> None:
    assert impasto() == impasto("--help")


def test_module_is_a_command() -> None:
    command = [sys.executable, "-m", "impasto", "--version"]
    assert subprocess.check_output(command, text=True) == f"impasto {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from impasto.cli import app;"
        "app(['paint', '--help'], standalone_mode=False);"
        "heavy = {'numpy', 'scipy', 'onnx', 'onnxruntime', 'openvino', 'PIL', 'requests'};"
        "print('imported:', *sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert printed.splitlines()[-1] == "imported:"


def _broken() -> NoReturn:
    raise KeyError("lost")


def test_a_bug_is_one_line(impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.models.list_models", _broken)
    result = impasto("models")
    assert (result.code, result.out) == (1, "")
    (line,) = result.err.splitlines()
    assert line.startswith("impasto: KeyError: 'lost'.")
    assert "bug" in line
    assert "--debug" in line


def test_debug_shows_the_traceback(
    impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.models.list_models", _broken)
    result = impasto("models", "--debug")
    assert result.code == 1
    assert "Traceback" in result.err
    assert "_broken" in result.err


def test_debug_shows_where_a_refusal_comes_from(impasto: Callable[..., Any]) -> None:
    result = impasto("fetch", "nix", "--debug")
    assert result.code == 2
    assert "Traceback" in result.err
    assert len(result.messages) == 1


def test_nobody_reads_standard_output(impasto_process: Callable[..., Any]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = impasto_process("models", stdout=writing)
    os.close(writing)
    _, err = process.communicate()
    assert (process.returncode, err) == (1, "")
