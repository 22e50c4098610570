"""The picture in the terminal while it is painted, drawn again and again at one place."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.engine.options import OUTPUT
from impasto.errors import UnknownNameError

if TYPE_CHECKING:
    from impasto.engine.result import Iterate

__all__ = ["PREVIEWS", "Preview", "PreviewChoice", "preview_for"]

PREVIEWS = ("auto", "off", "kitty", "iterm", "sixel", "blocks")

PreviewChoice = Annotated[
    str,
    typer.Option(
        "--preview",
        metavar="|".join(PREVIEWS),
        help="Show the picture in the terminal; auto does where real pixels can be shown. "
        "[default: auto]",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]

ROWS, COLUMNS = 24, 80
"""Most cells the picture takes."""

INTERVAL = 0.5
"""Seconds between two drawings, at least; 20 times what one takes, if that is longer."""

PIXELS = 640
"""Longest side of what is sent to the terminal."""


def preview_for(choice: str) -> Preview | None:
    """Return the preview that `choice` means on this terminal; None for none.

    Raises
    ------
    UnknownNameError
        If it is not one of :data:`PREVIEWS`.
    """
    if choice not in PREVIEWS:
        raise UnknownNameError("--preview", choice, PREVIEWS)
    if choice == "off" or sys.stderr is None or not sys.stderr.isatty():
        return None
    if choice == "auto":
        from impasto.engine.terminal_pictures import protocol_of

        found = protocol_of(os.environ)
        return Preview(found) if found else None
    return Preview(choice)


class Preview:
    """A picture of a few rows for a live display.

    Parameters
    ----------
    protocol : str
        ``kitty``, ``iterm``, ``sixel`` or ``blocks``.
    """

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        self._due = 0.0
        self._rows = 0
        self._text = ""

    def draw(self, iterate: Iterate) -> bool:
        """Draw the picture of a step if it is time; return whether it was."""
        began = time.monotonic()
        if began < self._due and iterate.iteration < iterate.iterations:
            return False
        from impasto.engine import terminal_pictures
        from impasto.engine.images import fit

        picture = iterate.picture()
        if max(picture.shape[:2]) > PIXELS:
            picture = fit(picture, PIXELS)
        size = (
            os.get_terminal_size(sys.stderr.fileno()) if sys.stderr else os.terminal_size((80, 24))
        )
        # One line is for the bar, one for where the cursor may go.
        most = (max(1, min(ROWS, size.lines - 3)), max(1, min(COLUMNS, size.columns - 1)))
        height, width, _ = picture.shape
        cell = _cell()
        self._rows, columns = terminal_pictures.fitted_cells(height, width, *most, cell)
        if self._protocol == "sixel":
            self._text = terminal_pictures.sixel(picture, self._rows, columns, cell)
        else:
            write = getattr(terminal_pictures, self._protocol)
            self._text = write(picture, self._rows, columns)
        now = time.monotonic()
        self._due = now + max(INTERVAL, 20 * (now - began))
        return True

    @property
    def body(self) -> Any:
        """What Rich is to show: the half blocks, or the room for pixels."""
        from rich.text import Text

        if self._protocol == "blocks":
            return Text.from_ansi(self._text, no_wrap=True)
        return Text("\n".join(" " for _ in range(self._rows)))

    @property
    def overlay(self) -> str:
        """What is to be written once Rich has drawn, with the cursor on the line below the room."""
        if self._protocol == "blocks" or not self._rows:
            return ""
        return f"\x1b7\x1b[{self._rows}A\r{self._text}\x1b8"

    @property
    def farewell(self) -> str:
        """What takes the picture away, where erasing text does not."""
        from impasto.engine.terminal_pictures import kitty_removed

        return kitty_removed() if self._protocol == "kitty" and self._rows else ""


def _terminal_size() -> os.terminal_size:
    try:
        return os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):  # it was closed meanwhile
        return os.terminal_size((80, 24))


def _cell() -> tuple[int, int]:
    """Return the height and width of a character cell in pixels, as the terminal's driver tells."""
    from impasto.engine.terminal_pictures import CELL

    try:
        import fcntl
        import struct
        import termios

        told = fcntl.ioctl(sys.stderr.fileno(), termios.TIOCGWINSZ, bytes(8))
        rows, columns, width, height = struct.unpack("HHHH", told)
    except (ImportError, OSError, ValueError):
        return CELL
    if not (rows and columns and width and height):
        return CELL
    return max(1, height // rows), max(1, width // columns)
