"""Ctrl-C and SIGTERM end a run early, and keep its picture."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from impasto.cli.interruption import Interruption

ENDLESS = ("--iterations", "1000000", "--print-every", "1", "--threads", "1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_the_picture(
    number: signal.Signals,
    impasto_process: Callable[..., Any],
    pictures: Path,
    quick: tuple[str, ...],
) -> None:
    out = pictures / "out.png"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out, "--json")
    process = impasto_process(*job, *quick, *ENDLESS)
    for line in process.stderr:
        if line.startswith("iteration "):
            break
    process.send_signal(number)
    printed, messages = process.communicate()
    assert process.returncode == 128 + number
    with Image.open(out) as image:
        assert image.size == (48, 36)
    report = json.loads(printed)
    assert report["status"] == "cancelled"
    assert 1 <= report["iterations"] < 1_000_000
    assert "impasto: stopping after this step" in messages
    assert "Traceback" not in messages


def test_a_signal_during_preparation_saves_nothing(
    impasto: Callable[..., Any],
    pictures: Path,
    quick: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def press_ctrl_c(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("impasto.engine.preparation.load_model", press_ctrl_c)
    out = pictures / "out.png"
    result = impasto("paint", pictures / "photo.png", pictures / "painting.png", "-o", out, *quick)
    assert (result.code, result.out) == (130, "")
    assert result.messages == [
        "impasto: interrupted before the first step was done; nothing was saved."
    ]
    assert not out.exists()


def test_before_the_first_step_a_signal_stops_at_once() -> None:
    with Interruption() as interruption, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert interruption.exit_code == 143


def test_the_first_signal_waits_for_the_step_and_the_second_does_not() -> None:
    with Interruption() as interruption:
        interruption.defer()
        signal.raise_signal(signal.SIGINT)
        assert interruption.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        # The picture is being saved by now.
        signal.raise_signal(signal.SIGINT)
    assert interruption.exit_code == 130


def test_nothing_interrupts_saving() -> None:
    with Interruption() as interruption:
        interruption.hold()
        interruption.defer()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with Interruption():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Interruption():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
