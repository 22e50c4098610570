"""Warnings reach the person and the program that asked, once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from impasto.cli.messages import log_to_stderr


def test_the_command_line_says_it_once(
    impasto: Callable[..., Any], pictures: Path, quick: tuple[str, ...]
) -> None:
    job = ("paint", pictures / "photo.png", pictures / "photo.png", "-o", pictures / "out.png")
    done = impasto(*job, *quick, "--json")
    assert done.code == 0
    (told,) = [each for each in done.messages if "warning" in each]
    assert "are the same picture" in told
    assert told == f"impasto: warning: {json.loads(done.out)['warnings'][0]}"


def test_many_pictures_in_one_trap_are_one_warning(capfd: pytest.CaptureFixture[str]) -> None:
    with log_to_stderr():
        for message in ("one", "two", "one"):
            logging.getLogger("impasto.engine.preparation").warning("%s", message)
    assert capfd.readouterr().err == "impasto: warning: one\nimpasto: warning: two\n"
