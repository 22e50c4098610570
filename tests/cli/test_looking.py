"""`--animate` and `--preview`: what is left to look at, and a real pseudo terminal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.engine.images import fit, resize

Impasto = Callable[..., Any]


def test_an_animation_begins_at_the_photo_and_ends_at_the_picture(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    out, film = pictures / "out.png", pictures / "film.png"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out, "--json")
    flags = ("--animate", film, "--animate-size", "32")
    start = ("--optimizer", "adam", "--init", "content")
    done = impasto(*job, *quick, *flags, *start)
    assert done.code == 0
    assert json.loads(done.out)["animation"] == str(film)
    with Image.open(film) as image:
        # Adam's last step is the result itself, and Pillow makes one frame of the two.
        assert (image.n_frames, image.size) == (3, (32, 24))  # type: ignore[attr-defined]
        first = np.asarray(image.convert("RGB"))
    with Image.open(pictures / "photo.png") as photo:
        assert np.array_equal(first, resize(fit(np.asarray(photo), 48), 32, 24))


def test_an_animation_is_refused_before_the_run(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    out = pictures / "out.png"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out)
    for film, said in (
        (pictures / "film.avi", "is none of .gif"),
        (pictures / "old.png", "exists"),
        (out, "is the picture's file"),
    ):
        done = impasto(*job, *quick, "--animate", film)
        assert (done.code, said in done.err) == (2, True), done.err
    assert impasto(*job, *quick, "--animate", "f.gif", "--animate-size", "9").code == 2
    assert not out.exists()


def test_an_animation_that_fails_does_not_cost_the_picture(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures / "folder"
    folder.mkdir()
    from impasto.engine.animation import Animation

    plain = Animation.write

    def remove_the_folder(self: Animation, last: Any) -> None:
        shutil.rmtree(folder)  # as another program might, during the run
        plain(self, last)

    monkeypatch.setattr(Animation, "write", remove_the_folder)
    out = pictures / "out.png"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out)
    done = impasto(*job, *quick, "--animate", folder / "film.gif")
    assert (done.code, done.out) == (1, f"{out}\n")
    assert "the animation is given up" in done.err
    assert out.exists()


def test_an_interrupted_run_has_its_animation(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.cli.interruption import Interruption

    out, film = pictures / "out.png", pictures / "film.webp"
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", out)
    with monkeypatch.context() as patched:
        # As if Ctrl-C came during the first step.
        patched.setattr(Interruption, "defer", lambda self: setattr(self, "signal", 2))
        done = impasto(*job, *quick, "--animate", film, "--checkpoint", pictures / "ck")
    assert done.code == 130
    assert film.exists()
    done = impasto("resume", pictures / "ck", "--animate", pictures / "rest.webp")
    assert done.code == 0
    assert "the animation begins where the run went on, at 1." in done.err
    assert (pictures / "rest.webp").exists()


def shown_on_a_terminal(
    process: Callable[..., Any], *arguments: Any, rows: int = 40, columns: int = 120
) -> tuple[int, str]:
    """Run with standard error on a pseudo terminal; return the exit code and what it showed."""
    terminal, writing = os.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    started = process(*arguments, stderr=writing)
    os.close(writing)
    shown = b""
    # Linux ends the reading of a terminal that nobody has open with an error (EIO).
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65536):
            shown += piece
    os.close(terminal)
    started.communicate()
    return started.returncode, shown.decode(errors="replace")


PREVIEW = {
    "kitty": r"\x1b7\x1b\[24A\r\x1b_Ga=T,f=100,.*?\x1b\\\x1b8",
    "iterm": r"\x1b7\x1b\[24A\r\x1b]1337;File=inline=1;width=64;height=24.*?\x07\x1b8",
    "sixel": r'\x1b7\x1b\[24A\r\x1bP0;1;0q"1;1;640;480.*?\x1b\\\x1b8',
    "blocks": r"\x1b\[38;2;\d+;\d+;\d+;48;2;\d+;\d+;\d+m▀",
}


@pytest.mark.parametrize("protocol", PREVIEW)
def test_a_preview_is_drawn_in_place_and_taken_away(
    protocol: str,
    impasto_process: Callable[..., Any],
    pictures: Path,
    quick: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    code, shown = shown_on_a_terminal(impasto_process, *job, *quick, "--preview", protocol)
    assert code == 0
    assert re.search(PREVIEW[protocol], shown, re.DOTALL)
    assert ("a=d,d=I" in shown) == (protocol == "kitty")
    # What scrolls by is the plan and the summary; all else is drawn over.
    up = shown.count("\x1b[1A")
    assert up >= shown.count("\n") - 4


def test_a_terminal_that_shows_no_pictures_gets_a_bar_with_losses_and_the_time_left(
    impasto_process: Callable[..., Any],
    pictures: Path,
    quick: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("TERM_PROGRAM", "LC_TERMINAL", "KITTY_WINDOW_ID", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    code, shown = shown_on_a_terminal(impasto_process, *job, *quick)
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(
        r"2/3\s+loss [\d.e+]+  content \S+  style \S+  tv \S+  .*it.*\d+ s left", plain
    )
    assert "▀" not in shown
    assert "\x1b_G" not in shown


def test_no_terminal_no_preview(impasto: Impasto, pictures: Path, quick: tuple[str, ...]) -> None:
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    done = impasto(*job, *quick, "--preview", "kitty")
    assert done.code == 0
    assert "\x1b" not in done.err


def test_an_unknown_preview_is_refused(
    impasto: Impasto, pictures: Path, quick: tuple[str, ...]
) -> None:
    job = ("paint", pictures / "photo.png", pictures / "painting.png", "-o", pictures / "out.png")
    done = impasto(*job, *quick, "--preview", "sixels")
    assert done.code == 2
    assert "Did you mean 'sixel'" in done.err
