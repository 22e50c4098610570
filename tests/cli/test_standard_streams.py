"""`-`: pictures through standard input and to standard output, and nothing else there."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.engine.images import load_image

PROGRAM = "from impasto.cli import main; main()"


def run(*arguments: object, given: bytes | None = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)], input=given, capture_output=True
    )


@pytest.fixture
def spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, to see that none stays."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_through_both_streams_comes_what_files_give(
    impasto: Callable[..., Any], pictures: Path, quick: tuple[str, ...], spare: Path
) -> None:
    photo, painting, out = pictures / "photo.png", pictures / "painting.png", pictures / "out.png"
    assert impasto("paint", photo, painting, "-o", out, *quick).code == 0
    piped = run("paint", "-", painting, "-o", "-", *quick, given=photo.read_bytes())
    assert piped.returncode == 0
    with Image.open(io.BytesIO(piped.stdout)) as image:
        assert image.format == "PNG"
        assert '"iterations": 3' in image.info["Impasto"]
        np.testing.assert_array_equal(np.asarray(image), load_image(out))
    styled = run(
        *("paint", photo, "-", "-o", "-", "--format", "webp", *quick), given=painting.read_bytes()
    )
    assert styled.returncode == 0
    with Image.open(io.BytesIO(styled.stdout)) as image:
        assert image.format == "WEBP"
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), load_image(out))
    assert not list(spare.iterdir())


def test_a_closed_pipe_does_not_cost_the_picture(
    impasto_process: Callable[..., Any], pictures: Path, quick: tuple[str, ...], spare: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", "-", *quick)
    process = impasto_process(*job, stdout=writing)
    os.close(writing)
    _, messages = process.communicate()
    (kept,) = spare.glob("*/picture.png")
    assert process.returncode == 1
    assert f"could not be written to standard output (Broken pipe). It is in {kept}" in messages
    assert "Traceback" not in messages
    assert load_image(kept).shape == (36, 48, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"", "standard input is empty"),
        (b"no picture", "standard input is not a picture"),
        (b"BM" + bytes(17 * 2**20), "More than 17 MB came through standard input"),
    ],
)
def test_what_comes_through_standard_input_is_not_trusted(
    given: bytes, message: str, pictures: Path, spare: Path
) -> None:
    flags = ("--max-pixels", "100") if len(given) > 100 else ()
    refused = run("paint", "-", pictures / "painting.png", "-o", "-", *flags, given=given)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert message in refused.stderr.decode()
    assert str(spare) not in refused.stderr.decode()
    assert not list(spare.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-", "-", "-o", "{at}/o.png"), "- is given 2 times"),
        (("-", "{at}/painting.png", "--out-dir", "{at}/out"), "- is one picture"),
        (("{at}/photo.png", "{at}/painting.png", "-o", "-", "--json"), "--json and the picture"),
        (("{at}/photo.png", "{at}/painting.png", "-o", "-", "--save-every", "2"), "--save-every"),
        (("-", "{at}/painting.png", "-o", "{at}/o.png", "--checkpoint", "{at}/c"), "no checkpoint"),
        (("{at}/photo.png", "{at}/painting.png", "-o", "{at}/o.png", "--format", "jpg"), "-o -"),
        (("{at}/photo.png", "{at}/painting.png", "-o", "-", "--format", "xyz"), "--format 'xyz'"),
    ],
)
def test_what_does_not_go_together_is_refused(
    arguments: tuple[str, ...], message: str, pictures: Path, spare: Path
) -> None:
    refused = run("paint", *(each.format(at=pictures) for each in arguments))
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert message in refused.stderr.decode()
    assert not list(spare.iterdir())


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_a_terminal_is_no_picture(
    stream: str, impasto_process: Callable[..., Any], pictures: Path
) -> None:
    terminal, ours = os.openpty()
    photo = "-" if stream == "stdin" else pictures / "photo.png"
    output = "-" if stream == "stdout" else pictures / "out.png"
    process = impasto_process(
        *("paint", photo, pictures / "painting.png", "-o", output), **{stream: ours}
    )
    _, messages = process.communicate()
    os.close(ours)
    os.close(terminal)
    assert process.returncode == 2
    assert "is a terminal" in messages
