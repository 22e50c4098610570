"""`--report`: the page beside the picture, and the command on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Impasto = Callable[..., Any]


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_the_command_on_the_page_paints_the_same_picture(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = pictures / "my $HOME's photo.png"
    shutil.copy(pictures / "photo.png", photo)
    out, report = pictures / "out.png", pictures / "report.html"
    job = ("paint", photo, pictures / "painting.png", "-o", out, "--report", report)
    done = impasto(*job, *quick, "--backend", "onnxruntime", "--init", "noise", "--json")
    assert done.code == 0
    assert json.loads(done.out)["report"] == str(report)
    text = report.read_text("utf-8")
    assert text.count("<polyline") == 5
    shown = re.search("<code>(.*?)</code>", text)
    assert shown
    first = pixels(out)
    out.unlink()
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    again = subprocess.run(["sh", "-c", unescape(shown[1])], env=environment, capture_output=True)
    assert again.returncode == 0, again.stderr
    assert np.array_equal(pixels(out), first)


def test_a_report_is_refused_before_the_run(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    (pictures / "there.html").touch()
    for report, said in (
        (pictures / "report.txt", "a report is a .html file"),
        (pictures / "there.html", "exists. Give another path, or --overwrite"),
        (pictures / "no folder" / "r.html", "there is no directory"),
    ):
        done = impasto(*job, *quick, "--report", report)
        assert (done.code, said in done.err) == (2, True)
    assert not (pictures / "out.png").exists()


def test_a_report_that_cannot_be_written_does_not_cost_the_picture(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures / "folder"
    folder.mkdir()
    from impasto.engine.trace import Trace

    plain = Trace.__call__

    def remove_the_folder(self: Trace, iterate: Any) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # as another program might, during the run
        plain(self, iterate)

    monkeypatch.setattr(Trace, "__call__", remove_the_folder)
    out = pictures / "out.png"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out)
    done = impasto(*job, *quick, "--report", folder / "r.html")
    assert (done.code, done.out) == (1, f"{out}\n")
    assert out.exists()
    assert "r.html could not be written" in done.err


def test_a_resumed_run_has_its_report(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.cli.interruption import Interruption

    out, checkpoint = pictures / "out.png", pictures / "ck"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out)
    with monkeypatch.context() as patched:
        # As if Ctrl-C came during the first step.
        patched.setattr(Interruption, "defer", lambda self: setattr(self, "signal", 2))
        assert impasto(*job, *quick, "--checkpoint", checkpoint).code == 130
    done = impasto("resume", checkpoint, "--report", pictures / "r.html")
    assert done.code == 0
    text = (pictures / "r.html").read_text("utf-8")
    assert "resumed after iteration 1" in text
    assert "painting.png" in text
