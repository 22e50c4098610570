"""Pictures as a terminal is told them, read back by independent readers of the protocols."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.engine import terminal_pictures
from impasto.engine.terminal_pictures import blocks, fitted_cells, iterm, kitty, protocol_of, sixel


def noise(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def drawn_blocks(text: str) -> np.ndarray[Any, Any]:
    """Return the pixels that half blocks show."""
    rows = []
    for line in text.split("\n"):
        cells = re.findall(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀", line)
        numbers = np.array(cells, int).reshape(-1, 2, 3)
        rows += [numbers[:, 0], numbers[:, 1]]
    return np.array(rows)


def drawn_sixels(text: str) -> np.ndarray[Any, Any]:
    """Return the pixels of a sixel picture; -1 where nothing was drawn."""
    match = re.fullmatch(r'\x1bP0;1;0q"1;1;(\d+);(\d+)(.*)\x1b\\', text, re.DOTALL)
    assert match
    width, height = int(match[1]), int(match[2])
    pixels = np.full((height + 6, width, 3), -1.0)
    palette: dict[int, list[float]] = {}
    x = y = colour = 0
    for token in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)(.)|([?-~])|([$-])", match[3]):
        number, red, green, blue, count, repeated, single, control = token.groups()
        if number is not None:
            colour = int(number)
            if red is not None:
                palette[colour] = [int(each) * 2.55 for each in (red, green, blue)]
        elif control:
            x, y = 0, y + 6 * (control == "-")
        else:
            bits, times = ord(repeated or single) - 63, int(count or 1)
            for bit in range(6):
                if bits >> bit & 1:
                    pixels[y + bit, x : x + times] = palette[colour]
            x += times
    return pixels[:height]


def test_half_blocks_show_two_pixels_a_cell() -> None:
    picture = noise(12, 10)
    assert np.array_equal(drawn_blocks(blocks(picture, 6, 10)), picture)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 4), columns=st.integers(1, 6), seed=st.integers(0, 99))
def test_sixels_cover_every_pixel_with_nearly_its_colour(
    rows: int, columns: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    picture = np.kron(rng.integers(0, 256, (rows, columns, 3)), np.ones((6, 5, 1))).astype(np.uint8)
    shown = drawn_sixels(sixel(picture, rows, columns, (6, 5)))
    assert shown.min() >= 0
    assert np.abs(shown - picture).max() <= 2  # sixel colours are percentages


def test_kitty_gets_a_png_in_pieces_that_leave_the_cursor() -> None:
    picture = noise(60, 80)
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", kitty(picture, 6, 16))
    assert len(pieces) > 2
    assert all(len(data) <= 4096 for _, data in pieces)
    first = dict(pair.split("=") for pair in pieces[0][0].split(","))
    assert (first["a"], first["f"], first["q"], first["C"]) == ("T", "100", "2", "1")
    assert (first["c"], first["r"]) == ("16", "6")
    assert [control[-1] for control, _ in pieces] == ["1"] * (len(pieces) - 1) + ["0"]
    file = base64.b64decode("".join(data for _, data in pieces))
    with Image.open(io.BytesIO(file)) as image:
        assert np.array_equal(np.asarray(image), picture)


def test_iterm_gets_a_png() -> None:
    picture = noise(9, 8)
    match = re.fullmatch(r"\x1b]1337;File=([^:]*):([^\x07]*)\x07", iterm(picture, 3, 5))
    assert match
    assert "inline=1;width=5;height=3" in match[1]
    with Image.open(io.BytesIO(base64.b64decode(match[2]))) as image:
        assert np.array_equal(np.asarray(image), picture)


@given(
    height=st.integers(1, 5000),
    width=st.integers(1, 5000),
    rows=st.integers(1, 60),
    columns=st.integers(1, 200),
)
def test_cells_keep_within_limits(height: int, width: int, rows: int, columns: int) -> None:
    found = fitted_cells(height, width, rows, columns)
    assert 1 <= found[0] <= rows
    assert 1 <= found[1] <= columns


def test_cells_keep_the_proportions() -> None:
    assert fitted_cells(300, 300, 24, 80) == (24, 48)
    assert fitted_cells(100, 1000, 24, 80) == (4, 80)


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "foot", "TMUX": "/tmp/x"}, None),
        ({"TERM": "screen.xterm-kitty", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, None),
        ({}, None),
    ],
)
def test_the_protocol_is_what_the_environment_says(
    environment: dict[str, str], protocol: str | None
) -> None:
    assert protocol_of(environment) == protocol


def test_every_protocol_has_its_function() -> None:
    for name in ("kitty", "iterm", "sixel", "blocks"):
        assert getattr(terminal_pictures, name)(noise(4, 4), 1, 2)
